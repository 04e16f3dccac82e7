"""Events on their way to a server: kept on disk until it has them."""

import base64
import fcntl
import hashlib
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pan_core.errors import DataError, PanError
from pan_core.files import write_json
from pan_core.live.events import Event
from pan_core.secrets import masked

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
TIMEOUT_S = 10.0
# Events on disk for a server that does not answer; the oldest make room.
MOST_WAITING = 10_000
# What a server says of an event that it will never take.
REFUSED = (400, 405, 410, 413, 415, 422)


class Webhook:
    """Posts each event as JSON, when it is certain and again, with the same id, when it is over; at least once.

    Events wait as files until the server has answered with 2xx, so that they outlive a server that is down and a
    restart of this program. Those that it refuses for good are moved to `refused/` below. Redirects are not followed: a
    login and an event go to nobody but the host that was named.

    Args:
        address: http or https address.
        spool: Each address has a folder of its own in it, and only one process at a time works there.
        first_pause_s: Pause after the first failure; it doubles up to a minute.

    Attributes:
        name: Host and path of the address, for everything that is printed.
        folder: Where events wait.

    Raises:
        PanError: Where the address is no http address, or another process sends what waits for it.
        DataError: Where the folder cannot be written.
    """

    def __init__(self, address: str, spool: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.name = _shown(address)
        self._address, self._first_pause_s = address, first_pause_s
        self._query = urlsplit(address).query
        self.folder = spool / hashlib.sha256(address.encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"{spool}: events cannot wait here ({error.strerror}); choose another folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise PanError(
                f"webhook {self.name}: another process sends the events that wait in {self.folder}; end it, or choose "
                "another folder with --spool"
            ) from None
        except OSError:
            logger.warning("%s: this file system has no locks; no other process may use it", self.folder)
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
        write_json(self.folder / name, {"phase": phase, **asdict(event)})
        self._came.set()

    def close(self) -> None:
        """One more try for what waits; the rest is sent when the program runs again."""
        self._closed.set()
        self._came.set()
        self._thread.join(timeout=TIMEOUT_S + 1)
        if not self._thread.is_alive():  # else the lock goes with the process
            os.close(self._lock)

    def _waiting(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"))

    def _run(self) -> None:
        pause = self._first_pause_s
        while True:
            self._came.clear()
            closing = self._closed.is_set()
            try:
                done = self._send_all()
            except Exception as error:  # whatever it is, what waits is tried again
                said = f"{type(error).__name__}: {error}"
                logger.warning(
                    "webhook %s: %s; trying again",
                    self.name,
                    masked(said.replace(self._query, "***") if self._query else said),
                )
                done = False
            if done:
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
                with _OPENER.open(request, timeout=TIMEOUT_S):
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue  # it made room
            except urllib.error.HTTPError as error:
                error.close()
                if 300 <= error.code < 400:
                    logger.warning(
                        "webhook %s: answers %d, which leads elsewhere and is not followed; name the address that takes "
                        "events; trying again",
                        self.name,
                        error.code,
                    )
                    return False
                if error.code not in REFUSED:
                    logger.warning("webhook %s: answers %d, trying again", self.name, error.code)
                    return False
                logger.warning("webhook %s: refuses an event (%d); it is kept in refused/", self.name, error.code)
                (self.folder / "refused").mkdir(exist_ok=True)
                with suppress(FileNotFoundError):
                    path.replace(self.folder / "refused" / path.name)
        return True


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What leads elsewhere is an answer like any other that is not 2xx."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _shown(address: str) -> str:
    """Scheme, host and path of a webhook: login and query are secrets, whatever they are called.

    Raises:
        PanError: Where it is no http address.
    """
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise PanError("webhook: expected an address such as https://host/path, but its host or port is none") from None
    shown = masked(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
    if not right or any(letter.isspace() or not letter.isprintable() for letter in address):
        raise PanError(f"webhook {shown}: expected an address that begins with http:// or https://, without blanks")
    return shown


def _request(address: str, content: bytes) -> urllib.request.Request:
    """A POST of JSON; a login in the address goes where HTTP wants it."""
    parts, headers = urlsplit(address), {"Content-Type": "application/json"}
    login, _, host = parts.netloc.rpartition("@")
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), data=content, headers=headers, method="POST")
