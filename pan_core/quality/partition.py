"""Bins of numbers and shares of classes, in the form in which Great Expectations compares distributions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtri

SMOOTHING = 0.5
"""Clips that are added to each bin of the reference, so that a bin without any does not make the divergence infinite."""


@dataclass(frozen=True)
class Partition:
    """How the reference is spread over bins or classes.

    Attributes:
        expected: Great Expectations' partition object.
        counts: Clips of the reference in each bin, those below and above all edges first and last; or of each class.
    """

    expected: dict[str, Any]
    counts: np.ndarray

    @classmethod
    def of_numbers(cls, reference: pd.Series, *, step: float, bins: int) -> "Partition":
        """Bins of a column of numbers.

        Args:
            reference: The numbers, of which at least one is not NaN.
            step: Values nearer to one another than this count as equal.
            bins: How many are wanted; each holds about as many clips, and a value that many share is alone in its own.
        """
        values = reference.dropna().to_numpy(dtype=float)
        edges = _place_edges(values, step, bins)
        counts = _count_bins(values, edges)
        low, *inner, high = _smooth(counts).tolist()
        return cls({"bins": edges.tolist(), "weights": inner, "tail_weights": [low, high]}, counts)

    @classmethod
    def of_classes(cls, reference: pd.Series, known: Iterable[str]) -> "Partition":
        """Shares of classes, each of `known`."""
        values = sorted(set(known))
        counts = reference.value_counts().reindex(values, fill_value=0).to_numpy()
        return cls({"values": values, "weights": _smooth(counts).tolist()}, counts)

    def count(self, new: pd.Series) -> np.ndarray:
        """Clips of other footage in the same bins or classes."""
        if "values" in self.expected:
            return new.value_counts().reindex(self.expected["values"], fill_value=0).to_numpy()
        return _count_bins(new.dropna().to_numpy(dtype=float), np.array(self.expected["bins"]))

    def by_chance(self, new: int, level: float) -> float:
        """Divergence that clips of the same kind exceed in a share `level` of all comparisons.

        Twice the divergence times the clips is the statistic of the G-test, whose distribution is chi-square with a
        degree of freedom less than there are bins; that the reference is a sample, too, adds its own part. With as few
        as four clips a bin it is exceeded nearly twice as often.

        Args:
            new: Clips that are compared.
            level: Share of comparisons, in 0..1.
        """
        freedom = max(1, int((self.counts > 0).sum()) - 1)
        return float(chdtri(freedom, level) / 2 * (1 / new + 1 / self.counts.sum()))


def _smooth(counts: np.ndarray) -> np.ndarray:
    return (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))


def _count_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.array([(values < edges[0]).sum(), *np.histogram(values, edges)[0], (values > edges[-1]).sum()])


def _place_edges(values: np.ndarray, step: float, bins: int) -> np.ndarray:
    """At least two edges; a bin at an end is open unless it belongs to one value alone."""
    least, held, edges = len(values) / bins, 0, []
    cells = list(_find_cells(values, step))
    for low, high, count in cells:
        held += count
        if count >= least:
            edges.append(low)
        if count >= least or (held >= least and high < cells[-1][1]):
            edges.append(high)
            held = 0
    # Neighbours share an edge but for rounding.
    edges = np.unique(np.round(edges, 9)).tolist()
    return np.array(edges if len(edges) > 1 else sorted({cells[0][0], *edges, cells[-1][1]}))


def _find_cells(values: np.ndarray, step: float) -> Iterator[tuple[float, float, int]]:
    """Runs of values that count as equal: where each begins and ends, half a step around it at most, and its clips."""
    distinct, counts = np.unique(values, return_counts=True)
    starts = [0]
    for place, value in enumerate(distinct):
        if value - distinct[starts[-1]] >= step * (1 - 1e-6):
            starts.append(place)
    first, last = distinct[starts], distinct[[*(start - 1 for start in starts[1:]), -1]]
    margins = np.minimum([step, *(first[1:] - last[:-1]), step], step) / 2
    clips = np.add.reduceat(counts, starts)
    yield from zip(first - margins[:-1], last + margins[1:], clips, strict=True)
