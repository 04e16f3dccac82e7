"""Figures that anybody will quote, as pure functions of arrays.

Shape letters: N clips, T frames, K classes, A atomic actions. A share or an accuracy is in 0..1.
"""

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sklearn_metrics

from pan_core.errors import DataError

OBSERVED_SHARES = tuple(tenth / 10 for tenth in range(1, 11))


@dataclass(frozen=True)
class Interval:
    """A value and the bounds between which it lies with the given confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Reliability of stated confidences, bin by bin; bins without clips hold NaN.

    Attributes:
        edges: Bounds of the bins of confidence, shape (bins + 1,).
        confidence: Mean confidence in each bin, shape (bins,).
        accuracy: Share of right predictions in each bin, shape (bins,).
        count: Clips in each bin, shape (bins,).
        error: Expected calibration error: mean of |accuracy - confidence| weighted by count.
    """

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    error: float


def _require_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.shape[0] == 0:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise DataError(
            f"Expected `{name}` to have shape ({wanted}) with at least one clip, but got {array.shape}",
            code="metrics.shape",
        )


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of clips whose predicted class (N,) is the true one (N,)."""
    _require_shape("labels", labels, (None,))
    _require_shape("predictions", predictions, labels.shape)
    return float(np.mean(labels == predictions))


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts of clips by true class (row) and predicted class (column), shape (K, K)."""
    _require_shape("labels", labels, (None,))
    _require_shape("predictions", predictions, labels.shape)
    return sklearn_metrics.confusion_matrix(labels, predictions, labels=np.arange(classes))


def class_accuracies(matrix: np.ndarray) -> np.ndarray:
    """Accuracy within each true class of a confusion matrix, shape (K,); NaN for a class without clips."""
    totals = matrix.sum(axis=1)
    return np.divide(np.diag(matrix), totals, out=np.full(len(matrix), np.nan), where=totals > 0)


def mean_class_accuracy(matrix: np.ndarray) -> float:
    """Mean of the accuracies of the classes that have clips: every class counts the same."""
    return float(np.nanmean(class_accuracies(matrix)))


def top_accuracy(labels: np.ndarray, probabilities: np.ndarray, k: int = 5) -> float:
    """Share of clips whose true class is among the `k` most probable of (N, K).

    With `k` or fewer classes it is 1 by definition, and says nothing.
    """
    _require_shape("labels", labels, (None,))
    _require_shape("probabilities", probabilities, (len(labels), None))
    classes = probabilities.shape[1]
    if k >= classes:
        return 1.0
    return float(sklearn_metrics.top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(classes)))


def accuracy_interval(
    labels: np.ndarray, predictions: np.ndarray, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Accuracy with its percentile bootstrap interval over clips.

    Clips count as independent. Where few groups (actors, films) stand behind many clips, the true uncertainty is
    larger; and at an accuracy of 0 or 1 the interval has no width, whatever the number of clips.
    """
    value = accuracy(labels, predictions)
    # Drawing N hits and misses with replacement is one draw from a binomial distribution.
    draws = np.random.default_rng(seed).binomial(len(labels), value, resamples) / len(labels)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def observed_accuracy(
    labels: np.ndarray,
    frame_probabilities: np.ndarray,
    lengths: np.ndarray,
    shares: tuple[float, ...] = OBSERVED_SHARES,
) -> np.ndarray:
    """Accuracy when only the first part of each clip has been seen, one value a share.

    Share s of a clip of L frames ends with frame ceil(s L), counted from 1. It is meaningful for predictions in online
    mode only: in clip mode the features of every frame already know the whole clip.

    Args:
        labels: True classes, shape (N,).
        frame_probabilities: Class probabilities after each frame, shape (N, T, K).
        lengths: Frames of each clip, shape (N,).
        shares: Observed shares, each in (0, 1].
    """
    _require_shape("labels", labels, (None,))
    _require_shape("frame_probabilities", frame_probabilities, (len(labels), None, None))
    seen = np.take_along_axis(frame_probabilities, observed_ends(lengths, shares)[:, :, None], axis=1)
    return (seen.argmax(axis=2) == labels[:, None]).mean(axis=0)


def observed_ends(lengths: np.ndarray, shares: tuple[float, ...] = OBSERVED_SHARES) -> np.ndarray:
    """Index of the last frame of each share of each clip, (N, S); lengths (N,)."""
    # The small step back keeps 0.7 x 10 at frame 7: in floating point the product is a little above 7.
    return np.maximum(np.ceil(np.outer(lengths, shares) - 1e-9).astype(int) - 1, 0)


def frame_accuracy(action_probabilities: np.ndarray, frame_targets: np.ndarray, lengths: np.ndarray) -> float:
    """Share of frames whose most probable action is one of those that hold there.

    Args:
        action_probabilities: Shape (N, T, A).
        frame_targets: True distribution over actions, shape (N, T, A); a frame where it is zero throughout has no
            label and is left out.
        lengths: Frames of each clip, shape (N,).

    Raises:
        DataError: Where no frame has a label.
    """
    _require_shape("frame_targets", frame_targets, action_probabilities.shape)
    inside = np.arange(frame_targets.shape[1]) < lengths[:, None]
    counted = inside & (frame_targets > 0).any(axis=2)
    if not counted.any():
        raise DataError(
            "no frame has a true action, so there is no frame accuracy; pass segments with the clips",
            code="metrics.no-true-action",
        )
    chosen = action_probabilities.argmax(axis=2)
    holds = np.take_along_axis(frame_targets, chosen[:, :, None], axis=2)[:, :, 0] > 0
    return float(holds[counted].mean())


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> Calibration:
    """Reliability of the confidence in the predicted class, in bins (low, high] of equal width.

    Expected calibration error as in Guo et al., "On Calibration of Modern Neural Networks" (2017).
    """
    _require_shape("labels", labels, (None,))
    _require_shape("probabilities", probabilities, (len(labels), None))
    stated = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(float)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, stated, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    empty = np.full(bins, np.nan)
    mean_stated = np.divide(np.bincount(place, stated, bins), count, out=empty.copy(), where=filled)
    mean_right = np.divide(np.bincount(place, right, bins), count, out=empty.copy(), where=filled)
    error = float((np.abs(mean_right - mean_stated)[filled] * count[filled]).sum() / count.sum())
    return Calibration(edges, mean_stated, mean_right, count, error)


def frequent_confusions(matrix: np.ndarray, count: int = 10) -> list[tuple[int, int, int]]:
    """The cells off the diagonal with most clips, as (true class, predicted class, clips), most frequent first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:count]
    cells = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(true), int(said), int(wrong[true, said])) for true, said in cells if wrong[true, said] > 0]
