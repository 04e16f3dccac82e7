"""The flow "pan-retrain": new footage is taken, a challenger is trained on all of it, and the better model stays.

`python -m flows.retrain` runs it here, without any server. `python -m flows.serve` offers it as a deployment, on a schedule
and when a delivery arrives.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from ruamel.yaml import YAML

from flows.form import Overrides
from flows.pan import prepare, run_stages, unless
from flows.reproduce import environment_of, project_root
from flows.results import show_results
from flows.server import reachable_server
from flows.settings import add_settings, read_settings
from flows.workspace import workspace
from pan_core.config import PARAMS_FILE, Params, load_params
from pan_core.datasets.manifests import unlabelled_videos
from pan_core.deliveries.footage import KNOWN, REFUSED, TAKEN, UNLABELLED, Footage, Receipt, require_taken
from pan_core.errors import ConfigError, DataError, PanError
from pan_core.files import read_json, write_json
from pan_core.registry.models import registry_of
from pan_core.stages.runner import dataset_context

DATASET = "surveillance"
INCOMING, FOOTAGE, LABELLING = Path("data/incoming"), Path("data/footage"), Path("data/labelling")
WORKSPACE = "retraining"
"""Name of the folder below `.cache/workspaces` in which the stages run, whatever the parameters."""

LOCK, TOLD = Path(".cache/retraining.lock"), Path(".cache/retraining_refused.json")
BUSY = "another retraining is at work in this project"
FIXED = ("dataset", "surveillance.folder", "surveillance.manifest", "retrain.champion", "retrain.data_version")
"""Parameters that the flow itself sets."""

NOTHING_NEW, PROMOTED, NOT_PROMOTED = "NothingNew", "Promoted", "Refused"
"""Names of the states in which a retraining ends well."""


@task(
    cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=30, retry_condition_fn=unless(DataError)
)
def fetch_deliveries(source: str, incoming: Path) -> list[str]:
    """Bring whole deliveries from S3 into the inbox."""
    from pan_core.deliveries.remote import fetch_deliveries as fetch

    names = [path.name for path in fetch(source, incoming)]
    get_run_logger().info("%s: %s", source, ", ".join(names) or "nothing new")
    return names


@task(cache_policy=NO_CACHE, persist_result=False)
def receive(params: Params, incoming: Path) -> list[Receipt]:
    """Take what is new and usable into the footage, and show what became of every folder."""
    receipts = Footage(FOOTAGE).receive(
        incoming,
        classes=params.retrain.classes,
        max_unusable=params.validation.max_quarantined,
        context=dataset_context(params, DATASET),
    )
    log = get_run_logger()
    for receipt in receipts:
        log.info("%s: %s, %s", receipt.name, receipt.state, receipt.reason)
    rows = [{"delivery": r.name, "state": r.state, "reason": r.reason, "clips": r.clips} for r in receipts]
    create_table_artifact(table=rows, key="pan-deliveries", description=f"Folders in {incoming}")
    return receipts


@task(cache_policy=NO_CACHE, persist_result=False)
def new_version(params: Params) -> str:
    """Freeze the holdout where there is none, and give the footage as it is now to DVC; returns DVC's hash of it."""
    Footage(FOOTAGE).hold_out(
        group=params.surveillance.group,
        folds=params.split.folds,
        share=params.split.validation_share,
        seed=params.seed,
        context=dataset_context(params, DATASET),
    )
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", str(FOOTAGE)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PanError(f"{FOOTAGE}: DVC cannot take it in:\n{_last_lines(done.stderr)}")
    version = YAML(typ="safe").load(FOOTAGE.with_suffix(".dvc").read_text())["outs"][0]["md5"].removesuffix(".dir")
    get_run_logger().info("version %s of the footage", version)
    return version


@task(cache_policy=NO_CACHE, persist_result=False)
def suggest_labels(folder: Path, workspace: Path) -> None:
    """Write tasks for Label Studio with the champion's suggestions for the videos of a delivery that have no labels.

    A delivery for which that fails keeps nobody from training on the others: the log says why.
    """
    out = (LABELLING / f"{folder.name}.json").absolute()
    if out.is_file() or not unlabelled_videos(folder):
        return
    done = subprocess.run(
        ["pan", "data", "label", str(folder.absolute()), "--out", str(out), "--dataset", DATASET],
        cwd=workspace, env=environment_of(workspace), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        get_run_logger().warning("%s: no labels could be suggested:\n%s", folder, _last_lines(done.stderr))
        return
    get_run_logger().info(done.stdout.strip())


@flow(name="pan-retrain")
def retrain(
    source: str = "", incoming: str = str(INCOMING), overrides: Overrides | None = None, force: bool = False
) -> State[Any]:
    """Take new footage, train a challenger from nothing and from the champion, and promote it if it is no worse.

    Args:
        source: Where deliveries come from, such as s3://bucket/prefix; nothing where they are put into the inbox.
        incoming: The inbox, a folder with a folder for each delivery.
        overrides: Values in the place of those in params.yaml.
        force: Whether to train although this footage was trained on with these parameters before.

    Returns:
        A state that says in its name and message what became of it: NothingNew, Promoted or Refused.

    Raises:
        PanError: Where parameters are wrong, all that came was refused, the footage does not suffice, or a stage fails.
    """
    try:
        with FileLock(LOCK, timeout=0):
            return _retrain(source, Path(incoming), overrides or {}, force)
    except Timeout:
        raise PanError(f"{BUSY}; wait until it ends, then start this one again") from None


def _retrain(source: str, incoming: Path, overrides: Mapping[str, Any], force: bool) -> State[Any]:
    footage = Footage(FOOTAGE)
    if FOOTAGE.with_suffix(".dvc").is_file() and not footage.taken:
        raise PanError(
            f"{FOOTAGE}: is gone, but {FOOTAGE}.dvc names it; `dvc pull {FOOTAGE}.dvc` or `dvc checkout` brings it back"
        )
    if given := [name for name in FIXED if _value(overrides, name) is not None]:
        raise ConfigError("overrides", [f"{name}: a retraining sets it itself; leave it out" for name in given])
    chosen = _merged(overrides, {"dataset": DATASET, "surveillance": {"folder": str(FOOTAGE), "manifest": "auto"}})
    place = workspace(project_root(), chosen, WORKSPACE)
    params = load_params(place / PARAMS_FILE)
    if source:
        fetch_deliveries(source, incoming)
    receipts = receive(params, incoming)
    registry = registry_of(DATASET)
    champion = registry.champion()
    if champion:
        _suggest(receipts, incoming, place)
    if not footage.taken:
        _require_news(receipts)
        return _nothing(receipts, "no delivery has been taken yet")
    version = new_version(params)
    if not force and (known := registry.trained(version, params.recipe())):
        _require_news(receipts)
        return _nothing(receipts, f"version {known.number} of the recogniser was trained on this footage")
    own = {"retrain": {"champion": champion.number if champion else 0, "data_version": version}}
    folder = prepare(_merged(chosen, own), WORKSPACE)
    # The registry is no file that DVC could compare: what promote wrote before may not be so any more.
    run_stages(folder, forced={"promote", *(["train"] if force else [])})
    show_results(folder)
    if not champion and registry.champion():
        _suggest(receipts, incoming, folder)
    return _outcome(folder, receipts)


def _suggest(receipts: Sequence[Receipt], incoming: Path, place: Path) -> None:
    for receipt in receipts:
        if receipt.state in (TAKEN, KNOWN, UNLABELLED):
            suggest_labels(incoming / receipt.name, place)


def _require_news(receipts: Sequence[Receipt]) -> None:
    """Fail where deliveries are refused, once for each reason: what nobody puts right must not fail every night.

    Raises:
        DataError: With the reason of each.
    """
    refused = {receipt.name: receipt.reason for receipt in receipts if receipt.state == REFUSED}
    told = read_json(TOLD) if TOLD.is_file() else {}
    write_json(TOLD, refused)
    if refused.items() - told.items():
        require_taken(receipts)


def _last_lines(text: str) -> str:
    """The end of what a command said, without bars that redraw themselves."""
    return "\n".join(line for line in text.splitlines() if "%|" not in line)[-2000:].strip()


def _outcome(folder: Path, receipts: Sequence[Receipt]) -> State[Any]:
    found = read_json(folder / "reports" / "promote.json")
    rows = "\n".join(
        f"| {check['name']} | {check['found']} | {check['allowed']} | {'yes' if check['passed'] else 'no'} |"
        for check in found["checks"]
    )
    page = (folder / "reports" / "promotion.html").resolve().as_uri()
    create_markdown_artifact(
        f"# {found['challenger']}: {found['reason']}\n\n| condition | found | allowed | holds |\n| --- | --- | --- | --- |\n{rows}\n\n"
        f"[the decision as a page]({page})",
        key="pan-decision",
        description="Whether the challenger took the champion's place",
    )
    refused = [f"{receipt.name} was refused: {receipt.reason}" for receipt in receipts if receipt.state == REFUSED]
    message = "; ".join([f"{found['challenger']}: {found['reason']}", *refused])
    return Completed(name=PROMOTED if found["promoted"] else NOT_PROMOTED, message=message)


def _nothing(receipts: Sequence[Receipt], reason: str) -> State[Any]:
    others = [f"{r.name} is {r.state}: {r.reason}" for r in receipts if r.state not in (TAKEN, KNOWN)]
    return Completed(name=NOTHING_NEW, message="; ".join([reason, *others]))


def _value(values: Mapping[str, Any], name: str) -> object:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None  # type: ignore[assignment]
    return values


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, the second's before the first's."""
    merged = dict(first)
    for key, value in second.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return merged


def main() -> int:
    """Run the flow in this process."""
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description="Retrain on new footage.")
    parser.add_argument("--source", default="", help="where deliveries come from, such as s3://bucket/prefix")
    parser.add_argument("--incoming", default=str(INCOMING), help="the inbox")
    add_settings(parser)
    parser.add_argument("--force", action="store_true", help="train although nothing is new")
    arguments = parser.parse_args()
    try:
        overrides = read_settings(arguments.settings)
        with reachable_server():
            state = retrain(arguments.source, arguments.incoming, overrides, arguments.force, return_state=True)
            state.result()
            print(f"{state.name}: {state.message}")
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
