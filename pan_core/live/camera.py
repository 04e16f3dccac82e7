"""One source being watched: its people, its events, and how it is."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from pan_core.errors import VideoError
from pan_core.live.events import ALL, Event, EventDetector, Rule, Rules
from pan_core.live.source import Source, State
from pan_core.live.watching import Watched, Watcher
from pan_core.recognizer import Recognizer

POLL_S = 0.5
# What an event's replay shows before its start, and at most in all.
REPLAY_BEFORE_S, REPLAY_LONGEST_S = 0.5, 15.0
KEPT_EVENTS = 100
# Times of events are rounded to milliseconds.
ROUNDED_S = 1e-3


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


@dataclass(frozen=True)
class Replay:
    """Skeletons of one event.

    Attributes:
        times_s: (T,) seconds from the start of the event; those before it are below 0.
        joints: (T, V, 3) x, y in pixels, score.
        bones: Pairs of joints.
        size: Width and height of the picture.
    """

    times_s: np.ndarray
    joints: np.ndarray
    bones: Sequence[tuple[int, int]]
    size: tuple[int, int]


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
        moment: The newest frame and its people; None before the first.
        latency_p90_s: Of the latest frames, from capture to caption; None before the first.
        events: The latest, the newest last; an event that is over takes the place of its beginning.
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
        self.moment: Watched | None = None
        self.events: dict[str, Event] = {}
        self._latencies: deque[float] = deque(maxlen=500)
        self._replays: dict[str, Replay] = {}
        self._past: deque[Watched] = deque()
        self._thread = threading.Thread(target=self._run, name=f"camera {source.name}", daemon=True)

    def __enter__(self) -> "Camera":
        self.source.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self._thread.join(timeout=10)

    @property
    def latency_p90_s(self) -> float | None:
        """90th percentile over the latest 500 frames."""
        return float(np.percentile(np.array(self._latencies), 90)) if self._latencies else None

    def replay(self, event: str) -> Replay | None:
        """Skeletons of an event that is over, None where it is not known or goes on."""
        return self._replays.get(event)

    def _run(self) -> None:
        state = self.source.state
        try:
            for moment in watch(self.source, self._in_use, rules=self._rules):
                if moment.watched and moment.watched.looked:
                    self._take(moment.watched)
                for event in moment.events:
                    self._keep(event)
                if moment.events or state is not self.source.state:
                    state = self.source.state
                    self.count += 1
        except Exception as error:
            # The other cameras go on, and the page says what happened to this one.
            self.fault = f"{type(error).__name__}: {error}"
            self.count += 1
            self.source.close()

    def _take(self, watched: Watched) -> None:
        self._latencies.append(watched.latency_s)
        # Without the picture: seconds of those would fill the memory.
        bare = replace(watched, frame=replace(watched.frame, picture=watched.frame.picture[:0]))
        self._past.append(bare)
        while watched.frame.time - self._past[0].frame.time > REPLAY_LONGEST_S:
            self._past.popleft()
        self.moment = watched
        self.count += 1

    def _keep(self, event: Event) -> None:
        self._put_event(event)
        if event.end_s is not None and self.moment is not None:
            self._replays[event.id] = self._record(event, self.moment)
        self.events[event.id] = event
        while len(self.events) > KEPT_EVENTS:
            oldest = next(iter(self.events))
            del self.events[oldest]
            self._replays.pop(oldest, None)

    def _record(self, event: Event, newest: Watched) -> Replay:
        shown = [
            (watched.frame.position - event.start_s, one.joints)
            for watched in self._past
            for one in watched.people
            if one.person == event.person
            and watched.frame.part == event.part
            and -REPLAY_BEFORE_S
            <= watched.frame.position - event.start_s
            <= (event.end_s or 0) - event.start_s + ROUNDED_S
        ]
        layout = newest.by.network.layout
        height, width = newest.frame.picture.shape[:2]
        joints = np.stack([pose for _, pose in shown]) if shown else np.zeros((0, layout.size, 3))
        return Replay(np.array([moment for moment, _ in shown]), joints, layout.bones, (width, height))
