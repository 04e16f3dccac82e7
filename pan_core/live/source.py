"""Frames of a file, a folder, a camera or a network stream; whatever happens to it, the caller only sees frames and states.

The newest frame wins: one that comes while its predecessor still waits takes its place, and the loss is counted. A
source that should last and breaks off, stalls or sends nothing that can be decoded is opened again, after a pause that
doubles up to half a minute. In a folder, a video that crashes or hangs its decoder is passed over.
"""

import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

import numpy as np

import pan_core
from pan_core.live.address import Address, Kind, read_address
from pan_core.live.decoder import END, FAULT, FRAME, HEADER, NOTE, PART
from pan_core.secrets import masked

logger = logging.getLogger(__name__)

STALL_S = 8.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# So long beyond its own limit a decoder may take to start or to notice a stall.
GRACE_S = 12.0
CHECK_S = 0.25


class State(Enum):
    """How a source is."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True)
class Frame:
    """A picture of a source.

    Attributes:
        number: Of all frames that the source has given, those included that were dropped; it rises.
        time: When it was captured: seconds of `time.monotonic`.
        position: Seconds since the first frame of this video, or of this connection.
        fps: Frames a second that the source says it has; 25 where it says nothing sensible.
        source_part: Name of the file that it is from; of a camera or stream, the number of the connection.
        picture: (H, W, 3) uint8, blue-green-red; the reader's own. H and W may change between frames.
    """

    number: int
    time: float
    position: float
    fps: float
    source_part: str
    picture: np.ndarray


StateListener = Callable[[State, str], None]


class _Died(Exception):
    """A decoder crashed or hung; its message is how."""


class Source:
    """An open source; a context manager, which leaves no thread or process behind.

    Args:
        address: See `pan_core.live.address.read_address`.
        every_frame: Of files: no frame is dropped and none waited for, the reader sets the pace. Otherwise a file
            plays at its own rate like a camera.
        on_state: Told each change of the state, with the reason in words; called by the source's own thread.
        stall_s: A lasting source that gives no frame for so many seconds is opened again.
        first_pause_s: Pause before it is opened again for the first time.

    Attributes:
        name: Its address, without passwords.
        state: How it is now.
        reason: Why it is lost, or ended before its time; empty otherwise.
        notice: The video of a folder that was passed over last, and why; empty otherwise.
        frames_seen: Frames that it has given.
        dropped: Those of them that nobody has read, as newer ones came.
        losses: How often it was lost.

    Raises:
        DataError: If the address names nothing that could be opened.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        every_frame: bool = False,
        on_state: StateListener | None = None,
        stall_s: float = STALL_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._address = address if isinstance(address, Address) else read_address(address)
        self._every_frame = every_frame and not self._address.lasting
        self._on_state = on_state or (lambda state, reason: None)
        self._stall_s = stall_s
        self._first_pause_s = first_pause_s
        self._changed = threading.Condition()
        self._waiting: Frame | None = None
        self._closed = threading.Event()
        self._last_sign = time.monotonic()
        self.name = self._address.name
        self.state, self.reason, self.notice = State.CONNECTING, "", ""
        self.frames_seen = self.dropped = self.losses = 0
        self._begun, self._behind = "", list[str]()  # of a folder: the video at work; it and those before
        self._thread = threading.Thread(target=self._run, name=f"source {self.name}", daemon=True)

    def __enter__(self) -> "Source":
        self._on_state(self.state, "")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def lasting(self) -> bool:
        """Whether it is a camera or a stream, which are expected to go on for ever."""
        return self._address.lasting

    @property
    def closed(self) -> bool:
        """Whether nobody wants its frames any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let go of the source; who waits for a frame gets none."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=GRACE_S)

    def read(self, timeout: float | None = None) -> Frame | None:
        """The newest frame that was not read yet; waits for one.

        Args:
            timeout: Most seconds to wait.

        Returns:
            None where the time is over, or the source has ended or was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._over(), timeout)
            frame, self._waiting = self._waiting, None
            self._changed.notify_all()
            return frame

    def frames(self) -> Iterator[Frame]:
        """Frames until the source has ended or was closed; of a lasting one for ever."""
        while (frame := self.read()) is not None:
            yield frame

    def _over(self) -> bool:
        return self._closed.is_set() or self.state is State.ENDED

    def _run(self) -> None:
        pause, connection = 0.0, 0
        while not self._closed.is_set():
            connection += 1
            before = self.frames_seen
            try:
                reason = self._run_decoder(str(connection))
            except _Died as death:
                reason = str(death)
                if self._pass_over(reason):
                    continue
            except (OSError, RuntimeError) as error:  # no memory, no file, no process or thread to be had just now
                reason = f"its decoder could not be started ({error})"
            if self._closed.is_set():
                return
            if not self._address.lasting or reason is None:
                self._become(State.ENDED, reason or "")
                return
            anew = self.frames_seen > before or not pause
            pause = self._first_pause_s if anew else min(2 * pause, LONGEST_PAUSE_S)
            self.losses += 1
            self._become(State.LOST, f"{reason}; trying again in {pause:g} s")
            self._closed.wait(pause)

    def _pass_over(self, reason: str) -> bool:
        """Leave the video of a folder behind that ended the decoder; returns whether there is one."""
        if self._address.kind is not Kind.FOLDER or not self._begun:
            return False
        name, self._begun = self._begun, ""
        self._notice(f"passed over: {name.encode(errors='replace').decode()}: {reason}")
        return True

    def _notice(self, text: str) -> None:
        self.notice = text
        logger.warning("%s: %s", self.name, text)
        self._on_state(self.state, text)

    def _run_decoder(self, source_part: str) -> str | None:
        """Take in all frames of one decoder; returns what was wrong, None where the source ended properly."""
        if self.state is State.LOST:
            self._become(State.CONNECTING, self.reason)
        order = {
            "kind": self._address.kind.value, "target": self._address.target, "paced": not self._every_frame, "stall_s": self._stall_s,
            "behind": self._behind,
        }  # fmt: skip
        with tempfile.TemporaryFile() as complaints:
            decoder = subprocess.Popen(
                [sys.executable, "-P", "-m", "pan_core.live.decoder"], env=_make_environment(),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, bufsize=0, start_new_session=True,
            )  # fmt: skip
            self._last_sign = time.monotonic()
            watch = threading.Thread(target=self._watch, args=(decoder,), daemon=True)
            assert decoder.stdin and decoder.stdout
            try:
                watch.start()
                decoder.stdin.write(json.dumps(order).encode() + b"\n")
                decoder.stdin.flush()
                return self._take_in(decoder.stdout, source_part)
            except (EOFError, OSError):
                if time.monotonic() - self._last_sign >= self._stall_s:
                    raise _Died(f"no picture for {self._stall_s:g} s") from None
                complaints.seek(0)
                last = complaints.read()[-2000:].decode(errors="replace").strip().splitlines()
                raise _Died(masked(f"its decoder ended without a word{': ' + last[-1] if last else ''}")) from None
            finally:
                decoder.kill()
                decoder.wait()
                if watch.ident is not None:
                    watch.join()
                decoder.stdin.close()
                decoder.stdout.close()

    def _take_in(self, pipe: IO[bytes], source_part: str) -> str | None:
        while True:
            moment, position, fps, height, width, size, kind = HEADER.unpack(_read_exactly(pipe, HEADER.size))
            content = _read_exactly(pipe, size)
            if kind == END:
                return None
            if kind == FAULT:
                return masked(bytes(content).decode(errors="replace"))
            if kind == NOTE:
                self._notice(masked(bytes(content).decode(errors="replace")))
            if kind == PART:
                self._begun = bytes(content).decode(errors="surrogateescape")
                if self._address.kind is Kind.FOLDER:
                    self._behind.append(self._begun)
                source_part = bytes(content).decode(errors="replace") or source_part
            if kind == FRAME:
                picture = np.frombuffer(content, np.uint8).reshape(height, width, 3)
                self._offer(Frame(self.frames_seen, moment, position, fps, source_part, picture))

    def _offer(self, frame: Frame) -> None:
        self._become(State.LIVE, "")
        with self._changed:
            if self._every_frame:
                self._last_sign = math.inf  # the decoder is not to blame for what the reader takes
                self._changed.wait_for(lambda: self._waiting is None or self._closed.is_set())
            self.dropped += self._waiting is not None
            self._waiting = frame
            self.frames_seen += 1
            self._last_sign = time.monotonic()
            self._changed.notify_all()

    def _watch(self, decoder: "subprocess.Popen[bytes]") -> None:
        """Kill a decoder that hangs, or that nobody wants any more."""
        while decoder.poll() is None and not self._closed.wait(CHECK_S):
            live = self._address.lasting and self.state is State.LIVE
            if time.monotonic() - self._last_sign > self._stall_s + (0 if live else GRACE_S):
                break
        decoder.kill()

    def _become(self, state: State, reason: str) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        with self._changed:
            self.state, self.reason = state, reason
            self._changed.notify_all()
        self._on_state(state, reason)


def _make_environment() -> dict[str, str]:
    """In which the decoder finds this very package, whatever lies in the working directory."""
    package = str(Path(pan_core.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}


def _read_exactly(pipe: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    view, got = memoryview(content), 0
    while got < size:
        read = pipe.readinto(view[got:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        got += read
    return content
