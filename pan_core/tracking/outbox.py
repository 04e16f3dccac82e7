"""Messages to a server that may be away: on disk, in their order, until it has taken them.

What waits survives the process. Whoever next has something to say to the same server delivers it first.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pan_core.files import SCRATCH_SUFFIX, atomic_path

_log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""Between two tries while the server is away: work must not wait for it at every message."""

MESSAGE, ATTACHED = "message.json", "attached"
REFUSED = "refused"
"""Folder beside those of the senders: what no server will ever take, for a person to look at."""


class AwayError(Exception):
    """Nobody answers, or not to this login; the same message may be taken later."""


@dataclass(frozen=True)
class Message:
    """What is to be said.

    Attributes:
        kind: What it is about; the receiver's own word.
        values: Whatever JSON can hold.
        attached: A file or folder that goes with it; it is copied where the message has to wait.
    """

    kind: str
    values: dict
    attached: Path | None = None


class Outbox:
    """Messages of one sender.

    Args:
        folder: Where they wait; made when the first one has to.
        deliver: Hands one to the server. Delivering the same message twice must do no harm: a process may be killed
            after the server has taken it and before this is noted. Raises `AwayError` where the message may be taken
            later, and anything else where it never can be.

    Attributes:
        refused: How many messages that waited this object has moved aside.
    """

    def __init__(self, folder: Path, deliver: Callable[[Message], None]) -> None:
        self._folder, self._deliver = folder, deliver
        self._pause, self._next = FIRST_PAUSE_S, 0.0
        self.refused = 0

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
                    _log.warning("%s; what it is to be told is kept in %s until it answers", error, self._folder)
                self._next, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_PAUSE_S)
        self._keep(message)

    def flush(self) -> int:
        """Deliver what waits; what the server refuses for good is told and moved aside, into the folder `refused`.

        Returns:
            How many messages it has taken.

        Raises:
            AwayError: Where it does not answer; the rest goes on waiting.
        """
        if not self._folder.is_dir():
            return 0
        taken = 0
        with FileLock(self._folder.with_name(self._folder.name + ".lock")):
            for place in self._waiting():
                try:
                    self._deliver(_read(place))
                except AwayError:
                    raise
                except Exception as error:
                    self._move_aside(place, error)
                else:
                    taken += 1
                    shutil.rmtree(place)
        return taken

    def _move_aside(self, place: Path, error: Exception) -> None:
        aside = self._folder.parent / REFUSED / self._folder.name / place.name
        aside.parent.mkdir(parents=True, exist_ok=True)
        place.rename(aside)
        self.refused += 1
        _log.warning("%s: refused, and kept there: %s", aside, error)

    def __len__(self) -> int:
        return sum(1 for _ in self._waiting())

    def _waiting(self) -> Iterator[Path]:
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        return iter(sorted(place for place in places if not place.name.endswith(SCRATCH_SUFFIX)))

    def _keep(self, message: Message) -> None:
        last = max((int(place.name.partition("-")[0]) for place in self._waiting()), default=0)
        with atomic_path(self._folder / f"{last + 1:08d}-{os.getpid()}-{time.monotonic_ns()}") as partial:
            partial.mkdir()
            name = None
            if message.attached is not None:
                name = message.attached.name
                copy = shutil.copytree if message.attached.is_dir() else shutil.copy2
                (partial / ATTACHED).mkdir()
                copy(message.attached, partial / ATTACHED / name)
            (partial / MESSAGE).write_text(
                json.dumps({"kind": message.kind, "values": message.values, "attached": name})
            )


def _read(place: Path) -> Message:
    """A message that waits.

    Raises:
        ValueError: Where it is damaged.
    """
    try:
        content = json.loads((place / MESSAGE).read_text())
        attached = place / ATTACHED / content["attached"] if content["attached"] else None
        return Message(content["kind"], content["values"], attached)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"damaged message ({error})") from error
