"""The flow "pan": the stages of dvc.yaml as Prefect tasks, in the order of the DVC graph.

`python -m flows.pan` runs it here, without any server. `python -m flows.serve` offers it as a deployment.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.reproduce import LockedError, project_root, reproduce, select, stage_order
from flows.server import reachable_server
from pan_core.config import PARAMS_FILE, load_params
from pan_core.errors import PanError
from pan_core.files import read_json

SUMMARY = Path("reports/summary.json")

# Only where trying again can help: a network that was away, a decoder or a disk that gave out.
# DVC and the pose cache keep what was finished.
RETRIES = {"fetch": 2, "pose": 2}
RETRY_DELAY_S = 30


def _may_pass_next_time(_task: Any, _run: Any, state: Any) -> bool:
    return not isinstance(state.result(raise_on_failure=False), LockedError)


@task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=_may_pass_next_time)
def run_stage(name: str) -> None:
    """Bring one DVC stage up to date; its output is the task's log.

    Raises:
        StageError: Where the stage fails, with its last lines.
    """
    reproduce(name, project_root(), get_run_logger().info)


@task(name="summary", task_run_name="summary", cache_policy=NO_CACHE, persist_result=False)
def show_summary() -> None:
    """Put the figures of the run beside it, as a table."""
    if not SUMMARY.is_file():
        get_run_logger().info("%s was not written, so there is no table of figures", SUMMARY)
        return
    rows = figures(read_json(SUMMARY))
    create_table_artifact(table=rows, key="pan-summary", description="Figures of the run")
    width = max((len(row["figure"]) for row in rows), default=0)
    get_run_logger().info("\n".join([str(SUMMARY), *(f"  {row['figure']:{width}}  {row['value']}" for row in rows)]))


@flow(name="pan")
def pan(targets: list[str] | None = None) -> None:
    """From videos to a validated model: every stage of dvc.yaml that is not up to date.

    Args:
        targets: Stages to run; all of them by default.

    Raises:
        PanError: Where the parameters are wrong, a stage fails or a target is no stage.
    """
    parameters = project_root() / PARAMS_FILE
    if parameters.is_file():
        load_params(parameters)  # a slip in it is told before any stage, and never tried again
    for name in select(stage_order(project_root()), targets):
        run_stage.with_options(
            name=f"stage:{name}",
            task_run_name=f"stage:{name}",
            retries=RETRIES.get(name, 0),
            retry_delay_seconds=RETRY_DELAY_S,
        )(name)
    show_summary()


def figures(summary: dict[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    """Nested JSON as rows of (figure, value), names joined by dots."""
    rows: list[dict[str, Any]] = []
    for key, value in summary.items():
        if isinstance(value, dict):
            rows += figures(value, f"{prefix}{key}.")
        else:
            rows.append({"figure": f"{prefix}{key}", "value": value if isinstance(value, int | float) else str(value)})
    return rows


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
    parser = argparse.ArgumentParser(prog="python -m flows.pan", description="Run the pipeline as a Prefect flow.")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="stages to run; all by default")
    arguments = parser.parse_args()
    try:
        with reachable_server():
            pan(targets=arguments.targets or None)
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
