"""Where events go: lines of JSON, a CSV table. Nobody who puts one waits for a disk or a network."""

import csv
import errno
import fcntl
import json
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Protocol

from pan_core.errors import DataError
from pan_core.live.events import Event
from pan_core.secrets import masked

logger = logging.getLogger(__name__)

COLUMNS = tuple(field.name for field in fields(Event))
# Events for a sink that fails; the oldest make room.
MOST_WAITING = 10_000
# A file that could not be written is tried again after so long, or with the next event.
AGAIN_S = 5.0


class Sink(Protocol):
    """Takes events, in a thread of its own."""

    def write(self, event: Event) -> None:
        """Keep one event; raises OSError where that fails."""

    def close(self) -> None:
        """No more events come."""


class EventWriter:
    """Hands events to sinks in the background; a context manager that waits for the last one.

    Args:
        sinks: What a sink fails to write is told in the log and tried again, in order, the oldest making room; what it
            cannot take at all is passed over. The others do not notice.

    Attributes:
        failed: Events that a sink did not keep; those that wait for another try count when it ends.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks: list[tuple[Sink, deque[Event]]] = [(sink, deque()) for sink in sinks]
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.failed = 0

    def __enter__(self) -> "EventWriter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        for sink, waiting in self._sinks:
            self.failed += len(waiting)
            try:
                sink.close()
            except Exception as error:
                self._log(sink, error)

    def put(self, event: Event) -> None:
        """Take an event; returns at once."""
        self._queue.put(event)

    def _run(self) -> None:
        event: Event | None = None
        while True:
            late = any(waiting for _, waiting in self._sinks)
            with suppress(queue.Empty):
                event = self._queue.get(timeout=AGAIN_S if late else None)
                if event is not None:
                    for _, waiting in self._sinks:
                        waiting.append(event)
            for sink, waiting in self._sinks:
                self._write(sink, waiting)
            if event is None:
                return

    def _write(self, sink: Sink, waiting: "deque[Event]") -> None:
        """Hand a sink what waits for it, up to the first failure that may pass."""
        while waiting:
            try:
                sink.write(waiting[0])
            except OSError as error:
                self._log(sink, error)
                while len(waiting) > MOST_WAITING:
                    waiting.popleft()
                    self.failed += 1
                return
            except Exception as error:
                self._log(sink, error)
                self.failed += 1
            waiting.popleft()

    def _log(self, sink: Sink, error: Exception) -> None:
        logger.warning(
            "an event was not kept by %s: %s", type(sink).__name__, masked(f"{type(error).__name__}: {error}")
        )


class JsonLines:
    """Appends each event that is over to a file, as one line of JSON.

    Args:
        path: The file; created where missing.

    Raises:
        DataError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _require_writable(path)

    def write(self, event: Event) -> None:
        """One line at one stroke, so that a reader never sees half of it."""
        if event.end_s is not None:
            _append(self._path, json.dumps(asdict(event), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Nothing is open."""


class CsvTable:
    """Appends each event that is over to a CSV file, with the names of the columns in the first row.

    Args:
        path: The file; created where missing.

    Raises:
        DataError: If it cannot be written, or has other columns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _require_writable(path)
        if path.stat().st_size == 0:
            _append(path, ",".join(COLUMNS) + "\n")
        with path.open(newline="") as file:
            if (head := tuple(next(csv.reader(file), ()))) != COLUMNS:
                raise DataError(
                    f"{path}: expected the columns {','.join(COLUMNS)}, but got {','.join(head)[:200]}",
                    code="events.columns",
                )

    def write(self, event: Event) -> None:
        """One row at one stroke."""
        if event.end_s is not None:
            line = _CsvLine()
            csv.writer(line, lineterminator="\n").writerow(_escape_formula(value) for value in asdict(event).values())
            _append(self._path, line.text)

    def close(self) -> None:
        """Nothing is open."""


class _CsvLine:
    """What the csv module writes to."""

    text = ""

    def write(self, text: str) -> None:
        self.text += text


def _escape_formula(value: object) -> object:
    """A spreadsheet takes a text that begins so for a formula; the name of a file may be anybody's."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def _append(path: Path, text: str) -> None:
    """Add a line, or leave the file as it was: part of one would spoil the next."""
    content = text.encode("utf-8", "backslashreplace")  # names of files may be no text
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # two processes may append; what one cuts back is its own
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.fstat(descriptor).st_size
        written = os.write(descriptor, content)
        if written < len(content):
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _require_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise DataError(
            f"{path}: events cannot be written here ({error.strerror}); choose another file", code="events.unwritable"
        ) from error
