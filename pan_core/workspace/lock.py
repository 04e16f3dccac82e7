"""Locks between processes: one run a workspace, whether `pan run` or a flow of Prefect, and locks of others' own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pan_core.errors import PanError
from pan_core.workspace.dvc_repair import repair_dvc_state

LOCK = Path(".dvc/tmp/pan-run.lock")
"""Below the folder that has the dvc.yaml, beside DVC's own locks, which it holds for moments only."""


class BusyError(PanError):
    """Another process holds the lock."""

    code = "lock.busy"


@contextmanager
def exclusive_lock(lock: Path, refusal: str) -> Iterator[None]:
    """Hold a lock for the block.

    Args:
        lock: File; made where missing.
        refusal: Message if another process holds it.

    Raises:
        BusyError: With the refusal.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise BusyError(refusal) from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def workspace_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder's run; files that a killed run left half-written are repaired first.

    Args:
        folder: Root of the project, or a workspace.

    Raises:
        BusyError: If another run is at work there.
    """
    refusal = f"another run is going on in {folder.resolve()}; wait for it, or stop it, then run again: finished stages are kept"
    with exclusive_lock(folder / LOCK, refusal):
        repair_dvc_state(folder)
        yield
