"""One source being watched: its people, its events, and how it is."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pan_core.errors import VideoError
from pan_core.live.event_watcher import EventWatcher
from pan_core.live.events import Event
from pan_core.live.recent import Recent
from pan_core.live.source import Frame, Source, State
from pan_core.live.watcher import FrameResult
from pan_core.recognition.event_rules import OWN, Rules
from pan_core.recognition.recognizer import Recognizer

logger = logging.getLogger(__name__)

POLL_S = 0.5
# After a frame that could not be looked at, frames are let go for so long; it doubles while the fault lasts.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# Events of the source part before may end with the first frames of the next.
PARTS = 2


@dataclass(frozen=True)
class StreamUpdate:
    """What came of one frame.

    Attributes:
        result: None if there is no frame, as the source is lost or over, or if it could not be looked at.
        events: Those that began or ended.
        unknown: Actions of the rules that the recognizer in use does not know, so that there are no events of them.
        fault: Why the frame could not be looked at; empty otherwise.
    """

    result: FrameResult | None
    events: tuple[Event, ...]
    unknown: tuple[str, ...] = ()
    fault: str = ""


def watch(
    source: Source, get_recognizer: Callable[[], Recognizer], *, rules: Rules = OWN, go_on: bool = False
) -> Iterator[StreamUpdate]:
    """Watch an open source until it ends or is closed.

    Args:
        source: Gives frames.
        get_recognizer: As for `Watcher`.
        rules: The recognizer's own, those of some actions, or one for all; a recognizer that takes over later brings its own, and
            if it does not know an action there are no events of it.
        go_on: A frame that cannot be looked at gives an update with the fault; otherwise its exception is raised.

    Yields:
        An update for each frame, and one for each half second without any.

    Raises:
        DataError: If the recognizer does not fit, or does not know an action of the rules.
        VideoError: If files end without one frame.
    """
    events = EventWatcher(get_recognizer, rules, source.name)
    date_events = _Dates(lasting=source.lasting)
    pause, resume = 0.0, -math.inf
    while True:
        frame = source.read(POLL_S)
        if frame is None:
            over = source.state is State.ENDED or source.closed
            ended = events.finish() if over or source.state is State.LOST else []
            yield StreamUpdate(None, date_events(ended), events.unknown)
            if source.state is State.ENDED and source.reason and not source.frames_seen:
                raise VideoError(source.reason, code="source.no-frame")
            if over:
                return
            continue
        if time.monotonic() < resume:
            continue
        try:
            result, found = events.update(frame)
        except Exception as error:
            if not go_on:
                raise
            pause = min(2 * pause, LONGEST_PAUSE_S) or FIRST_PAUSE_S
            resume = time.monotonic() + pause
            fault = f"{type(error).__name__}: {error}"
            logger.warning("%s: a frame could not be looked at, trying again in %g s: %s", source.name, pause, fault)
            yield StreamUpdate(None, date_events(events.begin_anew()), events.unknown, fault)
            continue
        pause = 0.0
        yield StreamUpdate(result, date_events(found, result.frame), events.unknown)


def stream(
    recognizer: Recognizer, source: str, *, rules: Rules = OWN, every_frame: bool = False
) -> Iterator[StreamUpdate]:
    """Watch a source by one recognizer: a file, a folder, a camera's number, an rtsp or http address.

    Args:
        recognizer: See `pan_core.recognition.recognizer`.
        source: See `pan_core.live.address.read_address`.
        rules: Which actions are events, and when; those of the recognizer itself if left out.
        every_frame: Of files: as fast as it goes, no frame dropped; otherwise a file plays like a camera.

    Yields:
        An update for each frame; its `result` is None while there is none. A camera goes on for ever, and is let
        go when the iterator is closed.

    Raises:
        DataError: If the address names nothing that can be opened, or a rule an unknown action.
    """
    with Source(source, every_frame=every_frame) as opened:
        yield from watch(opened, lambda: recognizer, rules=rules)


class _Dates:
    """Gives events their times of day, by the zero of the source part that they are of; of files that is not known."""

    def __init__(self, *, lasting: bool) -> None:
        self._lasting = lasting
        self._zeros: dict[str, float] = {}

    def __call__(self, events: Sequence[Event], frame: Frame | None = None) -> tuple[Event, ...]:
        """The events with times of day; `frame` is the one that they came with, if there is one."""
        if not self._lasting:
            return tuple(events)
        if frame:
            self._zeros[frame.source_part] = time.time() - (time.monotonic() - frame.time) - frame.position
        dated = tuple(_date_event(event, self._zeros[event.part]) for event in events)
        while len(self._zeros) > PARTS:
            del self._zeros[next(iter(self._zeros))]
        return dated


def _date_event(event: Event, began: float) -> Event:
    """The event with times of day; `began` is that of the start of its source part, seconds since 1970."""

    def day(seconds: float | None) -> str:
        if seconds is None:
            return ""
        return datetime.fromtimestamp(began + seconds, tz=UTC).isoformat(timespec="milliseconds")

    return replace(event, start=day(event.start_s), end=day(event.end_s))


class Camera:
    """Watches a source in a thread of its own; a context manager.

    Nothing is stored but what the page shows: the newest frame, and skeletons of the last events, in memory.

    Args:
        source: Not opened yet.
        get_recognizer: As for `Watcher`.
        rules: As for `watch`.
        put_event: Called with each event.

    Attributes:
        source: The source.
        fault: Why the newest frame could not be looked at, or why the source is not watched any more; empty otherwise.
        notice: What a person should know though all goes on; empty otherwise.
        count: Rises with each frame that was looked at and each change of state.
        recent: The newest frame, latencies, and the latest events.
    """

    def __init__(
        self,
        source: Source,
        get_recognizer: Callable[[], Recognizer],
        *,
        rules: Rules = OWN,
        put_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.source, self._get_recognizer, self._rules, self._put_event = source, get_recognizer, rules, put_event
        self.fault = self.notice = ""
        self.count = 0
        self.recent = Recent()
        self._thread = threading.Thread(target=self._run, name=f"camera {source.name}", daemon=True)

    def __enter__(self) -> "Camera":
        self.source.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self.join(timeout=10)

    def join(self, timeout: float) -> None:
        """Wait until the source is over, at most so many seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        state = self.source.state
        try:
            for update in watch(self.source, self._get_recognizer, rules=self._rules, go_on=True):
                before = state, self.fault, self.notice
                if update.result and update.result.looked:
                    self.recent.take(update.result)
                    self.count += 1
                for event in update.events:
                    self._put_event(event)
                    self.recent.keep(event)
                if update.result or update.fault:
                    self.fault = update.fault
                unknown = ", ".join(update.unknown)
                self.notice = f"no events of {unknown}: the recognizer in use does not know it" if unknown else ""
                state = self.source.state
                if update.events or before != (state, self.fault, self.notice):
                    self.count += 1
        except Exception as error:
            # The other cameras go on, and the page says what happened to this one.
            self.fault = f"{type(error).__name__}: {error}"
            self.count += 1
            self.source.close()
