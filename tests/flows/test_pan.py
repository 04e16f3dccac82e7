import json
import time

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter, TaskRunFilter

import flows.pan
from flows.pan import ReadableLog, pan
from flows.results import figures

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
    assert artifacts == ["pan-summary", "pan-results"]
    assert (chain / "second.txt").read_text() == "hello from first\n"


def test_only_the_targets_run(chain, server):
    state = pan(targets=["first"], return_state=True)
    assert state.is_completed()
    assert run_of(state)[0] == ["stage:first", "summary"]
    assert not (chain / "second.txt").exists()


def test_a_failing_stage_fails_the_flow_with_its_output(project, server):
    root = project(
        "stages:\n  a:\n    cmd: echo the camera is gone && exit 1\n    outs: [a.txt]\n"
        "  b:\n    cmd: touch b.txt\n    deps: [a.txt]\n    outs: [b.txt]\n"
    )
    state = pan(return_state=True)
    assert state.is_failed()
    assert "stage 'a'" in state.message
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


def test_an_unknown_target_fails_before_any_stage(chain, server):
    state = pan(targets=["frist"], return_state=True)
    assert state.is_failed()
    assert "did you mean 'first'?" in state.message
    assert not (chain / "first.txt").exists()


def test_figures_flatten_by_dots():
    rows = figures({"accuracy": 0.5, "latency": {"step_ms": 2, "device": "cpu"}, "classes": ["a", "b"]})
    assert rows == [
        {"figure": "accuracy", "value": 0.5},
        {"figure": "latency.step_ms", "value": 2},
        {"figure": "latency.device", "value": "cpu"},
        {"figure": "classes", "value": "['a', 'b']"},
    ]


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
