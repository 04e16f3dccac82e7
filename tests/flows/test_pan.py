import json
import logging
import time
from types import SimpleNamespace

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter, TaskRunFilter

import flows.pan
from flows.pan import GAVE_WAY, ReadableLog, pan
from pan_core.workspace.lock import BusyError, workspace_lock

CHAIN = """
stages:
  second:
    cmd: cat first.txt && cat first.txt > second.txt && mkdir reports && cp figures.json reports/summary.json
    deps: [first.txt, figures.json]
    outs: [second.txt, reports/summary.json]
  first:
    cmd: echo hello from first > first.txt
    outs: [first.txt]
"""


@pytest.fixture
def chain(project):
    root = project(CHAIN)
    (root / "figures.json").write_text(json.dumps({"accuracy": 0.75, "latency": {"step_ms": 1.5, "device": "cpu"}}))
    return root


def run_of(state) -> tuple[list[str], list[str], list[str]]:
    """Task runs by start, the lines that they logged, and artifact keys of a flow run."""
    run_id = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(task_run_filter=TaskRunFilter.model_validate({"flow_run_id": {"any_": [run_id]}}))
        logs = all_logs(client, run_id)
        artifacts = client.read_artifacts(flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [run_id]}}))
    started = sorted(tasks, key=lambda task: task.expected_start_time)
    return [task.name for task in started], [log.message for log in logs], [artifact.key for artifact in artifacts]


def all_logs(client, run_id) -> list:
    """Logs of a flow run, once its last line has come: they are sent in the background, every few seconds."""
    deadline = time.monotonic() + 30
    while True:
        logs = client.read_logs(LogFilter.model_validate({"flow_run_id": {"any_": [run_id]}}))
        if any("Finished in state" in log.message and log.task_run_id is None for log in logs):
            return logs
        assert time.monotonic() < deadline, f"the logs are not whole: {[log.message for log in logs]}"
        time.sleep(0.2)


def test_every_stage_is_a_task_in_the_order_of_the_graph(chain, server):
    state = pan(return_state=True)
    assert state.is_completed()
    tasks, lines, artifacts = run_of(state)
    assert tasks == ["stage:first", "stage:second", "summary"]
    assert "hello from first" in lines
    assert sorted(artifacts) == ["pan-results", "pan-summary"]
    assert (chain / "second.txt").read_text() == "hello from first\n"


def test_only_the_targets_run(chain, server):
    state = pan(targets=["first"], return_state=True)
    assert state.is_completed()
    tasks, _, artifacts = run_of(state)
    assert tasks == ["stage:first", "summary"]
    assert artifacts == ["pan-results"]
    assert not (chain / "second.txt").exists()


def test_a_failing_stage_fails_the_flow_with_its_output(project, server):
    root = project(
        "stages:\n  a:\n    cmd: echo the camera is gone && exit 1\n    outs: [a.txt]\n"
        "  b:\n    cmd: touch b.txt\n    deps: [a.txt]\n    outs: [b.txt]\n"
    )
    state = pan(return_state=True)
    assert state.is_failed()
    assert state.result(raise_on_failure=False).code == "stage.failed"
    assert "the camera is gone" in state.message
    assert not (root / "b.txt").exists()


def test_a_stage_for_which_a_retry_helps_is_tried_again(project, server, monkeypatch):
    monkeypatch.setattr(flows.pan, "RETRY_DELAY_S", 0)
    # Fails at the first try only.
    root = project(
        "stages:\n  fetch:\n    cmd: test -f tried || (touch tried && exit 1) && touch out.txt\n    outs: [out.txt]\n"
    )
    assert pan(return_state=True).is_completed()
    assert (root / "out.txt").exists()


def test_a_run_beside_another_one_is_told_before_any_stage(chain, server):
    with workspace_lock(chain):
        state = pan(return_state=True)
    assert isinstance(state.result(raise_on_failure=False), BusyError)
    assert not (chain / "first.txt").exists()


def test_a_deployments_run_beside_another_one_gives_way(chain, server, monkeypatch):
    monkeypatch.setattr(flows.pan, "deployment", SimpleNamespace(id="of a deployment"))
    with workspace_lock(chain):
        state = pan(return_state=True)
    assert (state.is_cancelled(), state.name) == (True, GAVE_WAY)
    assert str(chain) in state.message


def test_an_unknown_target_fails_before_any_stage(chain, server):
    state = pan(targets=["frist"], return_state=True)
    assert state.is_failed()
    assert state.result(raise_on_failure=False).code == "pipeline.unknown-target"
    assert not (chain / "first.txt").exists()


PARAMETERS = """
stages:
  fetch:
    cmd: grep epochs params.yaml > out.txt && mkdir -p reports && cp figures.json reports/summary.json
    deps: [figures.json]
    params: [train.epochs]
    outs: [out.txt, reports/summary.json]
"""


@pytest.fixture
def parametrised(project):
    root = project(PARAMETERS)
    (root / "params.yaml").write_text("dataset: actors\ntrain: {epochs: 60}\n")
    (root / "figures.json").write_text(json.dumps({"accuracy": 0.75}))
    return root


def test_overrides_run_beside_the_project(parametrised, server):
    before = (parametrised / "params.yaml").read_text()
    state = pan(overrides={"train": {"epochs": 3}}, targets=["fetch"], return_state=True)
    assert state.is_completed()
    (folder,) = (parametrised / ".cache/workspaces").iterdir()
    assert (folder / "out.txt").read_text().split() == ["train:", "{epochs:", "3}"]
    assert (parametrised / "params.yaml").read_text() == before
    assert not (parametrised / "out.txt").exists()
    _, lines, artifacts = run_of(state)
    assert f"results: {folder}\n  train.epochs = 3 (params.yaml: 60)" in lines
    assert sorted(artifacts) == ["pan-results", "pan-summary"]


def test_a_target_of_a_new_workspace_runs_with_what_it_rests_on(chain, server):
    (chain / "params.yaml").write_text("dataset: actors\n")
    state = pan(dataset="ucf101", targets=["second"], return_state=True)
    assert state.is_completed()
    assert run_of(state)[0] == ["stage:first", "stage:second", "summary"]


def test_overrides_without_sense_are_one_message_before_any_stage(parametrised, server, monkeypatch):
    monkeypatch.setattr(flows.pan, "RETRY_DELAY_S", 0)
    state = pan(overrides={"train": {"epochz": 3, "batch": 1}}, return_state=True)
    assert state.is_failed()
    assert set(state.result(raise_on_failure=False).names) == {"train.epochz", "train.batch"}
    assert run_of(state)[0] == []
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).run_count == 1
    assert not (parametrised / ".cache/workspaces").exists()


def test_an_error_for_people_is_logged_without_its_traceback(caplog):
    import logging

    from pan_core.errors import PanError

    logger = logging.getLogger("test.readable")
    logger.addFilter(ReadableLog())
    for kind in (PanError, KeyError):
        try:
            raise kind("the disk is full")
        except kind:
            logger.exception("Encountered exception: %r", "x")
    readable, defect = caplog.records
    assert readable.exc_info is None
    assert defect.exc_info is not None


def test_a_run_that_a_worker_started_logs_no_password(chain, server, monkeypatch):
    """Only `main` could have guarded it, and a worker does not call that."""
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    pan(targets=["first"], return_state=True)
    made = logging.getLogRecordFactory()("x", logging.WARNING, "p", 1, "rtsp://admin:%s@camera", ("hunter22",), None)
    assert made.getMessage() == "rtsp://admin:***@camera"
