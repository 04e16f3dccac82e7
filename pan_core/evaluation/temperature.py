"""Temperature scaling: one number that makes confidences mean what they say (Guo et al., 2017)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from pan_core.errors import DataError

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the search. At a bound nothing is known: all answers are right, or no better than chance."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Temperature T for which softmax(logits / T) gives held-out labels the highest likelihood.

    Args:
        logits: Shape (N, K), N >= 1; logarithms of probabilities serve as well.
        labels: True classes, (N,).

    Returns:
        Above 1 if the confidences were too high; the order of the classes stays.

    Raises:
        DataError: If the shapes do not fit, or a number is not finite.
    """
    if logits.ndim != 2 or not len(logits) or labels.shape != logits.shape[:1]:
        raise DataError(
            f"Expected logits of shape (N, K) and labels (N,) with N >= 1, but got {logits.shape} and {labels.shape}",
            code="temperature.shape",
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise DataError(
            f"labels: Expected 0 to {logits.shape[1] - 1}, but got {labels.min()} to {labels.max()}",
            code="temperature.label",
        )
    if not np.isfinite(logits).all():
        raise DataError(
            "logits: Expected finite numbers, but some are infinite or NaN; raise probabilities of 0 to a small one",
            code="temperature.not-finite",
        )
    true = logits[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float((logsumexp(logits * scale, axis=1) - true * scale).mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log([LOWEST, HIGHEST]), method="bounded").x))
