"""Where studies are kept: a journal file, or a database for workers on several machines."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from pan_core.errors import PanError
from pan_core.secrets import masked

STORAGE_VARIABLE = "PAN_OPTUNA_STORAGE"

RACES, RACE_PAUSE_S = 10, 0.3


class WholeLines(JournalFileBackend):
    """A journal file that a writer who was killed, or a disk that was full, cannot spoil.

    Either leaves half a line. Optuna reads over it while it is the last, but would write the next line onto its end, and
    the file could never be read again. Half a line was never acknowledged, so it is cut off before anything is added.
    """

    def __init__(self, path: Path) -> None:
        # The system gives this lock up when its process dies; with Optuna's own all others would wait for 30 s.
        self._mutex = FileLock(path.with_name(path.name + ".lock"))
        super().__init__(str(path), lock_obj=self._mutex)  # type: ignore[arg-type]
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines after the last whole one."""
        with self._mutex:
            _cut_half_line(self._path)
            super().append_logs(logs)


def _cut_half_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 4096)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def open_storage(journal: Path) -> BaseStorage:
    """The storage named by PAN_OPTUNA_STORAGE, such as postgresql://user@host/database, else a journal file.

    Args:
        journal: The file; made where it is missing.

    Raises:
        PanError: If the address cannot be used, or its server cannot be reached.
    """
    address = os.environ.get(STORAGE_VARIABLE)
    with readable_errors(journal):
        if address:
            return _open_database(address)
        journal.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(WholeLines(journal))


def _open_database(address: str) -> RDBStorage:
    """A database of studies, whose tables Optuna makes; of several processes that begin with an empty one, one makes them."""
    lost = 0
    while True:
        try:
            return RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):  # somebody else has just made the same table or row
            lost += 1
            if lost > RACES:
                raise
            time.sleep(RACE_PAUSE_S)


def place(journal: Path) -> str:
    """Where studies are kept, for messages and for optuna-dashboard; without a password."""
    address = os.environ.get(STORAGE_VARIABLE)
    if not address:
        return str(journal)
    return masked(address)


@contextmanager
def readable_errors(journal: Path) -> Iterator[None]:
    """Turn what a storage raises into a message that says which storage, and what to do.

    Raises:
        PanError: Instead of the database's own error.
    """
    where = place(journal)
    try:
        yield
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise PanError(
            f"{STORAGE_VARIABLE}: {where} is not an address of a database that can be used here "
            f"({_take_first_line(error)}); expected such as postgresql://user@host/database",
            code="storage.address",
        ) from None
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        raise PanError(
            f"{STORAGE_VARIABLE}: {where} cannot be used ({_take_first_line(cause)}); start its server or correct the address, "
            "then run again: finished trials are kept",
            code="storage.unavailable",
        ) from None
    except ValueError as error:
        if "log format" not in str(error) and "JSON" not in type(error).__name__:
            raise
        raise PanError(
            f"{journal}: not a journal of studies, or damaged ({error}); move it away, then run again",
            code="storage.journal",
        ) from error


def _take_first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0] if str(original).strip() else type(original).__name__
