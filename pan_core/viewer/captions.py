"""Which actions hold, in words, and the spans of time over which they do."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

JOINER = " & "

NOTHING = "no known action"
"""What is written for a caption without a label."""


@dataclass(frozen=True)
class Caption:
    """Actions that hold at one moment.

    Attributes:
        label: Their names, joined by " & "; empty if none of the known actions holds.
        confidence: Their summed probability; the probability that none holds if the label is empty.
    """

    label: str
    confidence: float

    def __str__(self) -> str:
        return f"{self.label} {100 * self.confidence:.0f} %" if self.label else NOTHING


@dataclass(frozen=True)
class CaptionSpan:
    """One caption from `start` up to `end`, which is outside; positions in a sequence of captions."""

    start: int
    end: int
    label: str
    confidence: float


def holding(probabilities: np.ndarray, actions: Sequence[str], *, relative: float = 0.5) -> Caption:
    """The most probable action, together with every other that is at least `relative` times as probable.

    The action head is trained on the uniform distribution over the actions that hold, so two at once have about 0.5
    each. More than two are never named: training data has at most two at once, and three equal ones mean doubt.

    What the probabilities lack to 1 is the probability that none of the actions holds; if that is the largest of all,
    nothing is named.

    Args:
        probabilities: Shape (A,), summing to 1 at most.
        actions: The A names; those that hold are named in this order.
        relative: Bound on the ratio to the most probable one, in (0, 1].
    """
    if names_nothing(probabilities):
        return Caption("", float(none_probability(probabilities)))
    ranked = np.argsort(probabilities)[::-1][:2]
    held = sorted(int(a) for a in ranked if probabilities[a] >= relative * probabilities[ranked[0]])
    return Caption(JOINER.join(actions[a] for a in held), float(probabilities[held].sum()))


def likeliest(probabilities: np.ndarray, classes: Sequence[str]) -> Caption:
    """The most probable class; an empty label if it is more probable that none of them holds.

    Args:
        probabilities: Shape (K,), summing to 1 at most.
        classes: The K names.
    """
    if names_nothing(probabilities):
        return Caption("", float(none_probability(probabilities)))
    best = int(probabilities.argmax())
    return Caption(classes[best], float(probabilities[best]))


def names_nothing(probabilities: np.ndarray) -> np.ndarray:
    """Whether it is more probable that none of the actions or classes holds than any of them; (..., K) to (...)."""
    return none_probability(probabilities) > probabilities.max(axis=-1)


def none_probability(probabilities: np.ndarray) -> np.ndarray:
    """Probability that none of the actions or classes holds: what theirs, (..., K), lack to 1; (...)."""
    return np.clip(1 - probabilities.sum(axis=-1, dtype=np.float64), 0, 1)


def names_of(label: str, actions: Sequence[str]) -> tuple[str, ...]:
    """The actions that the label of a caption names.

    Args:
        label: As `holding` makes it.
        actions: The names that were given to `holding`, in that order.
    """
    pairs = (pair for pair in itertools.combinations(actions, 2) if JOINER.join(pair) == label)
    return (label,) if label in actions else next(pairs)


def spans(captions: Sequence[Caption], *, shortest: int = 1) -> list[CaptionSpan]:
    """Spans of a whole sequence of captions; see `CaptionSpans`."""
    found = CaptionSpans(shortest=shortest)
    for caption in captions:
        found.add(caption)
    return found.spans()


class CaptionSpans:
    """Runs of equal labels, in order and without gaps, from captions that come one by one.

    A run below `shortest` joins the run before it, so that one flickering frame does not cut an action in two; the
    first run joins the one after it if that is long enough. A span's confidence is the mean of those of its own
    label. What is kept grows with the spans, not with the captions.

    Args:
        shortest: Captions of the shortest run that stands by itself.
    """

    def __init__(self, *, shortest: int = 1) -> None:
        self._shortest = shortest
        self._closed: list[CaptionSpan] = []
        # The last span, which the run may still join, and the run.
        self._open: _Run | None = None
        self._run: _Run | None = None
        self._length = 0

    def add(self, caption: Caption, *, times: int = 1) -> None:
        """Take in the next caption, `times` over."""
        if self._run is None or self._run.label != caption.label:
            closed, self._open = self._join()
            self._closed += closed
            self._run = _Run(self._length, caption.label, {})
        self._run.take({caption.label: (caption.confidence * times, times)})
        self._length += times

    def spans(self) -> list[CaptionSpan]:
        """The spans so far."""
        closed, last = self._join()
        return [*self._closed, *closed, last.span(self._length)] if last else []

    def _join(self) -> tuple[list[CaptionSpan], "_Run | None"]:
        """The span that is closed if the run ends now, and the last one then."""
        last, run = self._open, self._run
        if run is None or last is None:
            return [], run
        short = self._length - run.start < self._shortest
        if short or run.label == last.label or run.start - last.start < self._shortest:
            joined = _Run(last.start, last.label if short or run.label == last.label else run.label, dict(last.seen))
            joined.take(run.seen)
            return [], joined
        return [last.span(run.start)], run


@dataclass
class _Run:
    """Captions from `start` on under one label, with sum and count of the confidences of each label among them."""

    start: int
    label: str
    seen: dict[str, tuple[float, int]]

    def take(self, seen: dict[str, tuple[float, int]]) -> None:
        for label, (total, count) in seen.items():
            before, number = self.seen.get(label, (0.0, 0))
            self.seen[label] = before + total, number + count

    def span(self, end: int) -> CaptionSpan:
        total, count = self.seen[self.label]
        return CaptionSpan(self.start, end, self.label, total / count)
