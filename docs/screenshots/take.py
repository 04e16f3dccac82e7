"""Take the pictures of docs/ again: the UIs of MLflow and Prefect on a project in which the pipeline has run twice.

    pip install playwright; apt-get install chromium
    python docs/screenshots/take.py PROJECT EXPERIMENT [PREFECT_ADDRESS]

PROJECT is a folder with an mlruns/; its two newest finished pipeline rows of the experiment are compared. PREFECT_ADDRESS, such as
http://127.0.0.1:4200, is that of `make serve` with a finished run of pan/full-pipeline.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
PORT = 5099
SETTLE_MS = 6000


def main() -> None:
    """Everything, into the folder of this script."""
    project, experiment = Path(sys.argv[1]).resolve(), sys.argv[2]
    os.chdir(project)
    address = f"http://127.0.0.1:{PORT}"
    server = subprocess.Popen(["pan", "ui", "--port", str(PORT)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(address)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            mlflow_pictures(page, address, experiment)
            if len(sys.argv) > 3:
                prefect_pictures(page, sys.argv[3].rstrip("/"))
            browser.close()
    finally:
        server.terminate()


def mlflow_pictures(page: Page, address: str, experiment: str) -> None:
    """The table of runs, two runs compared, and the pictures of one."""
    client = MlflowClient(tracking_uri=f"sqlite:///{Path('mlruns/mlflow.db').resolve()}")
    found = client.get_experiment_by_name(experiment)
    assert found is not None, f"no experiment {experiment!r}"
    rows = client.search_runs(
        [found.experiment_id], "tags.`pan.kind` = 'pipeline' and attributes.status = 'FINISHED'", max_results=2
    )
    assert len(rows) == 2, f"expected two finished pipeline rows, but found {len(rows)}"
    ids = [row.info.run_id for row in rows]
    listed, only = json.dumps(ids), json.dumps([found.experiment_id])
    columns = [
        "metrics.test_accuracy",
        "metrics.test_accuracy_online",
        "metrics.latency_step_p90_ms",
        "metrics.latency_p90_ms",
    ]
    columns += ["metrics.model_bytes", "params.train.epochs", "tags.data", "tags.pose_model", "tags.git_commit"]
    shown = ",".join(f'"{kind}.`{name}`"' for kind, _, name in (column.partition(".") for column in columns))
    take(
        page,
        f"{address}/#/experiments/{found.experiment_id}/runs?compareRunsMode=TABLE&selectedColumns={shown}",
        "mlflow_runs",
    )
    take(page, f"{address}/#/compare-runs?runs={listed}&experiments={only}", "mlflow_compare")
    evaluated = client.search_runs(
        [found.experiment_id], "tags.`pan.stage` = 'evaluate' and attributes.status = 'FINISHED'", max_results=1
    )[0]
    page.goto(
        f"{address}/#/experiments/{found.experiment_id}/runs/{evaluated.info.run_id}/artifacts/confusion_online.svg"
    )
    take(page, page.url, "mlflow_pictures")


def prefect_pictures(page: Page, address: str) -> None:
    """The newest finished run of the pipeline, and what it left as artifacts."""
    request = urllib.request.Request(
        f"{address}/api/flow_runs/filter",
        data=json.dumps(
            {
                "flows": {"name": {"any_": ["pan"]}},
                "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
                "sort": "END_TIME_DESC",
                "limit": 1,
            }
        ).encode(),
        headers={"Content-Type": "application/json"},
    )
    (run,) = json.load(urllib.request.urlopen(request))
    take(page, f"{address}/runs/flow-run/{run['id']}", "prefect_run")
    take(page, f"{address}/runs/flow-run/{run['id']}?tab=Artifacts", "prefect_artifacts")


def take(page: Page, address: str, name: str) -> None:
    """A picture of a page once it has settled."""
    page.goto(address)
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
