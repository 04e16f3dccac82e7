"""Who works on a study: each worker shows that it lives, and trials of the dead are marked as failed.

A worker holds a lock on a file for as long as it lives; the system gives the lock up with the process, so workers that share
a disk know at once who is dead. Of a worker on another machine only its beats are seen: a trial whose beat has not
changed for `STALE_S` seconds of the observer's own clock is dead, whatever the clocks of the machines say.
"""

import fcntl
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

BEAT_S = 10.0
STALE_S = 120.0
WORKER, BEAT = "worker", "beat"


class Worker:
    """This process as a worker.

    Args:
        folder: Where workers that share this disk keep their lock files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder.resolve() / f"{_name_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
        self._lock = os.open(self.file, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._seen: dict[int, tuple[object, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.unlink(missing_ok=True)
        os.close(self._lock)

    def take(self, trial: Trial) -> "HeartbeatThread":
        """Put this worker's name on a trial and keep showing that it lives."""
        trial.set_user_attr(WORKER, str(self.file))
        return HeartbeatThread(trial)

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """Trials that are marked as running although nobody runs them any more."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if self._is_dead(trial)]

    def _is_dead(self, trial: FrozenTrial) -> bool:
        name = trial.user_attrs.get(WORKER)
        if name == str(self.file):
            return False
        if name and (alive := _holds_lock(Path(name))) is not None:
            return not alive
        beat = trial.user_attrs.get(BEAT)
        now = time.monotonic()
        last, since = self._seen.setdefault(trial.number, (beat, now))
        if beat != last:
            self._seen[trial.number] = (beat, now)
            return False
        return now - since > STALE_S


class HeartbeatThread:
    """Counts up on a trial in the background, so that other machines see that its worker lives."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        count = 0
        # A beat that cannot be written is the next one's business; what the trial itself writes tells of the fault.
        while not self._end.wait(BEAT_S):
            count += 1
            with suppress(Exception):
                self._trial.set_user_attr(BEAT, count)


def bury(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Mark a trial as failed; False where another worker was faster."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (UpdateFinishedTrialError, ValueError):
        return False
    return True


def _name_machine() -> str:
    """Name of this machine since it was started; machines that were copied from one image share their host name."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}-{boot.read_text()[:8] if boot.is_file() else uuid.getnode()}"


def _holds_lock(file: Path) -> bool | None:
    """Whether the worker of a lock file lives; None where it is on another machine, or its disk is not here."""
    if not file.name.startswith(f"{_name_machine()}-") or not file.parent.is_dir():
        return None
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        file.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)
