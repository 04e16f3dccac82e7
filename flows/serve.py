"""`python -m flows.serve`: offer the flows as deployments, and watch the inbox, until interrupted."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.states import Crashed

from flows.arrivals import watching
from flows.prefect_server import any_server
from flows.reproduce import project_root
from pan_core.errors import PanError
from pan_core.secrets import guard_output, without_login
from pan_core.workspace.lock import exclusive_lock

PIPELINE, RETRAINING = "pan/full-pipeline", "pan-retrain/surveillance"
EVERY_NIGHT = "0 3 * * *"
INCOMING = Path("data/incoming")
LOCK = Path(".cache/prefect/serve.lock")
POLL_S = 2.0


def deployments(source: str = "") -> dict[str, RunnerDeployment]:
    """The deployments by their full names, as prefect.yaml states them for a work pool; they keep the project's absolute path.

    Args:
        source: Where deliveries come from beside the inbox, such as s3://bucket/prefix.

    A run that is asked for while another is at work in its folder ends as cancelled, it is not queued (`flows.pan.turned_away`):
    the next one does whatever is left.
    """
    return {
        PIPELINE: RunnerDeployment.from_entrypoint(
            "flows/pan.py:pan",
            name=_own_name(PIPELINE),
            description="Every DVC stage that is not up to date, in the order of the DVC graph.",
        ),
        RETRAINING: RunnerDeployment.from_entrypoint(
            "flows/retrain.py:retrain",
            name=_own_name(RETRAINING),
            description="Takes new footage, trains a challenger, and promotes it if it is no worse than the champion.",
            cron=EVERY_NIGHT,
            parameters={"source": source},
        ),
    }


def _own_name(full_name: str) -> str:
    return full_name.partition("/")[2]


def close_abandoned_runs() -> int:
    """Mark as crashed what an earlier serve was running when it was killed; else it would be seen at work for ever.

    Only right where this process is the deployment's sole runner.

    Returns:
        How many runs were closed.
    """
    unfinished = {"type": {"any_": [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]}}
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            deployment_filter=DeploymentFilter.model_validate(
                {"name": {"any_": [_own_name(n) for n in (PIPELINE, RETRAINING)]}}
            ),
            flow_run_filter=FlowRunFilter.model_validate({"state": unfinished}),
        )
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="The process that ran it was killed."), force=True)
    return len(runs)


class PatientRunner(Runner):
    """A runner that ends its flow runs before itself, on SIGINT and SIGTERM alike.

    Prefect's own kills them at once, which leaves DVC and the stage behind.
    """

    async def start(self, *args: Any, **kwargs: Any) -> None:
        """Poll for runs and execute them until a signal arrives."""
        self._event_loop = asyncio.get_running_loop()
        self._event_loop.add_signal_handler(signal.SIGINT, self._begin_end)
        await super().start(*args, **kwargs)

    def handle_sigterm(self, *_args: Any, **_kwargs: Any) -> None:
        """Treat SIGTERM as an interrupt."""
        self._event_loop.call_soon_threadsafe(self._begin_end)

    def _begin_end(self) -> None:
        if self.started and not self.stopping:
            print("ending the run that is under way, if there is one", flush=True)
            self._ending = self._event_loop.create_task(self.astop())


def main() -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    guard_output()
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="Offer the flows as deployments.")
    parser.add_argument("--source", default="", help="where deliveries come from, such as s3://bucket/prefix")
    source = parser.parse_args().source
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with (
            exclusive_lock(project_root() / LOCK, _describe_served(project_root())),
            any_server() as (api_url, embedded),
        ):
            if embedded and (closed := close_abandoned_runs()):
                print(f"{closed} run(s) that a killed process left behind are marked as crashed")
            # No limit on processes: a surplus run must be taken up to end as cancelled.
            runner = PatientRunner(pause_on_shutdown=False, limit=None, query_seconds=POLL_S)
            ids = {name: cast(UUID, runner.add_deployment(each)) for name, each in deployments(source).items()}
            for deployment_id in ids.values():
                _settle(deployment_id)
            print(_describe_use(api_url, embedded), flush=True)
            with watching(INCOMING, ids[RETRAINING]):
                asyncio.run(runner.start())
            print("stopped")
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
    return 0


def _settle(deployment_id: UUID) -> None:
    # For a deployment that the server already knows Prefect leaves these as they were: after the project was moved,
    # or was deployed to a work pool, a run would look for its code in the wrong place, or wait for a slot.
    update = DeploymentUpdate(path=str(project_root()), pull_steps=None, work_pool_name=None, concurrency_limit=None)
    with get_client(sync_client=True) as client:
        client.update_deployment(deployment_id, update)


def _describe_served(root: Path) -> str:
    return f"{root}: this project is already being served; use that one (`prefect deployment run {PIPELINE}`) or end it"


def _describe_use(api_url: str, embedded: bool) -> str:
    api_url = without_login(api_url)
    export = f"export PREFECT_API_URL={api_url}"
    elsewhere = f"From any other folder, first: {export}" if embedded else f"Where it is not set, first: {export}"
    return (
        f"Prefect is at {api_url.removesuffix('/api')}; serving {PIPELINE} and {RETRAINING}, Ctrl-C ends.\n"
        f"Retraining: every night at 3 (UTC), and when a delivery arrives in {INCOMING}.\n"
        f"From another shell, in this folder: prefect deployment run {PIPELINE}\n{elsewhere}"
    )


if __name__ == "__main__":
    sys.exit(main())
