"""Work in supervised processes: results, errors, and processes that die, hang or take their time."""

import importlib
import multiprocessing.spawn
import os
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from refusals import refused

from pan_core.workers.supervised import TaskFailure, run_supervised

# Worker processes cannot import a test, so the work is a module of its own.
WORK = """\
import os
import resource
import signal
import time
from pathlib import Path

import cv2
import numpy as np


def tenfold(item, heartbeat):
    return item * 10


def refuse(item, heartbeat):
    raise ValueError(f"not {item}")


def die(item, heartbeat):
    if item == "dies":
        os._exit(1)
    return item


def die_once(item, heartbeat):
    path = Path(item)
    if not path.exists():
        path.touch()
        os._exit(1)
    return "done"


def need_memory(item, heartbeat):
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "limited":
        # Below what is used already, so that whatever is asked for next is refused by the system.
        resource.setrlimit(resource.RLIMIT_AS, (1 << 28, -1))
        np.ones(1 << 30)
    if item == "picture":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 28, -1))
        cv2.resize(np.zeros((8, 8, 3), np.uint8), (30_000, 30_000))
    return item


def be_killed_beside_others(item, heartbeat):
    path = Path(item)
    path.with_suffix(".here").touch()
    if path.name == "large":
        time.sleep(1)
        if list(path.parent.glob("*.here"))[1:]:
            [one.unlink() for one in path.parent.glob("*.here")]
            os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def hang(item, heartbeat):
    heartbeat.beat()
    time.sleep(600 if item == "hangs" else 0)
    return item


def be_slow(item, heartbeat):
    for _ in range(6):
        heartbeat.beat()
        time.sleep(0.5)
    heartbeat.rest()
    time.sleep(3)
    return item
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "work_of_a_test.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.reload(importlib.import_module("work_of_a_test"))


def test_every_item_has_its_result(work: ModuleType) -> None:
    items = {str(number): number for number in range(7)}
    results = dict(run_supervised(items, work.tenfold, workers=2, stall_seconds=60))
    assert results == {"0": 0, "1": 10, "2": 20, "3": 30, "4": 40, "5": 50, "6": 60}
    assert list(run_supervised({}, work.tenfold, workers=2, stall_seconds=60)) == []


def test_an_error_reaches_the_caller_and_no_process_stays(work: ModuleType) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(ValueError) as caught:
        list(run_supervised({"a": "this"}, work.refuse, workers=2, stall_seconds=60))
    assert caught.value.args == ("not this",)
    left = [child for child in psutil.Process().children() if child.pid not in before]
    assert not [child for child in left if any("spawn_main" in part for part in child.cmdline())]


def test_a_process_that_dies_costs_its_item_only(work: ModuleType, tmp_path: Path) -> None:
    items = {name: name for name in ("first", "dies", "last")}
    results = dict(run_supervised(items, work.die, workers=2, stall_seconds=60))
    assert results == {"first": "first", "dies": TaskFailure.DIED, "last": "last"}
    once = {"a": str(tmp_path / "a")}
    assert dict(run_supervised(once, work.die_once, workers=2, stall_seconds=60)) == {"a": "done"}


@pytest.mark.parametrize("how", ["killed", "limited", "picture"])
def test_want_of_memory_is_no_fault_of_the_item(how: str, work: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """Killed by the system, an allocation of NumPy, one of OpenCV."""
    results = {}
    with refused("workers.no-memory") as caught:
        for key, result in run_supervised(
            {"a": "first", "b": how, "c": "last"}, work.need_memory, workers=2, stall_seconds=60
        ):
            results[key] = result
    assert results == {"a": "first", "c": "last"}
    assert str(caught.value).startswith(f"{how}: ")
    assert "tried again alone" in caplog.text


def test_an_item_that_is_killed_beside_others_may_have_the_memory_alone(work: ModuleType, tmp_path: Path) -> None:
    items = {name: str(tmp_path / name) for name in ("small", "large")}
    results = dict(run_supervised(items, work.be_killed_beside_others, workers=2, stall_seconds=60))
    assert results == {"small": "small", "large": "large"}


def test_one_that_hangs_is_ended_and_one_that_is_slow_is_not(work: ModuleType) -> None:
    items = {name: name for name in ("hangs", "first", "last")}
    results = dict(run_supervised(items, work.hang, workers=1, stall_seconds=1))
    assert results == {"hangs": TaskFailure.STUCK, "first": "first", "last": "last"}
    # Three seconds of steps and three of rest, with two allowed for a step.
    assert dict(run_supervised({"slow": "slow"}, work.be_slow, workers=1, stall_seconds=2)) == {"slow": "slow"}


def test_an_idle_worker_that_was_killed_is_replaced(work: ModuleType) -> None:
    results = {}
    for key, value in run_supervised({"a": 1, "b": 2, "c": 3}, work.tenfold, workers=1, stall_seconds=60):
        results[key] = value
        if key == "a":
            alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
            workers = [child for child in alive if "spawn_main" in " ".join(child.cmdline())]
            os.kill(workers[0].pid, 9)
            workers[0].wait(30)
    assert results == {"a": 10, "b": 20, "c": 30}


def test_processes_that_cannot_start_are_no_fault_of_the_items(
    work: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    with refused("workers.cannot-start"):
        list(run_supervised({str(number): number for number in range(50)}, work.tenfold, workers=2, stall_seconds=60))
