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
from flows.reproduce import RefusedError, environment_of, project_root
from flows.results import show_results
from flows.server import reachable_server
from flows.settings import add_settings, read_settings
from flows.workspace import workspace
from pan_core.config import PARAMS_FILE, Params, load_params
from pan_core.datasets.holdout import HOLDOUT, Holdout
from pan_core.datasets.manifests import unlabelled_videos
from pan_core.deliveries.footage import KNOWN, LEDGER, REFUSED, TAKEN, UNLABELLED, Footage, Receipt, require_taken
from pan_core.deliveries.inbox import WITHDRAWN
from pan_core.errors import ConfigError, DataError, PanError
from pan_core.files import read_json, write_json
from pan_core.registry.models import BEGAN_WITH, registry_of
from pan_core.stages.runner import dataset_context

DATASET = "surveillance"
INCOMING, FOOTAGE, LABELLING = Path("data/incoming"), Path("data/footage"), Path("data/labelling")
WORKSPACE = "retraining"
"""Name of the folder below `.cache/workspaces` in which the stages run, whatever the parameters."""

LOCK, TOLD, MEMORY = (
    Path(".cache/retraining.lock"), Path(".cache/retraining_refused.json"), Path(".cache/deliveries.json"),
)  # fmt: skip
BUSY = "another retraining is at work in this project"
FIXED = ("dataset", "surveillance.folder", "surveillance.manifest", "retrain.champion", "retrain.data_version")
"""Parameters that the flow itself sets."""

CHECKED = "validate"
"""The stage up to which new footage is tried before it makes a version."""

JUDGING = ("evaluate", "export")
"""Stages whose bounds a challenger may fail to meet, which refuses it."""

DECISION_KEY = "pan-decision"

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
    receipts = _footage().receive(
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
def hold_out(params: Params) -> Holdout:
    """The videos that decide, chosen where there are none yet."""
    holdout = _footage().hold_out(
        group=params.surveillance.group,
        folds=params.split.folds,
        share=params.split.validation_share,
        seed=params.seed,
        context=dataset_context(params, DATASET),
        least=params.promote.min_clips,
    )
    get_run_logger().info(
        "%d videos decide, %d validate, by %s", len(holdout.videos), len(holdout.validation), holdout.group
    )
    return holdout


@task(cache_policy=NO_CACHE, persist_result=False)
def new_version() -> str:
    """Give the footage as it is now to DVC; returns DVC's hash of it."""
    _dvc("add", str(FOOTAGE))
    version = YAML(typ="safe").load(FOOTAGE.with_suffix(".dvc").read_text())["outs"][0]["md5"].removesuffix(".dir")
    _footage().keep_version()
    get_run_logger().info("version %s of the footage", version)
    return version


@task(cache_policy=NO_CACHE, persist_result=False)
def give_back(incoming: Path, reason: str) -> None:
    """Make the footage again what it was in its last version, where what has changed since did not pass validation.

    Raises:
        DataError: Always: with the reason and what to do.
    """
    footage = _footage()
    changed = footage.changed
    listed = ", ".join(f"{name} ({what})" for name, what in sorted(changed.items()))
    if not FOOTAGE.with_suffix(".dvc").is_file():
        # Nothing was ever learnt from it, so its holdout binds nobody.
        (FOOTAGE / HOLDOUT).unlink()
        raise DataError(
            f"{reason}\n{listed}: correct them in {incoming}, or withdraw one by an empty file {WITHDRAWN} in its folder"
        )
    if gone := sorted(name for name in changed if not (incoming / name).is_dir()):
        raise DataError(
            f"{reason}\n{listed}: what is in {FOOTAGE} is all there is of {', '.join(gone)}; put its folder into {incoming} again, "
            f"with an empty file {WITHDRAWN} to withdraw it"
        )
    tried = {entry["name"]: entry["digest"] for entry in footage.taken}
    _dvc("checkout", "--force", f"{FOOTAGE}.dvc")
    footage.keep_version()
    kept = {entry["name"]: entry["digest"] for entry in footage.taken}
    footage.refuse({name for name in changed if tried.get(name) != kept.get(name)}, incoming, reason)
    raise DataError(
        f"{reason}\n{listed}: not kept, the footage is as it was; they are tried again when one of them has changed"
    )


def _footage() -> Footage:
    return Footage(FOOTAGE, MEMORY)


def _dvc(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PanError(f"{FOOTAGE}: `dvc {' '.join(arguments)}` failed:\n{_last_lines(done.stderr)}")


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
    footage = _footage()
    if FOOTAGE.with_suffix(".dvc").is_file() and not (FOOTAGE / LEDGER).is_file():
        raise PanError(
            f"{FOOTAGE}: is gone, but {FOOTAGE}.dvc names it; `dvc pull {FOOTAGE}.dvc` or `dvc checkout` brings it back"
        )
    if given := [name for name in FIXED if _value(overrides, name) is not None]:
        raise ConfigError("overrides", [f"{name}: a retraining sets it itself; leave it out" for name in given])
    chosen = _merged(overrides, {"dataset": DATASET, "surveillance": {"folder": str(FOOTAGE), "manifest": "auto"}})
    place = workspace(project_root(), chosen, WORKSPACE)
    params = load_params(place / PARAMS_FILE)
    away = _fetch(source, incoming)
    receipts = receive(params, incoming)
    registry = registry_of(DATASET)
    champion = registry.champion()
    if champion:
        _suggest(receipts, incoming, place)
    if not footage.taken:
        return _nothing(receipts, away, "the footage has no delivery yet")
    chosen = _merged(chosen, {"surveillance": {"group": hold_out(params).group}})
    start = champion.number if champion else 0
    done: list[str] = []
    if footage.changed:
        try:
            done = run_stages(_prepared(chosen, start, ""), [CHECKED])
        except RefusedError as error:
            give_back(incoming, str(error))
    version = new_version()
    if not force and (known := registry.trained(version, params.recipe())):
        return _nothing(receipts, away, f"version {known.number} of the recogniser was trained on this footage")
    if not force and (unfinished := registry.undecided(version, params.recipe())):
        # The champion may be this very version by now: with another to begin with it would be trained again.
        start = int(unfinished.tags.get(BEGAN_WITH, start))
    folder = _prepared(chosen, start, version)
    try:
        # The registry is no file that DVC could compare, and what was too slow once may have had company.
        run_stages(folder, forced={"latency", "promote", *(["train"] if force else [])}, done=done)
    except RefusedError as error:
        if error.stage not in JUDGING:
            raise
        return _gate_shut(error, receipts, away)
    show_results(folder)
    if not champion and registry.champion():
        _suggest(receipts, incoming, folder)
    return _outcome(folder, receipts, away)


def _prepared(given: Mapping[str, Any], champion: int, version: str) -> Path:
    """The workspace, with the champion to begin with and the version of the footage."""
    return prepare(_merged(given, {"retrain": {"champion": champion, "data_version": version}}), WORKSPACE)


def _fetch(source: str, incoming: Path) -> str:
    """Why not all of the source could be had, empty where it could: what is in the inbox does not wait for it."""
    if source:
        try:
            fetch_deliveries(source, incoming)
        except PanError as error:
            return str(error)
    return ""


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


def _gate_shut(error: RefusedError, receipts: Sequence[Receipt], away: str) -> State[Any]:
    """A challenger that did not come as far as being compared."""
    create_markdown_artifact(f"# Refused at the stage {error.stage}\n\n{error.reason}", key=DECISION_KEY)
    return Completed(name=NOT_PROMOTED, message=_message(str(error), receipts, away))


def _outcome(folder: Path, receipts: Sequence[Receipt], away: str) -> State[Any]:
    found = read_json(folder / "reports" / "promote.json")
    rows = "\n".join(
        f"| {check['name']} | {check['found']} | {check['allowed']} | {'yes' if check['passed'] else 'no'} |"
        for check in found["checks"]
    )
    page = (folder / "reports" / "promotion.html").resolve().as_uri()
    create_markdown_artifact(
        f"# {found['challenger']}: {found['reason']}\n\n| condition | found | allowed | holds |\n| --- | --- | --- | --- |\n{rows}\n\n"
        f"[the decision as a page]({page})",
        key=DECISION_KEY,
        description="Whether the challenger took the champion's place",
    )
    name = PROMOTED if found["promoted"] else NOT_PROMOTED
    message = _message(f"{found['challenger']}: {found['reason']}", receipts, away)
    return Completed(name=NOTHING_NEW if found["already"] else name, message=message)


def _message(reason: str, receipts: Sequence[Receipt], away: str) -> str:
    refused = [f"{receipt.name} was refused: {receipt.reason}" for receipt in receipts if receipt.state == REFUSED]
    return "; ".join([reason, *refused, *([away] if away else [])])


def _nothing(receipts: Sequence[Receipt], away: str, reason: str) -> State[Any]:
    """The state of a run that had nothing to do.

    Raises:
        PanError: Where that is because the source could not be read, or because all that came was refused.
    """
    if away:
        raise PanError(away)
    _require_news(receipts)
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
