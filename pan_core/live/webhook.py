"""Events for a server: kept on disk until it has them."""

import base64
import hashlib
import json
import logging
import threading
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pan_core.durable_queue import ClaimedError, DurableQueue, EntryRefusedError
from pan_core.errors import DataError, PanError
from pan_core.live.events import Event
from pan_core.secrets import masked

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
TIMEOUT_S = 10.0
# Events on disk for a server that does not answer; the oldest make room.
MOST_WAITING = 10_000
# Answers of a server that will never take an event.
REFUSED = (400, 405, 410, 413, 415, 422)


class Webhook:
    """Posts each event as JSON, when it is certain and again, with the same id, when it is over; at least once.

    Events wait as files until the server has answered with 2xx, so that they outlive a server that is down and a
    restart of this program. Those that it refuses for good are moved to `refused/` below. Redirects are not followed:
    a login and an event go only to the host that was named.

    Args:
        address: http or https address.
        spool: Each address has a folder of its own in it, and only one process at a time works there.
        first_pause_s: Pause after the first failure; it doubles up to a minute.

    Attributes:
        name: Scheme, host and path of the address, for everything that is printed.
        folder: Where events wait.

    Raises:
        PanError: If the address is no http address, or another process sends what waits for it.
        DataError: If the folder cannot be written.
    """

    def __init__(self, address: str, spool: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.name = _public_name(address)
        self._address, self._first_pause_s = address, first_pause_s
        self._query = urlsplit(address).query
        self.folder = spool / hashlib.sha256(address.encode()).hexdigest()[:16]
        self._queue = DurableQueue(
            self.folder, refused=self.folder / "refused", name=f"webhook {self.name}", limit=MOST_WAITING
        )
        try:
            self._queue.claim()
        except ClaimedError:
            raise PanError(
                f"webhook {self.name}: another process sends the events that wait in {self.folder}; end it, or choose "
                "another folder with --spool",
                code="webhook.claimed",
            ) from None
        except OSError as error:
            raise DataError(
                f"{spool}: events cannot wait here ({error.strerror}); choose another folder", code="webhook.spool"
            ) from error
        self._came, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Events that made room for newer ones."""
        return self._queue.lost_count

    def write(self, event: Event) -> None:
        """Let an event wait on disk."""
        phase = "started" if event.end_s is None else "ended"
        content = json.dumps({"phase": phase, **asdict(event)}, indent=2, allow_nan=False) + "\n"
        self._queue.append(lambda path: path.write_text(content), suffix=f"-{phase}.json")
        self._came.set()

    def close(self) -> None:
        """Try once more to send what waits; the rest is sent when the program runs again."""
        self._closed.set()
        self._came.set()
        self._thread.join(timeout=TIMEOUT_S + 1)
        if not self._thread.is_alive():  # else the claim goes with the process
            self._queue.release()

    def _run(self) -> None:
        pause = self._first_pause_s
        while True:
            self._came.clear()
            closing = self._closed.is_set()
            try:
                self._queue.deliver(self._send)
            except Exception as error:  # whatever it is, what waits is tried again
                self._log_failure(error)
                if closing:
                    return
                self._closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                pause = self._first_pause_s
                if closing:
                    return
                self._came.wait()

    def _send(self, entry: Path) -> None:
        """Post one event.

        Raises:
            RefusedError: If it is damaged, or the server will never take it.
            _LaterError: If the server answers otherwise than with 2xx.
            OSError: If there is no server.
            HTTPException: If its answer is no HTTP.
        """
        content = entry.read_bytes()
        try:
            json.loads(content)
        except ValueError as error:
            raise EntryRefusedError(f"webhook {self.name}: damaged event ({error})") from error
        try:
            with _OPENER.open(_make_request(self._address, content), timeout=TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            error.close()
            status = error.code
        if status in REFUSED:
            raise EntryRefusedError(f"webhook {self.name}: refuses an event ({status})")
        raise _LaterError(status)

    def _log_failure(self, error: Exception) -> None:
        if isinstance(error, _LaterError):
            text = str(error)
        else:
            text = f"{type(error).__name__}: {error}"
            text = masked(text.replace(self._query, "***") if self._query else text)
        logger.warning("webhook %s: %s; trying again", self.name, text)


class _LaterError(Exception):
    """An answer after which the same event may be taken later."""

    def __init__(self, status: int) -> None:
        elsewhere = ", which leads elsewhere and is not followed; name the address that takes events"
        super().__init__(f"answers {status}{elsewhere if 300 <= status < 400 else ''}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other that is not 2xx."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _public_name(address: str) -> str:
    """Scheme, host and path of a webhook: login and query are secrets, whatever they are called.

    Raises:
        PanError: If it is no http address.
    """
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise PanError(
            "webhook: expected an address such as https://host/path, but its host or port is none",
            code="webhook.address",
        ) from None
    shown = masked(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
    if not right or any(letter.isspace() or not letter.isprintable() for letter in address):
        raise PanError(
            f"webhook {shown}: expected an address that begins with http:// or https://, without blanks",
            code="webhook.address",
        )
    return shown


def _make_request(address: str, content: bytes) -> urllib.request.Request:
    """A POST of JSON; a login in the address goes where HTTP wants it."""
    parts, headers = urlsplit(address), {"Content-Type": "application/json"}
    login, _, host = parts.netloc.rpartition("@")
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), data=content, headers=headers, method="POST")
