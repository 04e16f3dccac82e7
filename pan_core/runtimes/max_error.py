"""How far a network's answer is from the one that is wanted."""

import numpy as np


def largest_difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference of any value, relative where the wanted one is above 1; infinite where a value is not a number.

    NaN would lose every comparison, and so pass for a small difference.
    """
    # The running sums of pose attention grow with the stream, and their rounding with them.
    difference = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")
