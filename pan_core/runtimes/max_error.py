"""Largest error of a network's output."""

import numpy as np


def largest_difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference of any value, relative for wanted values above 1; infinite if a value is not finite.

    NaN is not larger than any bound, and so would count as a small difference.
    """
    # The running sums of pose attention grow with the stream, and their rounding with them.
    difference = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")
