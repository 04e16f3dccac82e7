"""One source being watched: its people, its events, and how it is."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pan_core.errors import VideoError
from pan_core.live.events import ALL, Event, EventDetector, Rule, Rules
from pan_core.live.recent import Recent
from pan_core.live.source import Source, State
from pan_core.live.watching import Watched, Watcher
from pan_core.recognizer import Recognizer

POLL_S = 0.5


@dataclass(frozen=True)
class Moment:
    """What came of one frame; `watched` is None where there is none, as the source is lost or over."""

    watched: Watched | None
    events: tuple[Event, ...]


def watch(source: Source, in_use: Callable[[], Recognizer], *, rules: Rules = ALL) -> Iterator[Moment]:
    """Watch an open source until it ends or is closed.

    Args:
        source: Gives frames.
        in_use: As for `Watcher`.
        rules: As for `EventDetector`; a recogniser that takes over later and does not know an action has no events of it.

    Yields:
        A moment for each frame, and one for each half second without any.

    Raises:
        DataError: Where the recogniser does not fit, or does not know an action of the rules.
        VideoError: Where files end without one frame.
    """
    watcher = Watcher(in_use)
    known = in_use()
    detector = EventDetector(known.network.actions, rules=rules, camera=source.name)
    while True:
        frame = source.read(POLL_S)
        if frame is None:
            over = source.state is State.ENDED or source.closed
            if over or source.state is State.LOST:
                yield Moment(None, tuple(detector.finish()))
            else:
                yield Moment(None, ())
            if source.state is State.ENDED and source.reason and not source.frames_seen:
                raise VideoError(source.reason)
            if over:
                return
            continue
        watched = watcher.update(frame)
        events: list[Event] = []
        if watched.by is not known:
            known, events = watched.by, detector.finish()
            actions = known.network.actions
            still = (
                rules if isinstance(rules, Rule) else {name: rule for name, rule in rules.items() if name in actions}
            )
            detector = EventDetector(actions, rules=still, camera=source.name)
        if watched.looked:
            events += detector.update(frame.position, watched.people, part=frame.part)
        began = time.time() - (time.monotonic() - frame.time) - frame.position
        yield Moment(watched, tuple(_dated(event, began) if source.lasting else event for event in events))


def _dated(event: Event, began: float) -> Event:
    """The event with times of day; `began` is that of its part's start, seconds since 1970."""

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
        in_use: As for `Watcher`.
        rules: As for `watch`.
        put_event: Called with each event.

    Attributes:
        source: The source.
        fault: Why it is not watched any more though the source goes on; empty otherwise.
        count: Rises with each frame that was looked at and each change of state.
        recent: The newest frame, latencies, and the latest events.
    """

    def __init__(
        self,
        source: Source,
        in_use: Callable[[], Recognizer],
        *,
        rules: Rules = ALL,
        put_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.source, self._in_use, self._rules, self._put_event = source, in_use, rules, put_event
        self.fault = ""
        self.count = 0
        self.recent = Recent()
        self._thread = threading.Thread(target=self._run, name=f"camera {source.name}", daemon=True)

    def __enter__(self) -> "Camera":
        self.source.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        state = self.source.state
        try:
            for moment in watch(self.source, self._in_use, rules=self._rules):
                if moment.watched and moment.watched.looked:
                    self.recent.take(moment.watched)
                    self.count += 1
                for event in moment.events:
                    self._put_event(event)
                    self.recent.keep(event)
                if moment.events or state is not self.source.state:
                    state = self.source.state
                    self.count += 1
        except Exception as error:
            # The other cameras go on, and the page says what happened to this one.
            self.fault = f"{type(error).__name__}: {error}"
            self.count += 1
            self.source.close()
