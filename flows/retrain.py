"""The flow "pan-retrain": new footage is taken, a challenger is trained on all of it, and the better model stays.

`python -m flows.retrain` runs it here, without any server. `python -m flows.serve` offers it as a deployment, on a schedule
and when a delivery arrives.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from ruamel.yaml import YAML

from flows.form import Overrides
from flows.overrides import add_override_option, read_overrides
from flows.pan import prepare, run_stages, turned_away, unless
from flows.prefect_server import run_to_its_end
from flows.reproduce import RefusedError, environment_of, project_root
from flows.run_artifacts import show_results
from flows.workspace import WORKSPACES, workspace
from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, Holdout
from pan_core.datasets.manifests import unlabelled_videos
from pan_core.errors import ConfigError, DataError, PanError
from pan_core.files import read_json
from pan_core.params.load import PARAMS_FILE, Params, load_params
from pan_core.registry.lineage import Lineage
from pan_core.registry.models import BEGAN_WITH, Registry, Version, registry_of
from pan_core.retraining.footage import (
    KNOWN,
    LEDGER,
    REFUSED,
    TAKEN,
    UNLABELLED,
    WAITING,
    Footage,
    Receipt,
    require_taken,
)
from pan_core.secrets import guard_output
from pan_core.workspace.context import dataset_context
from pan_core.workspace.lock import BusyError, exclusive_lock
from pan_core.workspace.paths import FOOTAGE

DATASET = "surveillance"
INCOMING, LABELLING = Path("data/incoming"), Path("data/labelling")
WORKSPACE = "retraining"
"""Name of the folder below `.cache/workspaces` in which the stages run, whatever the parameters."""

LOCK, MEMORY = Path(".cache/retraining.lock"), Path(".cache/deliveries.json")
BUSY = "another retraining is at work in this project"
FIXED = (
    "dataset",
    "surveillance.folder",
    "surveillance.manifest",
    "retrain.champion",
    "retrain.data_version",
    "retrain.begin",
)
"""Parameters that the flow itself sets."""

CHECKED = "validate"
"""The stage up to which new footage is tried before it makes a version."""

READING = ("fetch", "split", "relabel", CHECKED)
"""Stages that fail because of what is in the footage."""

JUDGING = ("evaluate", "export")
"""Stages whose bounds a challenger may fail to meet, which refuses it."""

DECISION_KEY = "pan-decision"

NOTHING_NEW, PROMOTED, NOT_PROMOTED = "NothingNew", "Promoted", "Refused"
"""Names of the states in which a retraining ends well."""


@task(
    cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=30, retry_condition_fn=unless(DataError)
)
def fetch_deliveries(source: str, incoming: Path) -> list[Receipt]:
    """Bring whole deliveries from S3 into the inbox; returns a receipt for each that was left there."""
    from pan_core.retraining.s3_source import fetch_deliveries as fetch

    left: list[Receipt] = []
    names = [
        path.name
        for path in fetch(
            source,
            incoming,
            left=lambda name, reason: left.append(Receipt(name, REFUSED, f"at {source}: {reason}")),
            unfinished=lambda name, reason: left.append(Receipt(name, WAITING, f"at {source}: {reason}")),
        )
    ]
    get_run_logger().info("%s: %s", source, ", ".join(names) or "nothing new")
    return left


@task(cache_policy=NO_CACHE, persist_result=False)
def receive(params: Params, incoming: Path, only: list[str] | None = None) -> list[Receipt]:
    """Take what is new and usable into the footage."""
    receipts = _footage().receive(
        incoming,
        classes=params.retrain.classes,
        max_unusable=params.validation.max_quarantined,
        context=dataset_context(params, DATASET),
        recipe=_trial(params),
        only=only,
    )
    log = get_run_logger()
    for receipt in receipts:
        log.info("%s: %s, %s", receipt.name, receipt.state, receipt.reason)
    return receipts


@task(cache_policy=NO_CACHE, persist_result=False)
def hold_out(params: Params, new: list[str]) -> Holdout:
    """The videos that decide, chosen where there are none yet, more of them where too few clips decide."""
    holdout = _footage().hold_out(
        group=params.surveillance.group,
        folds=params.split.folds,
        share=params.split.validation_share,
        seed=params.seed,
        context=dataset_context(params, DATASET),
        least=params.promote.min_clips + _lost(),
        new=new,
    )
    get_run_logger().info(
        "%d videos decide, %d validate, by %s", len(holdout.videos), len(holdout.validation), holdout.group
    )
    return holdout


@task(cache_policy=NO_CACHE, persist_result=False)
def new_version() -> str:
    """Give the footage as it is now to DVC; returns DVC's hash of it."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", str(FOOTAGE)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PanError(f"{FOOTAGE}: DVC cannot take it in:\n{_last_lines(done.stderr)}")
    _footage().end()
    get_run_logger().info("version %s of the footage", _version())
    return _version()


def _version() -> str:
    """DVC's hash of the footage in its last version."""
    return YAML(typ="safe").load(_footage().version)["outs"][0]["md5"].removesuffix(".dir")


def _require_version() -> None:
    """Refuse to go on from footage that is not as its last version has it: what is damaged must not become the next one.

    Raises:
        DataError: With the way back.
    """
    if not _footage().version:
        return
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json", f"{FOOTAGE}.dvc"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PanError(f"{FOOTAGE}: DVC cannot look at it:\n{_last_lines(done.stderr)}")
    # Where DVC's cache is gone the footage may be whole all the same.
    if any(word in done.stdout for word in ("modified", "deleted")):
        raise DataError(f"{FOOTAGE}: is not as its last version has it; {BRING_BACK}")


def _trial(params: Params) -> str:
    """What decides, beside a delivery itself, whether it passes."""
    return f"{params.recipe()} {hashlib.sha256(_footage().version.encode()).hexdigest()[:12]}"


def _footage() -> Footage:
    return Footage(FOOTAGE, MEMORY)


def _lost() -> int:
    """Clips that decide and could not be used when they were looked at last: there must be so many more."""
    path = WORKSPACES / WORKSPACE / "reports" / "evaluate.json"
    found = read_json(path) if path.is_file() else {}
    return found.get("test_clips_listed", 0) - found.get("test_clips", 0)


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
        A state that says in its name and message what became of it: NothingNew, Promoted or Refused; Cancelled where
        the run of a deployment meets another one.

    Raises:
        PanError: Where parameters are wrong, all that came was refused, the footage does not suffice, or a stage fails.
    """
    guard_output()
    try:
        with exclusive_lock(LOCK, f"{BUSY}; wait until it ends, then start this one again"):
            return _retrain(source, Path(incoming), overrides or {}, force)
    except BusyError as error:
        return turned_away(error)


def _retrain(source: str, incoming: Path, overrides: Mapping[str, Any], force: bool) -> State[Any]:
    footage = _footage()
    footage.recover()
    if footage.versioned and not (FOOTAGE / LEDGER).is_file():
        raise PanError(
            f"{FOOTAGE}: is gone, but {FOOTAGE}.dvc names it; `dvc pull {FOOTAGE}.dvc` or `dvc checkout` brings it back"
        )
    if given := [name for name in FIXED if _value(overrides, name) is not None]:
        raise ConfigError("overrides", [f"{name}: a retraining sets it itself; leave it out" for name in given])
    chosen = _merged(overrides, {"dataset": DATASET, "surveillance": {"folder": str(FOOTAGE), "manifest": "auto"}})
    place = workspace(project_root(), chosen, WORKSPACE)
    params = load_params(place / PARAMS_FILE)
    if params.removes_videos:
        reason = "retraining judges every version on the videos of one holdout, so it keeps them; set it to true"
        raise ConfigError(PARAMS_FILE.name, [f"pose.keep_video: {reason}"])
    footage.require_group(params.surveillance.group)
    _require_version()
    left, away = _fetch(source, incoming)
    registry = registry_of(DATASET)
    champion = registry.champion()
    start = champion.number if champion else 0
    receipts, done = _take(params, chosen, incoming, start, force)
    receipts += left
    rows = [{"delivery": r.name, "state": r.state, "reason": r.reason, "clips": r.clips} for r in receipts]
    create_table_artifact(table=rows, key="pan-deliveries", description=f"Folders in {incoming}")
    if champion:
        _suggest(receipts, incoming, place)
    if not footage.taken:
        footage.recover()
        return _nothing(receipts, away, "the footage has no delivery yet")
    version = _version() if not any(receipt.change for receipt in receipts) and footage.version else new_version()
    withdrawn = _learnt_and_withdrawn(registry, champion, footage.hashes)
    notes = [
        *([f"the champion, version {start}, learnt from {withdrawn}"] if withdrawn else []),
        *([away] if away else []),
    ]
    known = registry.trained(version, params.recipe())
    if not force and known and (not withdrawn or known.number > start):
        return _nothing(receipts, away, f"version {known.number} of the recognizer was trained on this footage", notes)
    key = f"{version} {params.recipe()} {start}"
    if not force and (shut := footage.memory.read("shut").get(key)):
        return _nothing(receipts, away, shut, notes)
    if not force and (unfinished := registry.undecided(version, params.recipe())):
        # The champion may be this very version by now: with another to begin with it would be trained again.
        start = int(unfinished.tags.get(BEGAN_WITH, start))
    folder = _prepared(chosen, start, version, begin=not withdrawn)
    try:
        # The registry is no file that DVC could compare, and what was too slow once may have had company.
        again = force or bool(withdrawn and known)
        run_stages(folder, forced={"latency", "promote", *(["train"] if again else [])}, done=done)
    except RefusedError as error:
        if not error.measured or error.stage not in JUDGING:
            raise
        footage.memory.write("shut", {**footage.memory.read("shut"), key: str(error)})
        return _gate_shut(error, receipts, notes)
    show_results(folder)
    if not champion and registry.champion():
        _suggest(receipts, incoming, folder)
    return _outcome(folder, receipts, notes)


def _take(
    params: Params, chosen: Mapping[str, Any], incoming: Path, start: int, force: bool
) -> tuple[list[Receipt], list[str]]:
    """Take what has arrived and passes validation; what does not leaves the footage as it was.

    Where several deliveries together do not pass, each is tried by itself, and makes a version of its own.

    Returns:
        One receipt for each folder, and the stages that are up to date with the footage as it is now.
    """
    footage = _footage()
    if force:
        footage.memory.write("failed", {})
    footage.begin()
    try:
        receipts = receive(params, incoming)
        changed = [receipt for receipt in receipts if receipt.change]
        done: list[str] = []
        if changed:
            reason, done = _tried(params, chosen, changed, start)
            if reason and not footage.versioned:
                # More footage may help, so what comes next is tried with it.
                footage.recover()
                receipts = _with(receipts, [Receipt(receipt.name, REFUSED, reason) for receipt in changed])
            elif reason and len(changed) == 1:
                footage.recover()
                receipts = _with(receipts, [footage.refuse(changed[0], reason, _trial(params))])
            elif reason:
                receipts = _one_by_one(params, chosen, incoming, start, receipts)
    except BaseException:
        footage.recover()
        raise
    if not any(receipt.change for receipt in receipts):
        footage.end()
    return receipts, done


def _one_by_one(
    params: Params, chosen: Mapping[str, Any], incoming: Path, start: int, receipts: Sequence[Receipt]
) -> list[Receipt]:
    footage, found = _footage(), []
    # A withdrawal may pass only after what has come beside it.
    for receipt in sorted((r for r in receipts if r.change), key=lambda each: each.change == "withdrawn"):
        footage.begin()
        alone = next(
            iter(receive(params, incoming, [receipt.name])), Receipt(receipt.name, REFUSED, "is gone from the inbox")
        )
        if alone.change:
            reason, _ = _tried(params, chosen, [alone], start)
            if reason:
                footage.recover()
                alone = footage.refuse(alone, reason, _trial(params))
            else:
                new_version()
        found.append(alone)
    return _with(receipts, found)


def _with(receipts: Sequence[Receipt], others: Sequence[Receipt]) -> list[Receipt]:
    """Receipts, some of them replaced by those of the same name."""
    named = {receipt.name: receipt for receipt in others}
    return [named.get(receipt.name, receipt) for receipt in receipts]


def _tried(params: Params, chosen: Mapping[str, Any], changed: Sequence[Receipt], start: int) -> tuple[str, list[str]]:
    """Why the footage as it is now cannot be learnt from, empty where it can; and the stages that are up to date.

    Raises:
        DataError: Where its first holdout cannot be drawn: more footage helps.
    """
    first = _footage().holdout is None
    if not _footage().taken:
        return "", []
    try:
        hold_out(params, [receipt.name for receipt in changed if receipt.change == "new"])
        return "", run_stages(_prepared(chosen, start, ""), [CHECKED])
    except RefusedError as error:
        if error.stage not in READING:
            raise
        return str(error), []
    except DataError as error:
        if first:
            raise
        return str(error), []


def _learnt_and_withdrawn(registry: Registry, champion: Version | None, there: Collection[str]) -> str:
    """What the champion learnt from and the footage does not have any more, in words; empty where that is nothing or not known."""
    if not champion:
        return ""
    try:
        learnt = Lineage.read(registry.fetch(champion))
    except PanError as error:
        get_run_logger().warning("%s", error)
        return ""
    gone = learnt.videos - set(there) if learnt else set()
    return f"{len(gone)} videos that are not in the footage any more" if gone else ""


def _prepared(chosen: Mapping[str, Any], champion: int, version: str, *, begin: bool = True) -> Path:
    """The workspace, with the champion, whether to begin with its weights, and the version of the footage."""
    own = {"champion": champion, "data_version": version, "begin": begin}
    group = Holdout.read(FOOTAGE / HOLDOUT).group
    return prepare(_merged(chosen, {"surveillance": {"group": group}, "retrain": own}), WORKSPACE)


def _fetch(source: str, incoming: Path) -> tuple[list[Receipt], str]:
    """What was left at the source, and why not all of it could be had, empty where it could: the inbox does not wait for it."""
    if not source:
        return [], ""
    try:
        return fetch_deliveries(source, incoming), ""
    except PanError as error:
        return [], str(error)


def _suggest(receipts: Sequence[Receipt], incoming: Path, place: Path) -> None:
    for receipt in receipts:
        if receipt.state in (TAKEN, KNOWN, UNLABELLED):
            suggest_labels(incoming / receipt.name, place)


def _require_news(receipts: Sequence[Receipt]) -> None:
    """Fail where deliveries are refused, once for each reason: what nobody puts right must not fail every night.

    Raises:
        DataError: With the reason of each.
    """
    told = _footage().memory.read("told")
    refused = _told(receipts)
    if refused.items() - told.items():
        require_taken(receipts)


def _told(receipts: Sequence[Receipt]) -> dict[str, str]:
    """Reasons of refusals, remembered as told."""
    refused = {receipt.name: receipt.reason for receipt in receipts if receipt.state == REFUSED}
    _footage().memory.write("told", refused)
    return refused


def _last_lines(text: str) -> str:
    """The end of what a command said, without bars that redraw themselves."""
    return "\n".join(line for line in text.splitlines() if "%|" not in line)[-2000:].strip()


def _gate_shut(error: RefusedError, receipts: Sequence[Receipt], notes: Sequence[str]) -> State[Any]:
    """A challenger that did not come as far as being compared."""
    create_markdown_artifact(f"# Refused at the stage {error.stage}\n\n{error.reason}", key=DECISION_KEY)
    return Completed(name=NOT_PROMOTED, message=_message(str(error), receipts, notes))


def _outcome(folder: Path, receipts: Sequence[Receipt], notes: Sequence[str]) -> State[Any]:
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
    message = _message(f"{found['challenger']}: {found['reason']}", receipts, notes)
    return Completed(name=NOTHING_NEW if found["already"] else name, message=message)


def _message(reason: str, receipts: Sequence[Receipt], notes: Sequence[str]) -> str:
    refused = [f"{name} was refused: {why}" for name, why in _told(receipts).items()]
    return "; ".join([reason, *refused, *notes])


def _nothing(receipts: Sequence[Receipt], away: str, reason: str, notes: Sequence[str] = ()) -> State[Any]:
    """The state of a run that had nothing to do.

    Raises:
        PanError: Where that is because the source could not be read, or because all that came was refused.
    """
    others = [f"{r.name} is {r.state}: {r.reason}" for r in receipts if r.state not in (TAKEN, KNOWN)]
    if away:
        raise PanError("; ".join([away, *others]))
    _require_news(receipts)
    return Completed(name=NOTHING_NEW, message="; ".join([reason, *notes, *others]))


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


def _ended(state: State) -> str:
    """How a run ended, in a line; raises what it failed with."""
    state.result()
    return f"{state.name}: {state.message}"


def _registered() -> int:
    """How many versions there are."""
    return len(registry_of(DATASET).versions())


def main() -> int:
    """Run the flow in this process."""
    guard_output()
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description="Retrain on new footage.")
    parser.add_argument("--source", default="", help="where deliveries come from, such as s3://bucket/prefix")
    parser.add_argument("--incoming", default=str(INCOMING), help="the inbox")
    add_override_option(parser)
    parser.add_argument("--force", action="store_true", help="train although nothing is new")
    arguments = parser.parse_args()
    try:
        overrides = read_overrides(arguments.settings)
        given = (arguments.source, arguments.incoming, overrides)
        before = _registered() if arguments.force else 0

        def run(again: bool) -> str:
            # What was forced, and was registered before the server went away, is not trained a second time.
            force = arguments.force and not (again and _registered() > before)
            return _ended(retrain(*given, force, return_state=True))

        print(run_to_its_end(run))
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
