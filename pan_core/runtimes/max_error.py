"""Largest error of a network's output."""

from collections.abc import Sequence

import numpy as np


def largest_difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference of any value, relative for wanted values above 1; infinite if a value is not finite.

    NaN is not larger than any bound, and so would count as a small difference.
    """
    # The running sums of pose attention grow with the stream, and their rounding with them.
    difference = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def relative_difference(got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """Largest difference of any value, as a share of the largest wanted one; infinite if a shape or a number is wrong.

    Outputs have units of their own: a map reaches 1, an offset 30 cells.
    """
    if any(one.shape != other.shape for one, other in zip(got, wanted, strict=True)):
        return float("inf")
    scale = max(float(np.abs(each).max(initial=0.0)) for each in wanted) or 1.0
    pairs = zip(got, wanted, strict=True)
    differences = [np.abs(np.asarray(one, float) - other).max(initial=0.0) for one, other in pairs]
    return max(differences) / scale if np.isfinite(differences).all() else float("inf")
