"""One run at a time in a folder, whoever started it: `pan run`, or a flow of Prefect."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pan_core.errors import PanError

LOCK = Path(".dvc/tmp/pan-run.lock")
"""Below the folder that has the dvc.yaml, beside DVC's own locks, which it holds for moments only."""


@contextmanager
def one_run(folder: Path) -> Iterator[None]:
    """Hold a folder's run.

    Args:
        folder: Root of the project, or a workspace.

    Raises:
        PanError: Where another run is at work there.
    """
    (folder / LOCK).parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise PanError(
            f"another run is going on in {folder.resolve()}; wait for it, or stop it, then run again: finished stages are kept"
        ) from None
