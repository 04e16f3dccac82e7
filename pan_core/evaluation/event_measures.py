"""How well events in a stream agree with the actions that held: hits and false alarms, F1 with tolerance, delay of the alarm.

Hits are counted in the manner of the streaming test of MLPerf Tiny: an event is right if it becomes certain while its action holds
or up to `LATE_S` later; other events are false alarms; an action that holds for at least `SHORTEST_S` without one is a miss.
F1 is the event-based one of Mesaros, Heittola and Virtanen, Metrics for polyphonic sound event detection (2016), as the library
sed_eval has it, whose figures `tests/evaluation/test_event_measures.py` holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

LATE_S, SHORTEST_S = 1.0, 0.5
TOLERANCE_S, LENGTH_SHARE = 1.0, 0.5
"""An event agrees with an action whose start is at most so far from its own, and whose end at most so far, or so much of the action's length."""

Span = tuple[float, float]
ByLabel = Mapping[str, Sequence[Span]]


@dataclass(frozen=True)
class FoundEvent:
    """An event of a detector.

    Attributes:
        label: The action.
        certain_s: When it was certain, so that the alarm went off.
        start_s: Its start.
        end_s: Its end.
    """

    label: str
    certain_s: float
    start_s: float
    end_s: float


@dataclass(frozen=True)
class EventCounts:
    """What became of the actions of some streams.

    Attributes:
        hits: Actions with an event.
        misses: Actions without.
        false_alarms: Events without an action.
        delays_s: Seconds from the start of each action that was hit to its first alarm.
    """

    hits: int
    misses: int
    false_alarms: int
    delays_s: tuple[float, ...] = ()

    def __add__(self, other: "EventCounts") -> "EventCounts":
        """Counts of both."""
        return EventCounts(
            self.hits + other.hits,
            self.misses + other.misses,
            self.false_alarms + other.false_alarms,
            self.delays_s + other.delays_s,
        )

    def delay_s(self, percentile: float) -> float | None:
        """A percentile of the delays; None if nothing was hit."""
        return float(np.percentile(self.delays_s, percentile)) if self.delays_s else None


NOTHING = EventCounts(0, 0, 0)


def spells(holds: np.ndarray, rate: float) -> list[Span]:
    """Spells of one action, in seconds; two less than `LATE_S` apart are one, for a person who looks on as for a detector.

    Args:
        holds: If it holds at each frame, bool (T,).
        rate: Frames a second.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], holds.astype(np.int8), [0]])))
    joined: list[Span] = []
    for start, end in edges.reshape(-1, 2) / rate:
        if joined and start - joined[-1][1] < LATE_S:
            joined[-1] = joined[-1][0], float(end)
        else:
            joined.append((float(start), float(end)))
    return joined


def count_events(truth: Sequence[Span], found: Sequence[FoundEvent]) -> EventCounts:
    """Hits, misses and false alarms of one action in one stream.

    Args:
        truth: Its spells, as `spells` gives them; those that are too short are neither hits nor misses, and excuse an event.
        found: Events of it.
    """
    certain = np.array(sorted(event.certain_s for event in found))
    delays, misses = [], 0
    for start, end in truth:
        alarms = certain[(certain >= start) & (certain <= end + LATE_S)]
        if len(alarms):
            delays.append(float(alarms[0] - start))
        else:
            misses += end - start >= SHORTEST_S
    right = sum(any(start <= moment <= end + LATE_S for start, end in truth) for moment in certain)
    return EventCounts(len(delays), misses, len(certain) - right, tuple(delays))


def event_f1(truth: ByLabel, found: ByLabel, *, tolerance_s: float = TOLERANCE_S) -> float:
    """Event-based F1 over all labels; not a number if there is neither an action nor an event.

    Args:
        truth: Label -> spans of its actions, of one stream or of several laid end to end.
        found: Label -> spans of its events.
        tolerance_s: Largest difference of the starts, and of the ends if that is more than `LENGTH_SHARE` of the action.
    """
    right = sum(_count_pairs(truth.get(label, ()), spans, tolerance_s) for label, spans in found.items())
    both = sum(map(len, truth.values())) + sum(map(len, found.values()))
    return 2 * right / both if both else float("nan")


def _count_pairs(truth: Sequence[Span], found: Sequence[Span], tolerance_s: float) -> int:
    """The most pairs of an action and an event that agree, each in one pair at most."""
    if not len(truth) or not len(found):
        return 0
    true, own = np.array(truth)[:, None], np.array(found)[None]
    late = np.maximum(tolerance_s, LENGTH_SHARE * (true[..., 1] - true[..., 0]))
    agree = (abs(true[..., 0] - own[..., 0]) <= tolerance_s) & (abs(true[..., 1] - own[..., 1]) <= late)
    return int(agree[linear_sum_assignment(agree, maximize=True)].sum())
