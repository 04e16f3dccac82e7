"""Take the pictures of docs/ again: the UIs of MLflow and Prefect, and the page of live video.

    pip install playwright; apt-get install chromium
    python docs/screenshots/take.py mlflow PROJECT EXPERIMENT
    python docs/screenshots/take.py prefect ADDRESS FLOW
    python docs/screenshots/take.py live ADDRESS VIDEO

PROJECT is a folder with an mlruns/; its two newest finished pipeline rows of the experiment are compared. ADDRESS, such as
http://127.0.0.1:4200, is that of `make serve` with a finished run of the flow, pan or pan-retrain; for live, that of `pan serve`
with sources that have been seen for a while. VIDEO is uploaded there.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
PORT = 5099
SETTLE_MS = 15000
# MLflow opens a panel beside the page at the first visit.
WITHOUT_PANEL = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""
FINISHED = "tags.`pan.kind` = 'pipeline' and attributes.status = 'FINISHED'"
COLUMNS = (
    "test_accuracy", "test_accuracy_online", "latency_step_p90_ms", "latency_p90_ms", "model_bytes", "train.epochs", "data",
    "pose_model", "git_commit",
)  # fmt: skip


def main() -> None:
    """Pictures of one of the two, into the folder of this script."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.add_init_script(WITHOUT_PANEL)
        match sys.argv[1:]:
            case "mlflow", project, experiment:
                mlflow_pictures(page, Path(project).resolve(), experiment)
            case "prefect", address, flow:
                prefect_pictures(page, address.rstrip("/"), flow)
            case "live", address, video:
                live_pictures(page, address, video)
            case _:
                sys.exit(__doc__)
        browser.close()


def mlflow_pictures(page: Page, project: Path, experiment: str) -> None:
    """The table of runs, two runs compared, and the pictures of one."""
    os.chdir(project)
    address = f"http://127.0.0.1:{PORT}"
    server = subprocess.Popen(["pan", "ui", "--port", str(PORT)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(address)
        pictures_of_runs(page, address, experiment)
    finally:
        server.terminate()


def pictures_of_runs(page: Page, address: str, experiment: str) -> None:
    """As they are at this address."""
    client = MlflowClient(tracking_uri=f"sqlite:///{Path('mlruns/mlflow.db').resolve()}")
    found = client.get_experiment_by_name(experiment)
    assert found is not None, f"no experiment {experiment!r}"
    rows = client.search_runs([found.experiment_id], FINISHED, max_results=2)
    assert len(rows) == 2, f"expected two finished pipeline rows, but found {len(rows)}"
    table = f"{address}/#/experiments/{found.experiment_id}/runs?searchFilter={quote(FINISHED)}"
    take(page, table, "mlflow_runs", then=lambda: choose_columns(page))
    page.set_viewport_size({"width": 1600, "height": 1000})
    take(
        page,
        f"{table}&compareRunsMode=CHART",
        "mlflow_charts",
        then=lambda: page.get_by_placeholder("Search metric charts").fill("accuracy|p90|bytes"),
    )
    listed, only = json.dumps([row.info.run_id for row in rows]), json.dumps([found.experiment_id])
    page.set_viewport_size({"width": 1600, "height": 1900})
    take(
        page,
        f"{address}/#/compare-runs?runs={listed}&experiments={only}",
        "mlflow_compare",
        then=lambda: compare(page),
    )
    page.set_viewport_size({"width": 1600, "height": 900})
    evaluated = client.search_runs(
        [found.experiment_id], "tags.`pan.stage` = 'evaluate' and attributes.status = 'FINISHED'", max_results=1
    )[0]
    pictures = f"{address}/#/experiments/{found.experiment_id}/runs/{evaluated.info.run_id}/artifacts"
    take(page, pictures, "mlflow_pictures", then=lambda: open_picture(page, "confusion.svg"))


def prefect_pictures(page: Page, address: str, flow: str) -> None:
    """The newest finished run of a flow, and what it left as artifacts."""
    token = json.load(urllib.request.urlopen(f"{address}/api/csrf-token?client=pictures"))["token"]
    request = urllib.request.Request(
        f"{address}/api/flow_runs/filter",
        data=json.dumps(
            {
                "flows": {"name": {"any_": [flow]}},
                "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
                "sort": "END_TIME_DESC",
                "limit": 1,
            }
        ).encode(),
        headers={
            "Content-Type": "application/json",
            "Prefect-Csrf-Token": token,
            "Prefect-Csrf-Client": "pictures",
        },
    )
    (run,) = json.load(urllib.request.urlopen(request))
    place, name = f"{address}/runs/flow-run/{run['id']}", "prefect" if flow == "pan" else "retrain"
    take(page, place, f"{name}_run")
    page.set_viewport_size({"width": 1600, "height": 1200})
    take(page, place, f"{name}_artifacts", then=lambda: page.get_by_text("Artifacts", exact=True).click())
    if flow != "pan":
        take(page, f"{address}/artifacts/key/pan-decision", "retrain_decision", then=lambda: newest(page))


def live_pictures(page: Page, address: str, video: str) -> None:
    """The page of live video: light with events, dark on a phone, a replay, and an upload."""
    page.set_viewport_size({"width": 1280, "height": 1180})
    page.goto(address)
    page.locator("[data-event]").first.wait_for()
    page.locator(".caption").first.wait_for()
    page.screenshot(path=str(HERE / "live.png"))
    page.locator("[data-event]").first.click()
    page.wait_for_timeout(1000)
    page.locator("#replay").screenshot(path=str(HERE / "live_replay.png"))
    page.keyboard.press("Escape")
    page.locator("#file").set_input_files(video)
    page.get_by_role("button", name="Upload").click()
    page.locator("#uploads video").wait_for(timeout=300_000)
    page.locator("#uploads video").evaluate("video => { video.currentTime = video.duration / 2 }")
    page.wait_for_timeout(2000)
    page.locator("section", has=page.locator("#uploads")).last.screenshot(path=str(HERE / "live_upload.png"))
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 1100})
    page.wait_for_timeout(1500)
    page.screenshot(path=str(HERE / "live_phone.png"))


def choose_columns(page: Page) -> None:
    """The columns that compare pipeline runs, in place of those that MLflow shows by itself."""
    page.set_viewport_size({"width": 2000, "height": 1200})  # in a low window the list would hide some
    page.get_by_role("button", name="Columns", exact=True).click()
    for name in ("Dataset", "Source", "Models", *COLUMNS):
        page.get_by_placeholder("Search columns").fill(name)
        page.wait_for_timeout(1000)
        line = page.get_by_test_id("column-selector-tree").locator("[class*=treenode]")
        line.filter(has_text=re.compile(f"^{re.escape(name)}$")).last.locator("[class*=tree-checkbox]").first.click()
    page.keyboard.press("Escape")
    page.mouse.click(1200, 1100)
    page.set_viewport_size({"width": 2000, "height": 500})


def open_picture(page: Page, name: str) -> None:
    """One of the pictures among the artifacts of a run."""
    page.get_by_text("pictures", exact=True).click()
    page.wait_for_timeout(3000)
    page.get_by_text(name, exact=True).click()


def compare(page: Page) -> None:
    """Accuracy in the plot, and no parameters and figures in which the runs agree."""
    for switch in page.get_by_role("switch").all():
        switch.click()
    metrics = page.get_by_text("Metrics:", exact=True).locator("xpath=following::input[1]")
    metrics.press("Backspace")
    metrics.fill("test_accuracy_online")
    page.wait_for_timeout(2000)
    metrics.press("Enter")
    page.keyboard.press("Escape")


def newest(page: Page) -> None:
    """The last version of an artifact, opened."""
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def take(page: Page, address: str, name: str, then: Callable[[], object] | None = None) -> None:
    """A picture of a page once it has settled, and again once `then` has changed it."""
    page.goto("about:blank")  # these pages take a changed fragment for the same page
    page.goto(address)
    page.wait_for_timeout(SETTLE_MS)
    if then:
        then()
        page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=str(HERE / f"{name}.png"))


def wait_for(address: str) -> None:
    """Until a server answers."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with suppress(OSError):
            urllib.request.urlopen(address)
            return
        time.sleep(0.5)
    sys.exit(f"{address}: nothing answers")


if __name__ == "__main__":
    main()
