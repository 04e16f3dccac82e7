"""Two shells, as a user has them: `python -m flows.serve` in one, the bare `prefect` command in the other."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from chaos.servers import prefect_server, running
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from flows.pan import GAVE_WAY

pytestmark = pytest.mark.timeout(900)  # a whole pipeline, also on a machine that has other work

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PIPELINE = """
stages:
  quick:
    cmd: echo hello > quick.txt
    outs: [quick.txt]
  slow:
    cmd: echo $$ > pid && test -f go && cp quick.txt slow.txt || sleep 120
    deps: [quick.txt]
    outs: [slow.txt]
"""


@pytest.fixture
def workspace(project) -> Path:
    root = project(PIPELINE)
    (root / "flows").symlink_to(REPOSITORY / "flows")
    shutil.copy(REPOSITORY / "prefect.toml", root)
    return root


@contextmanager
def serve(workspace: Path, **more: str):
    with (workspace / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.serve"],
            cwd=workspace,
            env=environment(PYTHONPATH=str(REPOSITORY), **more),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def environment(**more: str) -> dict[str, str]:
    """That of a shell in which only the virtual environment is active."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {"PATH": f"{BIN}{os.pathsep}{kept['PATH']}"} | more


@contextmanager
def client_of(workspace: Path):
    """A client of the server whose address stands in the workspace's profile."""
    profile = tomllib.loads((workspace / ".cache/prefect/profiles.toml").read_text())["profiles"]["ephemeral"]
    with temporary_settings({PREFECT_API_URL: profile["PREFECT_API_URL"]}), get_client(sync_client=True) as client:
        yield client


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_deployments_run_from_another_shell_one_at_a_time_or_on_arrival_and_leave_nothing(workspace):
    # Prefect's scheduler looks once a minute by itself.
    with serve(workspace, PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="2") as serving:
        log = workspace / "serve.log"
        wait_for(lambda: "serving pan/full-pipeline" in log.read_text() or serving.poll() is not None)
        assert serving.poll() is None, log.read_text()

        shell = {"cwd": workspace, "env": environment(), "capture_output": True, "text": True, "timeout": 100}
        asked = subprocess.run(["prefect", "deployment", "run", "pan/full-pipeline"], check=False, **shell)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        wait_for((workspace / "pid").exists)
        assert "echo hello > quick.txt" in log.read_text(), "the stages' output is shown while they run"

        with client_of(workspace) as client:
            # Beside it are the scheduled runs of the other deployment.
            (first,) = client.read_flow_runs(flow_filter=FlowFilter.model_validate({"name": {"any_": ["pan"]}}))
            second = client.create_flow_run_from_deployment(first.deployment_id)
            wait_for(lambda: client.read_flow_run(second.id).state.is_cancelled())
            assert client.read_flow_run(second.id).state.name == GAVE_WAY
            assert client.read_flow_run(first.id).state.is_running()

            planned = FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}})
            wait_for(lambda: client.read_flow_runs(flow_run_filter=planned))
            night = client.read_flow_runs(flow_run_filter=planned)[0].expected_start_time
            assert (night.hour, night.minute) == (3, 0)

            # A delivery starts a retraining, which ends at once: the workspace has no parameters.
            folder = workspace / "data" / "incoming" / "2026-11-20"
            folder.mkdir(parents=True)
            (folder / "_SUCCESS").touch()
            wait_for(lambda: any(run.state.is_failed() for run in client.read_flow_runs()))
            (failed,) = [run for run in client.read_flow_runs() if run.state.is_failed()]
            assert "no such file; run from the project's root" in failed.state.message

        serving.send_signal(signal.SIGTERM)
        assert serving.wait(60) == 0
        stage = int((workspace / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(stage, 0)
        assert "PREFECT_API_URL" not in (workspace / ".cache/prefect/profiles.toml").read_text()


@pytest.mark.long
def test_of_several_late_runs_one_runs_and_the_others_are_cancelled(workspace, server):
    from flows.serve import PIPELINE, deployments

    deployment_id = deployments()[PIPELINE].apply()
    due = datetime.now(UTC) - timedelta(hours=1)
    with get_client(sync_client=True) as client:
        runs = [
            client.create_flow_run_from_deployment(deployment_id, state=Scheduled(scheduled_time=due)) for _ in range(3)
        ]
        with serve(workspace, PREFECT_API_URL=server) as serving:
            wait_for((workspace / "pid").exists)
            wait_for(lambda: states(client, runs) == ["CANCELLED", "CANCELLED", "RUNNING"])
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(60) == 0


@pytest.mark.long
def test_a_deployed_run_goes_on_while_its_server_is_away(project, tmp_path_factory):
    """Killed in the middle of a stage, and back before the run ends: what the run did is then seen there."""
    root = project(
        "stages:\n  waits:\n    cmd: touch begun && until test -f go; do sleep 0.2; done && touch done\n    outs: [done]\n"
    )
    (root / "flows").symlink_to(REPOSITORY / "flows")
    shutil.copy(REPOSITORY / "prefect.toml", root)
    with running(prefect_server(tmp_path_factory.mktemp("prefect"))) as server:
        address = server.address.removesuffix("/health")
        with serve(root, PREFECT_API_URL=address) as serving:
            wait_for(lambda: "serving pan/full-pipeline" in (root / "serve.log").read_text())
            shell = {"cwd": root, "env": environment(PREFECT_API_URL=address), "check": True, "capture_output": True}
            subprocess.run(["prefect", "deployment", "run", "pan/full-pipeline"], **shell)
            wait_for((root / "begun").exists)
            server.kill()
            time.sleep(20)
            server.start()
            (root / "go").touch()
            with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
                pan = FlowFilter.model_validate({"name": {"any_": ["pan"]}})
                wait_for(lambda: all(run.state.is_final() for run in client.read_flow_runs(flow_filter=pan)))
                (run,) = client.read_flow_runs(flow_filter=pan)
                assert run.state.is_completed(), run.state
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(60) == 0
    assert (root / "done").exists()


def states(client, runs) -> list[str]:
    return sorted(client.read_flow_run(run.id).state.type.value for run in runs)


def test_the_server_lets_pages_from_elsewhere_neither_read_nor_write(server):
    """Its own page may do both; without the token that only a page of its own can fetch, nobody writes."""
    port = urlsplit(server).port
    for origin, allowed in (
        (f"http://localhost:{port}", f"http://localhost:{port}"),
        ("http://elsewhere.example", None),
    ):
        answer = httpx.get(f"{server}/health", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
    asked = httpx.post(f"{server}/flow_runs/filter", json={}, headers={"Origin": "http://elsewhere.example"})
    assert asked.status_code == 403
    assert "CSRF" in asked.text


def test_prefect_yaml_states_the_same_deployments(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    from flows.serve import deployments

    stated = {item["name"]: item for item in yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]}
    assert stated.keys() == {served.name for served in deployments().values()}
    for served in deployments().values():
        own = stated[served.name]
        assert own["entrypoint"] == served.entrypoint
        assert own["description"] == served.description
        # Prefect's limit would end a run whose server is away: flows.pan.turned_away takes its place.
        assert "concurrency_limit" not in own
        assert served.concurrency_limit is None
        assert [item["cron"] for item in own.get("schedules", [])] == [item.schedule.cron for item in served.schedules]
