"""The flow "pan": the stages of dvc.yaml as Prefect tasks, in the order of the DVC graph.

`python -m flows.pan` runs it here, without any server. `python -m flows.serve` offers it as a deployment.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment
from prefect.states import Cancelled, State

from flows.form import DatasetName, Overrides, Targets
from flows.overrides import add_override_option, read_overrides
from flows.prefect_server import run_to_its_end
from flows.reproduce import project_root, remove_videos, reproduce, select, stage_order, with_upstream
from flows.run_artifacts import show_results
from flows.workspace import changes, workspace
from pan_core.errors import PanError
from pan_core.params.load import PARAMS_FILE, load_params
from pan_core.secrets import guard_output
from pan_core.tracking.tracker import deliver_waiting
from pan_core.workspace.failures import LockedError
from pan_core.workspace.lock import BusyError, workspace_lock
from pan_core.workspace.watched_source import watch_source

# Only where trying again can help: a network that was away, a decoder or a disk that gave out.
# DVC and the pose cache keep what was finished.
RETRIES = {"fetch": 2, "pose": 2}
RETRY_DELAY_S = 30

GAVE_WAY = "GaveWay"
"""Name of the state, a cancelled one, of a deployment's run that met another at work in the same folder."""


def unless(lasting: type[Exception]) -> Callable[[Any, Any, Any], bool]:
    """When a task is tried again: not where it ended with an error that another try would only meet again."""
    return lambda _task, _run, state: not isinstance(state.result(raise_on_failure=False), lasting)


@task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=unless(LockedError))
def run_stage(name: str, folder: Path, force: bool = False) -> None:
    """Bring one DVC stage up to date; its output is the task's log.

    Raises:
        StageError: Where the stage fails, with its last lines.
    """
    reproduce(name, folder, get_run_logger().info, force=force)


def run_stages(
    folder: Path, targets: Iterable[str] | None = None, *, forced: Collection[str] = (), done: Collection[str] = ()
) -> list[str]:
    """Bring stages up to date, each as a task of the flow that calls this.

    Args:
        folder: The project's root, or a workspace.
        targets: Stages; all where None. In a workspace, which may be new, those that they rest on too.
        forced: Stages that run although DVC holds them to be up to date.
        done: Stages that are up to date for certain and need not be asked.

    Returns:
        Those that were brought up to date.

    Raises:
        PanError: Where a stage fails, a target is no stage, or another run is at work in the folder.
    """
    with workspace_lock(folder):
        if targets is not None and folder != project_root():
            targets = with_upstream(folder, targets)
        names = [name for name in select(stage_order(folder), targets) if name not in done]
        try:
            for name in names:
                run_stage.with_options(
                    name=f"stage:{name}",
                    task_run_name=f"stage:{name}",
                    retries=RETRIES.get(name, 0),
                    retry_delay_seconds=RETRY_DELAY_S,
                )(name, folder, name in forced)
        finally:
            deliver_waiting()  # as `pan run` does
    return names


def prepare(overrides: Mapping[str, Any], name: str = "") -> Path:
    """The folder of a run, as `workspace` has it; the run's log names it, and what differs from params.yaml.

    Raises:
        ConfigError: With every fault of the parameters: told before any stage, and never tried again.
    """
    root = project_root()
    folder = workspace(root, overrides, name)
    if (folder / PARAMS_FILE).is_file():
        watch_source(load_params(folder / PARAMS_FILE), folder)
    get_run_logger().info("\n".join([f"results: {folder}", *(f"  {line}" for line in changes(root, folder))]))
    return folder


def turned_away(error: BusyError) -> State[Any]:
    """How a run ends that had to leave the work to another: cancelled where a deployment started it.

    Prefect's own limit would end the run that is at work when its server has been away for minutes, and would hold on to the
    slot of one whose server died.

    Raises:
        BusyError: Where a person did, who shall be told.
    """
    if not deployment.id:
        raise error
    return Cancelled(name=GAVE_WAY, message=str(error))


@flow(name="pan")
def pan(
    dataset: DatasetName | None = None, targets: Targets | None = None, overrides: Overrides | None = None
) -> State[Any] | None:
    """From videos to a validated model: every stage of dvc.yaml that is not up to date.

    Args:
        dataset: Instead of the one in params.yaml.
        targets: Stages to run; all of them by default. With other parameters, those that they rest on run too.
        overrides: Values instead of those in params.yaml, which stays as it is: such a run has a folder of its own
            below `.cache/workspaces`.

    Returns:
        Cancelled where the run of a deployment meets another one in its folder.

    Raises:
        PanError: Where the parameters are wrong, a stage fails or a target is no stage.
    """
    guard_output()
    try:
        _pan(dataset, targets, overrides)
    except BusyError as error:
        return turned_away(error)
    return None


def _pan(dataset: DatasetName | None, targets: Targets | None, overrides: Overrides | None) -> None:
    folder = prepare({**(overrides or {}), **({"dataset": dataset} if dataset else {})})
    run_stages(folder, targets)
    if targets is None and (folder / PARAMS_FILE).is_file() and load_params(folder / PARAMS_FILE).removes_videos:
        if folder == project_root():
            remove_videos(folder, get_run_logger().info)
        else:
            get_run_logger().info("videos are removed by runs without other parameters only")
    show_results(folder)


class ReadableLog(logging.Filter):
    """Leaves out what helps nobody.

    That is the traceback of an error that a person is meant to read, and Prefect's notes on its temporary server.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if record.exc_info and isinstance(record.exc_info[1], PanError):
            record.exc_info = None
            record.msg, record.args = "%s", (record.getMessage().partition(":")[0],)
        return "temporary server" not in str(record.msg)


for _name in ("prefect", "prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(ReadableLog())


def main() -> int:
    """Run the flow in this process."""
    guard_output()
    parser = argparse.ArgumentParser(prog="python -m flows.pan", description="Run the pipeline as a Prefect flow.")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="stages to run; all by default")
    parser.add_argument("--dataset", help="instead of the one in params.yaml")
    add_override_option(parser)
    arguments = parser.parse_args()
    try:
        overrides = read_overrides(arguments.settings)
        targets = arguments.targets or None
        run_to_its_end(lambda _: pan(dataset=arguments.dataset, targets=targets, overrides=overrides))
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
