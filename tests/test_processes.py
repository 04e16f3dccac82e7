"""Workers end with their parent."""

import os
import signal
import subprocess
import sys
import time

PARENT = """
import time
from pan_core.processes import process_pool


if __name__ == "__main__":
    with process_pool(2) as pool:
        list(pool.map(time.sleep, [0.2, 0.2]))
        print(*{process.pid for process in pool._processes.values()}, flush=True)
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
