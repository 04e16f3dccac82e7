"""Which actions hold, in words, and the spans of time over which they do."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

JOINER = " & "


@dataclass(frozen=True)
class Caption:
    """Actions that hold at one moment.

    Attributes:
        label: Their names, joined by " & ".
        confidence: Their summed probability.
    """

    label: str
    confidence: float

    def __str__(self) -> str:
        return f"{self.label} {100 * self.confidence:.0f} %"


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

    Args:
        probabilities: Shape (A,), summing to 1.
        actions: The A names; those that hold are named in this order.
        relative: Bound on the ratio to the most probable one, in (0, 1].
    """
    ranked = np.argsort(probabilities)[::-1][:2]
    held = sorted(int(a) for a in ranked if probabilities[a] >= relative * probabilities[ranked[0]])
    return Caption(JOINER.join(actions[a] for a in held), float(probabilities[held].sum()))


def names_of(label: str, actions: Sequence[str]) -> tuple[str, ...]:
    """The actions that the label of a caption names.

    Args:
        label: As `holding` makes it.
        actions: The names that were given to `holding`, in that order.
    """
    pairs = (pair for pair in itertools.combinations(actions, 2) if JOINER.join(pair) == label)
    return (label,) if label in actions else next(pairs)


def spans(captions: Sequence[Caption], *, shortest: int = 1) -> list[CaptionSpan]:
    """Runs of equal labels, in order and without gaps.

    A run below `shortest` joins the run before it, so that one flickering frame does not cut an action in two; the
    first run joins the one after it where that is long enough. A span's confidence is the mean of those of its own
    label.
    """
    labels = [caption.label for caption in captions]
    edges = [i for i in range(len(labels) + 1) if i in (0, len(labels)) or labels[i] != labels[i - 1]]
    merged: list[list] = []
    for start, end in itertools.pairwise(edges):
        label = labels[start]
        if merged and (end - start < shortest or label == merged[-1][2]):
            merged[-1][1] = end
        elif merged and merged[-1][1] - merged[-1][0] < shortest:
            merged[-1][1:] = [end, label]
        else:
            merged.append([start, end, label])
    return [
        CaptionSpan(start, end, label, _average_confidence(captions[start:end], label)) for start, end, label in merged
    ]


def _average_confidence(captions: Sequence[Caption], label: str) -> float:
    return float(np.mean([caption.confidence for caption in captions if caption.label == label]))
