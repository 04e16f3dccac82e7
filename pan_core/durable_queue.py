"""A queue on disk: entries wait in their order until something takes them, and survive the process.

The queue knows nothing of where entries go. Its user writes and sends them, and decides when to try again.
"""

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from pan_core.files import SCRATCH_SUFFIX, atomic_path

_log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(\d+)-")
"""Start of an entry's name. Entries are ordered by this number, and by the rest of the name if it is the same."""


class EntryRefusedError(Exception):
    """An entry that can never be taken, such as one that is damaged."""


class ClaimedError(Exception):
    """Another process has claimed the queue."""


class DurableQueue:
    """Ordered entries on disk; each is delivered at least once.

    An entry is a file or a folder; its content is up to the user. It is there as a whole or not at all, whenever the
    process is killed. Several processes may append to one queue, and only one at a time delivers.

    Args:
        folder: Where entries wait; created with the first one.
        refused: Where entries go that can never be taken, for a person to look at.
        name: Name of the queue in the log; by default its folder.
        limit: Most entries that wait, the oldest make room; by default there is no limit.

    Attributes:
        folder: Where entries wait.
        refused_count: Entries that this object has moved aside.
        lost_count: Entries that this object has deleted to make room.
    """

    def __init__(self, folder: Path, *, refused: Path, name: str = "", limit: int | None = None) -> None:
        self.folder, self._refused = folder, refused
        self._name, self._limit = name or str(folder), limit
        self._last_number, self._claim = 0, -1
        self.refused_count = self.lost_count = 0

    def __len__(self) -> int:
        """Number of entries that wait."""
        return len(self._waiting())

    def append(self, write: Callable[[Path], object], *, suffix: str = "") -> None:
        """Add an entry after all that wait.

        Args:
            write: Writes the entry to the path that it is given, as a file or a folder.
            suffix: End of the entry's name.
        """
        waiting = self._waiting()
        self._make_room(waiting)
        self._last_number = max(self._last_number, *map(_number, waiting), 0) + 1
        with atomic_path(self.folder / f"{self._last_number:08d}-{os.getpid()}-{time.time_ns()}{suffix}") as partial:
            write(partial)

    def deliver(self, send: Callable[[Path], None]) -> int:
        """Send what waits, the oldest first.

        Args:
            send: Sends the entry at a path. It may be called twice with the same entry: the process may be killed after
                an entry was sent and before it is removed. If it raises `EntryRefusedError`, the entry is moved aside and
                the next one is sent. Any other exception ends the delivery, and this entry and those behind it wait.

        Returns:
            How many entries were taken.
        """
        taken = 0
        with self._one_deliverer():
            for entry in self._waiting():
                try:
                    send(entry)
                except EntryRefusedError as error:
                    self._move_aside(entry, error)
                except FileNotFoundError:
                    if entry.exists():
                        raise
                    continue  # it has made room
                else:
                    taken += 1
                    _delete(entry)
        return taken

    def claim(self) -> None:
        """Keep other processes from delivering, and from claiming, until `release` or the end of this process.

        Raises:
            ClaimedError: If another process has claimed the queue.
            OSError: If the folder cannot be created.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ClaimedError(f"{self.folder}: another process delivers what waits here") from None
        except OSError:
            _log.warning("%s: this file system has no locks; no other process may use it", self.folder)
        self._claim = descriptor

    def release(self) -> None:
        """Give up a claim."""
        if self._claim >= 0:
            os.close(self._claim)
        self._claim = -1

    @contextmanager
    def _one_deliverer(self) -> Iterator[None]:
        """Wait until no other process delivers, unless this one has the claim."""
        if self._claim >= 0 or not self.folder.is_dir():
            yield
            return
        with FileLock(self.folder.with_name(f"{self.folder.name}.lock")):
            # A claim locks the folder itself. Where the file system cannot do that, the file above is the lock.
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                with suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _waiting(self) -> list[Path]:
        """Entries in their order; what is still being written is none yet."""
        try:
            entries = [path for path in self.folder.iterdir() if _NUMBERED.match(path.name)]
        except FileNotFoundError:
            return []
        return sorted(entries, key=lambda entry: (_number(entry), entry.name))

    def _make_room(self, waiting: list[Path]) -> None:
        if self._limit is None:
            return
        for entry in waiting[: max(0, len(waiting) - self._limit + 1)]:
            _delete(entry)
            self.lost_count += 1
            _log.warning("%s: more than %d entries wait, the oldest is lost", self._name, self._limit)

    def _move_aside(self, entry: Path, error: EntryRefusedError) -> None:
        aside = self._refused / entry.name
        aside.parent.mkdir(parents=True, exist_ok=True)
        if not entry.exists():
            return  # it has made room
        entry.rename(aside)
        self.refused_count += 1
        _log.warning("%s: refused, and kept there: %s", aside, error)


def _number(entry: Path) -> int:
    match = _NUMBERED.match(entry.name)
    assert match is not None
    return int(match[1])


def _delete(entry: Path) -> None:
    """Remove an entry at one stroke: a folder of which a part is left would be a damaged entry."""
    with suppress(FileNotFoundError):
        if entry.is_dir():
            scratch = entry.with_name(f".{entry.name}{SCRATCH_SUFFIX}")
            entry.rename(scratch)
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            entry.unlink()
