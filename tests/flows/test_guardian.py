"""A run that is killed leaves no server behind; the server here is a process of the same name that does nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.guardian import SERVER

ROOT = Path(__file__).parents[2]
SLEEPER = f"[sys.executable, '-c', 'import time; time.sleep(100)', '{SERVER}']"
RUN = f"""
import os, subprocess, sys
from flows.guardian import guarded
with guarded():
    print(subprocess.Popen({SLEEPER}).pid, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_server_ends_with_the_run_that_was_killed_and_with_no_other(killed):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)", SERVER])
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    server = psutil.Process(int(run.stdout.readline()))
    try:
        time.sleep(1)  # until the guardian listens
        (guardian,) = [child for child in psutil.Process(run.pid).children() if "flows.guardian" in child.cmdline()]
        if killed:
            run.send_signal(signal.SIGKILL)
            psutil.wait_procs([server], timeout=20)
        else:
            run.stdin.close()
            run.wait(timeout=20)
            time.sleep(1)
        assert (server.is_running() and server.status() != psutil.STATUS_ZOMBIE) != killed
        assert stranger.poll() is None
        assert psutil.wait_procs([guardian], timeout=20)[1] == []
    finally:
        stranger.kill()
        if server.is_running():
            server.kill()
