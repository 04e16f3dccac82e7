"""Bins of numbers and shares of classes, in the form in which Great Expectations compares distributions."""

from collections.abc import Iterable
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
        edges = _edges(values, step, bins)
        counts = _counts(values, edges)
        low, *inner, high = _smoothed(counts).tolist()
        return cls({"bins": edges.tolist(), "weights": inner, "tail_weights": [low, high]}, counts)

    @classmethod
    def of_classes(cls, reference: pd.Series, known: Iterable[str]) -> "Partition":
        """Shares of classes, each of `known`."""
        values = sorted(set(known))
        counts = reference.value_counts().reindex(values, fill_value=0).to_numpy()
        return cls({"values": values, "weights": _smoothed(counts).tolist()}, counts)

    def count(self, new: pd.Series) -> np.ndarray:
        """Clips of other footage in the same bins or classes."""
        if "values" in self.expected:
            return new.value_counts().reindex(self.expected["values"], fill_value=0).to_numpy()
        return _counts(new.dropna().to_numpy(dtype=float), np.array(self.expected["bins"]))

    def by_chance(self, new: int, level: float) -> float:
        """Divergence that clips of the same kind exceed in a share `level` of all comparisons.

        Twice the divergence times the clips is the statistic of the G-test, whose distribution is chi-square with a
        degree of freedom less than there are bins; that the reference is a sample, too, adds its own part.

        Args:
            new: Clips that are compared.
            level: Share of comparisons, in 0..1.
        """
        freedom = max(1, int((self.counts > 0).sum()) - 1)
        return float(chdtri(freedom, level) / 2 * (1 / new + 1 / self.counts.sum()))


def _smoothed(counts: np.ndarray) -> np.ndarray:
    return (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.array([(values < edges[0]).sum(), *np.histogram(values, edges)[0], (values > edges[-1]).sum()])


def _edges(values: np.ndarray, step: float, bins: int) -> np.ndarray:
    """Edges between the bins; with fewer than two of them also those around all values."""
    cells, counts = np.unique(np.floor(values / step + 0.5), return_counts=True)
    least, held, edges = len(values) / bins, 0, []
    for cell, count in zip(cells, counts, strict=True):
        if held and count >= least:
            edges.append(cell - 0.5)
            held = 0
        held += count
        if held >= least:
            edges.append(cell + 0.5)
            held = 0
    inner = [edge for edge in dict.fromkeys(edges) if cells[0] < edge < cells[-1]]
    return np.array(inner if len(inner) > 1 else [cells[0] - 0.5, *inner, cells[-1] + 0.5]) * step
