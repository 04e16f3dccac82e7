"""The flow "pan-retrain": take new footage, train a challenger on all of it, and promote it if it is no worse.

`python -m flows.retrain` runs it here, `python -m flows.serve` offers it as a deployment. `pan_core.retraining` decides.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.form import Overrides
from flows.overrides import add_override_option, read_overrides
from flows.pan import prepare, run_stages, turned_away
from flows.prefect_server import run_to_its_end
from flows.reproduce import project_root
from flows.retrain_tasks import fetch_deliveries, hold_out, new_version, receive, suggest_labels
from flows.run_artifacts import show_results
from flows.workspace import workspace
from pan_core.errors import PanError
from pan_core.params.load import PARAMS_FILE, load_params
from pan_core.retraining import decision, outcome, project
from pan_core.retraining.footage import Footage
from pan_core.retraining.receipts import Receipt, may_be_labelled, table_rows
from pan_core.retraining.run_parameters import choose_parameters, training_parameters
from pan_core.retraining.trial import Trial, TrialSteps
from pan_core.secrets import guard_output
from pan_core.workspace.failures import RefusedError
from pan_core.workspace.lock import BusyError, exclusive_lock


@flow(name="pan-retrain")
def retrain(
    source: str = "", incoming: str = str(project.INCOMING), overrides: Overrides | None = None, force: bool = False
) -> State[Any]:
    """Take new footage, train a challenger from nothing and from the champion, and promote it if it is no worse.

    Args:
        source: Where deliveries come from, such as s3://bucket/prefix; empty if they are put into the inbox.
        incoming: The inbox, a folder with a folder for each delivery.
        overrides: Values in the place of those in params.yaml.
        force: Whether to train although this footage was trained on with these parameters before.

    Returns:
        A state whose name and message describe the outcome: NothingNew, Promoted or Refused; Cancelled if the run of a
        deployment meets another one.

    Raises:
        PanError: If parameters are wrong, all that came was refused, the footage does not suffice, or a stage fails.
    """
    guard_output()
    try:
        with exclusive_lock(project.LOCK, project.BUSY):
            result = _retrain(source, Path(incoming), overrides or {}, force)
            if result.page:
                create_markdown_artifact(result.page, key="pan-decision", description=outcome.ABOUT)
            return Completed(name=result.name, message=result.message)
    except BusyError as error:
        return turned_away(error)


def _retrain(source: str, incoming: Path, overrides: Mapping[str, Any], force: bool) -> outcome.Outcome:
    footage, chosen = project.open_footage(), choose_parameters(overrides)
    place = workspace(project_root(), chosen, project.WORKSPACE)
    params = load_params(place / PARAMS_FILE)
    project.require_ready(params, footage)
    left, away = _fetch(source, incoming)
    registry, champion = project.open_registry()
    trial_plan = decision.RetrainingPlan(start=champion.number if champion else 0)
    steps = TrialSteps(
        receive=lambda only: receive(footage, params, incoming, only),
        hold_out=lambda new: hold_out(footage, params, new),
        check=lambda: run_stages(_prepare(chosen, footage, trial_plan), [decision.CHECKED]),
        keep=lambda: new_version(footage),
    )
    trial = Trial(footage, params.recipe(), steps).run(force=force)
    receipts = [*trial.receipts, *left]
    create_table_artifact(table=table_rows(receipts), key="pan-deliveries", description=f"Folders in {incoming}")
    _suggest(receipts if champion else [], incoming, place)
    if not footage.ledger.taken:
        footage.transaction.recover()
        return outcome.end_without_training(outcome.NO_DELIVERY, outcome.RunNotes(receipts, away), footage.memory)
    version = new_version(footage) if trial.changed or not footage.version.exists else footage.version.md5
    warn = get_run_logger().warning
    state = project.examine_run(registry, champion, footage, version, params.recipe(), force=force, warn=warn)
    plan, notes = decision.plan_run(state), outcome.RunNotes(receipts, away, state.champion, state.withdrawn)
    if plan.nothing:
        return outcome.end_without_training(plan.nothing, notes, footage.memory)
    folder = _prepare(chosen, footage, plan, version)
    try:
        run_stages(folder, forced=plan.forced, done=trial.done)
    except RefusedError as error:
        project.remember_gate(footage, error, state)
        return outcome.end_at_gate(error, notes, footage.memory)
    show_results(folder)
    _suggest(receipts if not champion and registry.champion() else [], incoming, folder)
    return outcome.end_decided(folder, notes, footage.memory)


def _fetch(source: str, incoming: Path) -> tuple[list[Receipt], str]:
    """Receipts of what was left at the source, and why not all could be fetched: the inbox does not wait for it."""
    try:
        return (fetch_deliveries(source, incoming) if source else []), ""
    except PanError as error:
        return [], str(error)


def _prepare(chosen: Mapping[str, Any], footage: Footage, plan: decision.RetrainingPlan, version: str = "") -> Path:
    return prepare(training_parameters(chosen, footage.holdout, plan, version), project.WORKSPACE)


def _suggest(receipts: Sequence[Receipt], incoming: Path, place: Path) -> None:
    for name in may_be_labelled(receipts):
        suggest_labels(incoming / name, place)


def main() -> int:
    """Run the flow in this process."""
    guard_output()
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description="Retrain on new footage.")
    parser.add_argument("--source", default="", help="where deliveries come from, such as s3://bucket/prefix")
    parser.add_argument("--incoming", default=str(project.INCOMING), help="the inbox")
    add_override_option(parser)
    parser.add_argument("--force", action="store_true", help="train although nothing is new")
    given = parser.parse_args()
    try:
        overrides, before = read_overrides(given.settings), project.count_versions() if given.force else 0

        def run(again: bool) -> str:
            # What was forced, and was registered before the server went away, is not trained a second time.
            force = given.force and not (again and project.count_versions() > before)
            state = retrain(given.source, given.incoming, overrides, force, return_state=True)
            state.result()  # raises what it failed with
            return f"{state.name}: {state.message}"

        print(run_to_its_end(run))
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
