"""Where events go: lines of JSON, a CSV table, a webhook. Nobody who puts one waits for a disk or a network."""

import base64
import csv
import json
import logging
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from pan_core.errors import DataError, PanError
from pan_core.files import write_json
from pan_core.live.events import Event
from pan_core.secrets import masked

logger = logging.getLogger(__name__)

COLUMNS = tuple(field.name for field in fields(Event))
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
TIMEOUT_S = 10.0
# Events on disk for a webhook that does not answer; the oldest make room.
MOST_WAITING = 10_000
# What a server says of an event that it will never take.
REFUSED = (400, 405, 410, 413, 415, 422)


class Sink(Protocol):
    """Takes events, in a thread of its own."""

    def write(self, event: Event) -> None:
        """Keep one event; raises OSError where that fails."""

    def close(self) -> None:
        """No more events come."""


class EventWriter:
    """Hands events to sinks in the background; a context manager that waits for the last one.

    Args:
        sinks: A sink that fails is told in the log and tried again with the next event.

    Attributes:
        failed: Events that a sink did not keep.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.failed = 0

    def __enter__(self) -> "EventWriter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        for sink in self._sinks:
            sink.close()

    def put(self, event: Event) -> None:
        """Take an event; returns at once."""
        self._queue.put(event)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            for sink in self._sinks:
                try:
                    sink.write(event)
                except OSError as error:
                    self.failed += 1
                    logger.warning("an event was not kept by %s: %s", type(sink).__name__, masked(str(error)))


class JsonLines:
    """Appends each event that is over to a file, as one line of JSON.

    Args:
        path: The file; created where missing.

    Raises:
        DataError: Where it cannot be written.
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
        DataError: Where it cannot be written, or has other columns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _require_writable(path)
        if path.stat().st_size == 0:
            _append(path, ",".join(COLUMNS) + "\n")
        with path.open(newline="") as file:
            if (head := tuple(next(csv.reader(file), ()))) != COLUMNS:
                raise DataError(f"{path}: expected the columns {','.join(COLUMNS)}, but got {','.join(head)[:200]}")

    def write(self, event: Event) -> None:
        """One row at one stroke."""
        if event.end_s is not None:
            line = _Line()
            csv.writer(line, lineterminator="\n").writerow(_safe(value) for value in asdict(event).values())
            _append(self._path, line.text)

    def close(self) -> None:
        """Nothing is open."""


class Webhook:
    """Posts each event as JSON, when it is certain and again, with the same id, when it is over; at least once.

    Events wait as files in a folder until the server has answered with 2xx, so that they outlive a server that is down
    and a restart of this program. Those that it refuses for good are moved to `refused/` below.

    Args:
        address: http or https address.
        folder: Where events wait.
        first_pause_s: Pause after the first failure; it doubles up to a minute.

    Raises:
        PanError: Where the address is no http address.
        DataError: Where the folder cannot be written.
    """

    def __init__(self, address: str, folder: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        if not address.lower().startswith(("http://", "https://")):
            raise PanError(f"webhook {masked(address)}: expected an address that begins with http:// or https://")
        self._address, self._folder, self._first_pause_s = address, folder, first_pause_s
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: events cannot wait here ({error.strerror}); choose another folder") from error
        self._came, self._closed = threading.Event(), threading.Event()
        self._number, self.lost = 0, 0
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def write(self, event: Event) -> None:
        """Let an event wait on disk."""
        self._number += 1
        waiting = self._waiting()
        for old in waiting[: max(0, len(waiting) - MOST_WAITING + 1)]:
            old.unlink(missing_ok=True)
            self.lost += 1
            logger.warning("webhook %s: more than %d events wait, the oldest is lost", self.name, MOST_WAITING)
        phase = "started" if event.end_s is None else "ended"
        name = f"{time.time_ns():020d}-{self._number:06d}-{phase}.json"
        write_json(self._folder / name, {"phase": phase, **asdict(event)})
        self._came.set()

    def close(self) -> None:
        """One more try for what waits; the rest is sent when the program runs again."""
        self._closed.set()
        self._came.set()
        self._thread.join(timeout=TIMEOUT_S + 1)

    @property
    def name(self) -> str:
        """Its address without secrets."""
        return masked(self._address)

    def _waiting(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.json"))

    def _run(self) -> None:
        pause = self._first_pause_s
        while True:
            self._came.clear()
            closing = self._closed.is_set()
            if self._send_all():
                pause = self._first_pause_s
                if closing:
                    return
                self._came.wait()
            elif closing:
                return
            else:
                self._closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _send_all(self) -> bool:
        """Send what waits, the oldest first, up to the first failure; returns whether nothing is left."""
        for path in self._waiting():
            try:
                request = _request(self._address, path.read_bytes())
                with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue  # it made room
            except urllib.error.HTTPError as error:
                if error.code not in REFUSED:
                    logger.warning("webhook %s: answers %d, trying again", self.name, error.code)
                    return False
                logger.warning("webhook %s: refuses an event (%d); it is kept in refused/", self.name, error.code)
                (self._folder / "refused").mkdir(exist_ok=True)
                with suppress(OSError):
                    path.replace(self._folder / "refused" / path.name)
            except (OSError, ValueError) as error:
                logger.warning("webhook %s: %s; trying again", self.name, masked(str(error)))
                return False
        return True


def _request(address: str, content: bytes) -> urllib.request.Request:
    """A POST of JSON; a login in the address goes where HTTP wants it."""
    parts, headers = urlsplit(address), {"Content-Type": "application/json"}
    login, _, host = parts.netloc.rpartition("@")
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), data=content, headers=headers, method="POST")


class _Line:
    """What the csv module writes to."""

    text = ""

    def write(self, text: str) -> None:
        self.text += text


def _safe(value: object) -> object:
    """A spreadsheet takes a text that begins so for a formula; the name of a file may be anybody's."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def _append(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _require_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise DataError(f"{path}: events cannot be written here ({error.strerror}); choose another file") from error
