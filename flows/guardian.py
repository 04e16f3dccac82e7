"""Ends the temporary server of a run that was killed: Prefect stops it where the run ends, which SIGKILL gives no chance to.

`python -m flows.guardian MARK` waits until the one who started it closes its standard input, or dies, then ends every Prefect server
whose environment has the mark.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil

VARIABLE = "PAN_RUN"
SERVER = "prefect.server.api.server:create_app"


@contextmanager
def guarded() -> Iterator[None]:
    """No Prefect server that is started in the block outlives this process where that is killed in it."""
    mark = uuid4().hex
    os.environ[VARIABLE] = mark
    root = Path(__file__).parents[1]
    guardian = subprocess.Popen(
        [sys.executable, "-m", "flows.guardian", mark], cwd=root, stdin=subprocess.PIPE, start_new_session=True
    )
    assert guardian.stdin
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        guardian.kill()  # what ended by itself stops its server by itself, after its last messages
        guardian.wait()
        guardian.stdin.close()


def main() -> None:
    """Wait, then end what is left."""
    mark = sys.argv[1]
    sys.stdin.buffer.read()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if SERVER in process.cmdline() and process.environ().get(VARIABLE) == mark:
                process.kill()


if __name__ == "__main__":
    main()
