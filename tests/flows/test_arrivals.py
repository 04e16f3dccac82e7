"""What the inbox has, and when a run is started for it."""

import os
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.states import Cancelled, Completed, Failed

from flows.arrivals import Arrivals, start_run
from flows.pan import GAVE_WAY
from flows.serve import RETRAINING, deployments


class Runs:
    """Runs that end when a test says so: True for seen to, False for cancelled."""

    def __init__(self):
        self.ends = []
        self.busy = False

    def start(self):
        place = len(self.ends)
        self.ends.append(None)
        return lambda: self.ends[place]


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def arrivals(tmp_path, runs):
    return Arrivals(tmp_path, runs.start, lambda: runs.busy)


def deliver(folder, name):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "_SUCCESS").touch()


def test_a_whole_folder_starts_one_run(tmp_path, runs, arrivals):
    arrivals.look()
    (tmp_path / "2026-11-20").mkdir()
    arrivals.look()
    assert runs.ends == []
    deliver(tmp_path, "2026-11-20")
    arrivals.look()
    arrivals.look()
    assert runs.ends == [None]
    runs.ends[0] = True
    arrivals.look()
    arrivals.look()
    assert len(runs.ends) == 1


def test_what_arrives_during_a_run_starts_the_next(tmp_path, runs, arrivals):
    deliver(tmp_path, "2026-11-20")
    arrivals.look()
    deliver(tmp_path, "2026-11-21")
    arrivals.look()
    assert len(runs.ends) == 1
    runs.ends[0] = True
    arrivals.look()
    assert len(runs.ends) == 2


def test_a_run_that_was_cancelled_has_seen_nothing(tmp_path, runs, arrivals):
    deliver(tmp_path, "2026-11-20")
    arrivals.look()
    runs.ends[0] = False
    arrivals.look()
    assert len(runs.ends) == 2


def test_a_delivery_that_was_put_right_is_new(tmp_path, runs, arrivals):
    deliver(tmp_path, "2026-11-20")
    arrivals.look()
    runs.ends[0] = True
    arrivals.look()
    os.utime(tmp_path / "2026-11-20" / "_SUCCESS", (1, 1))
    arrivals.look()
    assert len(runs.ends) == 2


def test_while_a_retraining_is_at_work_none_is_started(tmp_path, runs, arrivals):
    deliver(tmp_path, "2026-11-20")
    runs.busy = True
    arrivals.look()
    arrivals.look()
    assert runs.ends == []
    runs.busy = False
    arrivals.look()
    assert runs.ends == [None]


@pytest.fixture(scope="module")
def deployment(server):
    """The deployment that arrivals start, at a real server that runs nothing."""
    before = Path.cwd()
    os.chdir(Path(__file__).parents[2])
    try:
        yield deployments()[RETRAINING].apply()
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("state", "served"),
    [
        (Completed(), True),
        (Failed(message="Flow run encountered an exception: DataError: no new footage"), True),
        (Cancelled(message="by a person"), True),
        (Cancelled(name=GAVE_WAY, message="another run is at work"), False),
        (None, True),
    ],
)
def test_what_has_become_of_a_run(deployment, state, served):
    """None: somebody deleted it."""
    ended = start_run(deployment)
    assert ended() is None
    with get_client(sync_client=True) as client:
        scheduled = FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}})
        runs = [
            run
            for run in client.read_flow_runs(flow_run_filter=scheduled)
            if run.deployment_id == deployment and not run.auto_scheduled
        ]
        newest = max(runs, key=lambda run: run.created)
        if state is None:
            client.delete_flow_run(newest.id)
        else:
            client.set_flow_run_state(newest.id, state, force=True)
    assert ended() is served
