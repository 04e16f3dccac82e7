"""Workers end with their parent, and jobs outlive their workers."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from killed_jobs import JobError, die, fail, refuse, write_at_second_try
from refusals import refused

from pan_core.errors import ConfigError
from pan_core.workers.pool import MOST_DEATHS, run_jobs

PARENT = """
import multiprocessing
import time
from pan_core.workers.pool import process_pool


if __name__ == "__main__":
    with process_pool(2) as pool:
        list(pool.map(time.sleep, [0.2, 0.2]))
        print(*{process.pid for process in multiprocessing.active_children()}, flush=True)
        pool.submit(time.sleep, 600).result()
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_of_a_killed_parent_do_not_stay(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    workers = [int(word) for word in parent.stdout.readline().split() if word.isdigit()]
    assert len(workers) == 2
    assert all(alive(pid) for pid in workers)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)


def test_a_job_whose_worker_is_killed_starts_again_and_rounds_wait_for_each_other(tmp_path):
    seen, ticks = [], []

    def second():
        seen.append(sorted(path.name for path in tmp_path.glob("?")))
        return [partial(write_at_second_try, tmp_path, "c")]

    first = [partial(write_at_second_try, tmp_path, name) for name in "ab"]
    run_jobs([lambda: first, second], workers=2, tick=lambda: ticks.append(1))
    assert seen == [["a", "b"]]
    assert (tmp_path / "c").exists()
    assert ticks


def test_workers_that_die_again_and_again_are_told(tmp_path):
    with refused("workers.killed"):
        run_jobs([lambda: [partial(die, tmp_path)]], workers=1, tick=lambda: None)
    assert len((tmp_path / "deaths").read_text()) == MOST_DEATHS + 1


def test_what_a_job_raises_is_raised_and_the_others_are_stopped(tmp_path):
    started = time.monotonic()
    with pytest.raises(JobError):
        run_jobs([lambda: [fail, partial(time.sleep, 300)]], workers=2, tick=lambda: None)
    assert time.monotonic() - started < 100


def test_parameters_that_a_job_refuses_are_told_with_all_faults():
    with pytest.raises(ConfigError) as told:
        run_jobs([lambda: [refuse]], workers=1, tick=lambda: None)
    assert told.value.faults == ("a: wrong", "b: wrong")
