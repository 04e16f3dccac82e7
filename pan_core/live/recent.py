"""What a page shows of one camera: the newest frame, and the latest events with their skeletons; in memory only."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pan_core.live.events import Event
from pan_core.live.watcher import FrameResult

# What an event's replay shows before its start, and at most in all.
REPLAY_BEFORE_S, REPLAY_LONGEST_S = 0.5, 15.0
KEPT_EVENTS, KEPT_LATENCIES = 100, 500
# Times of events are rounded to milliseconds.
ROUNDED_S = 1e-3
_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


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


class Recent:
    """The latest of one camera; what it holds does not grow.

    Attributes:
        newest: The newest frame and its people; None before the first.
        events: By their ids, the newest last; an event that is over takes the place of its beginning.
    """

    def __init__(self) -> None:
        self.newest: FrameResult | None = None
        self.events: dict[str, Event] = {}
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._replays: dict[str, Replay] = {}
        self._past: deque[FrameResult] = deque()

    @property
    def latency_p90_s(self) -> float | None:
        """90th percentile of the time from capture to caption, over the latest frames; None before the first."""
        return float(np.percentile(np.array(self._latencies), 90)) if self._latencies else None

    def replay(self, event: str) -> Replay | None:
        """Skeletons of an event that is over, None where it is not known or goes on."""
        return self._replays.get(event)

    def take(self, result: FrameResult) -> None:
        """A frame that was looked at."""
        self._latencies.append(result.latency_s)
        # Without the picture: seconds of those would fill the memory.
        self._past.append(replace(result, frame=replace(result.frame, picture=_NO_PICTURE)))
        while result.frame.time - self._past[0].frame.time > REPLAY_LONGEST_S:
            self._past.popleft()
        self.newest = result

    def keep(self, event: Event) -> None:
        """An event, when it is certain and when it is over."""
        if event.end_s is not None and self.newest is not None:
            self._replays[event.id] = self._record(event, event.end_s, self.newest)
        self.events[event.id] = event
        while len(self.events) > KEPT_EVENTS:
            oldest = next(iter(self.events))
            del self.events[oldest]
            self._replays.pop(oldest, None)

    def _record(self, event: Event, end_s: float, newest: FrameResult) -> Replay:
        shown = [
            (result.frame.position - event.start_s, one.joints)
            for result in self._past
            for one in result.people
            if one.person == event.person
            and result.frame.source_part == event.part
            and event.start_s - REPLAY_BEFORE_S <= result.frame.position <= end_s + ROUNDED_S
        ]
        layout = newest.by.network.layout
        height, width = newest.frame.picture.shape[:2]
        joints = np.stack([pose for _, pose in shown]) if shown else np.zeros((0, layout.size, 3))
        return Replay(np.array([seconds for seconds, _ in shown]), joints, layout.bones, (width, height))
