"""Temperature scaling: one number that makes confidences mean what they say (Guo et al., 2017).

A recognizer has two: one for the classes of clips, one for the actions of frames. Both heads are divided by theirs, so that every
runtime and every device gives calibrated probabilities without knowing of it.
"""

import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import logsumexp

from pan_core.errors import DataError
from pan_core.model.pan import PAN
from pan_core.training.predict import predict
from pan_core.training.samples import Samples

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the search. At a bound nothing is known: all answers are right, or no better than chance."""


ROUNDING = 1e-5
SMALLEST = 1e-12
"""Probabilities are raised to this before their logarithm is taken."""


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


def calibrate(model: PAN, held_out: Samples) -> dict[str, float]:
    """Fit both temperatures on clips that the network has not learnt from, and divide its heads by them.

    Args:
        model: A trained network; changed.
        held_out: Clips of other groups; background clips may be among them (`pan_core.training.background`).

    Returns:
        `class` and `action`, the temperatures; a head with nothing to fit it on keeps 1.
    """
    said = predict(model, held_out)
    inside = np.arange(said.frame_probabilities.shape[1]) < said.lengths[:, None]
    none = np.repeat(held_out.labels == model.classes, held_out.lengths)
    held = np.concatenate([held_out.holds, none[:, None]], axis=1)
    # At a frame with two actions neither has all of the probability.
    single = held.sum(axis=1) == 1
    clips = (logits_of(said.probabilities, model.settings.none), held_out.labels)
    frames = (logits_of(said.action_probabilities[inside][single], model.settings.none), held[single].argmax(axis=1))
    # Frames of one clip are no independent answers.
    most = (len(held_out) + 1) / (len(held_out) + 2)
    found = {
        name: _fit_few(logits, labels, most) if len(labels) else 1.0
        for name, (logits, labels) in (("class", clips), ("action", frames))
    }
    divide_heads(model, found["class"], found["action"])
    return found


def _fit_few(logits: np.ndarray, labels: np.ndarray, most: float) -> float:
    """`fit_temperature`, but answers that are all right make no network certain: their mean confidence is at most `most`.

    Laplace's rule of succession gives `most` for N right answers: (N + 1) / (N + 2).
    """

    def excess(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float(np.exp(scaled.max(axis=1) - logsumexp(scaled, axis=1)).mean()) - most

    low, high = np.log([LOWEST, HIGHEST])
    if (logits.argmax(axis=1) == labels).all() and excess(low) > 0 > excess(high):
        return float(np.exp(brentq(excess, low, high)))
    return fit_temperature(logits, labels)


@torch.no_grad()
def divide_heads(model: PAN, temperature: float, action_temperature: float) -> None:
    """Divide the class head and the action head by their temperatures; the answers stay the same."""
    for head, value in ((model.class_head, temperature), (model.action_head, action_temperature)):
        head.weight.div_(value)
        head.bias.div_(value)


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, K) as they are with all logits divided by a temperature; those that sum to less than 1 too.

    With 1 / T it gives what a network said before it was calibrated with T.
    """
    none = bool((probabilities.sum(axis=1) < 1 - ROUNDING).any())
    logits = logits_of(probabilities, none) / temperature
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))[:, : probabilities.shape[1]]


def logits_of(probabilities: np.ndarray, none: bool) -> np.ndarray:
    """Logarithms of probabilities (N, K); with that of "none", what they lack to 1, (N, K + 1)."""
    if none:
        rest = 1 - probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
        probabilities = np.concatenate([probabilities, rest], axis=1)
    return np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64))
