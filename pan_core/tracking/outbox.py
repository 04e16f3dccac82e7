"""Messages to a server that may be away: a durable queue, and pauses between tries.

What waits survives the process. The next process that writes to the same server delivers it first.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pan_core.durable_queue import DurableQueue, EntryRefusedError

_log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""Between two tries while the server is away: work must not wait for it at every message."""

MESSAGE, ATTACHED = "message.json", "attached"
REFUSED = "refused"
"""Folder beside those of the senders: what no server will ever take, for a person to look at."""


class AwayError(Exception):
    """The server does not answer, or not to this login; it may take the same message later."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        kind: What it is about; the receiver's own word.
        values: Whatever JSON can hold.
        attached: A file or folder that goes with it; it is copied if the message has to wait.
    """

    kind: str
    values: dict
    attached: Path | None = None


class Outbox:
    """Messages of one sender.

    Args:
        folder: Where they wait; created when the first one has to.
        deliver: Hands one to the server. Delivering the same message twice must do no harm: a process may be killed
            after the server has taken it and before this is noted. Raises `AwayError` if the message may be taken
            later, and any other exception if it never can be.
    """

    def __init__(self, folder: Path, deliver: Callable[[Message], None]) -> None:
        self._queue = DurableQueue(folder, refused=folder.parent / REFUSED / folder.name)
        self._deliver = deliver
        self._pause, self._next = FIRST_PAUSE_S, 0.0

    def __len__(self) -> int:
        """Number of messages that wait."""
        return len(self._queue)

    @property
    def refused(self) -> int:
        """How many messages that waited this object has moved aside."""
        return self._queue.refused_count

    def post(self, message: Message) -> None:
        """Deliver a message after all that wait, or keep it."""
        if time.monotonic() >= self._next:
            try:
                self.flush()
                self._deliver(message)
                self._pause, self._next = FIRST_PAUSE_S, 0.0
                return
            except AwayError as error:
                if not self._next:
                    _log.warning("%s; what it is to be told is kept in %s until it answers", error, self._queue.folder)
                self._next, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_PAUSE_S)
        self._queue.append(lambda folder: _write(message, folder))

    def flush(self) -> int:
        """Deliver what waits; what the server refuses for good is logged and moved into the folder `refused`.

        Returns:
            How many messages the server has taken.

        Raises:
            AwayError: If it does not answer; the rest goes on waiting.
        """
        return self._queue.deliver(self._send)

    def _send(self, entry: Path) -> None:
        message = _read(entry)
        try:
            self._deliver(message)
        except AwayError:
            raise
        except Exception as error:
            raise EntryRefusedError(str(error)) from error


def _write(message: Message, folder: Path) -> None:
    """Write a message as a folder: `message.json`, and `attached/NAME` if something goes with it."""
    folder.mkdir()
    name = None
    if message.attached is not None:
        name = message.attached.name
        copy = shutil.copytree if message.attached.is_dir() else shutil.copy2
        (folder / ATTACHED).mkdir()
        copy(message.attached, folder / ATTACHED / name)
    (folder / MESSAGE).write_text(json.dumps({"kind": message.kind, "values": message.values, "attached": name}))


def _read(folder: Path) -> Message:
    """Read a message that waits.

    Raises:
        RefusedError: If it is damaged.
    """
    try:
        content = json.loads((folder / MESSAGE).read_text())
        attached = folder / ATTACHED / content["attached"] if content["attached"] else None
        return Message(content["kind"], content["values"], attached)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EntryRefusedError(f"damaged message ({error})") from error
