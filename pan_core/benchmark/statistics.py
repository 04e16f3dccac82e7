"""How sure a benchmark's figures are, by resampling clips.

Clips count as independent. Where several clips come from one film, the true uncertainty is larger; and neither the
interval nor the test knows of training seeds beyond those that were run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 2_000
BATCH = 100
"""Resamples at once: the index array of more would not fit the memory of a small machine with thousands of clips."""


@dataclass(frozen=True)
class Comparison:
    """Accuracy of A minus that of B on the same clips.

    Attributes:
        difference: In 0..1.
        low: Lower bound of its 95 % bootstrap interval over clips.
        high: Upper bound.
        p_value: Of the hypothesis that both are right equally often, two-sided.
        test: Name of the test.
        clips: Number of clips.
    """

    difference: float
    low: float
    high: float
    p_value: float
    test: str
    clips: int


def mean_interval(hits: Sequence[np.ndarray]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean over splits of the mean over clips.

    Args:
        hits: For each split, how often each test clip was right over the seeds, in 0..1, (N,).
    """
    if all(np.ptp(split) == 0 for split in hits):
        value = float(np.mean([split[0] for split in hits]))
        return value, value
    found = stats.bootstrap(
        tuple(hits), _mean_of_means, n_resamples=RESAMPLES, batch=BATCH, method="percentile", vectorized=True,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """Paired comparison of two recognisers.

    With one run each, a clip is right or wrong, and the test is McNemar's, exact. With several, a clip is right in a
    share of the runs, and the test is a permutation test that swaps the two at random, clip by clip.

    Args:
        first: How often A was right on each clip, in 0..1, (N,).
        second: The same for B, on the same clips.
    """
    gain = first - second
    low, high = mean_interval([gain])
    if np.isin(np.concatenate([first, second]), [0, 1]).all():
        test, p_value = "McNemar, exact", _mcnemar(gain)
    else:
        test, p_value = "paired permutation", _permutation(gain)
    return Comparison(float(gain.mean()), low, high, p_value, test, len(gain))


def _mean_of_means(*splits: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean([split.mean(axis=axis) for split in splits], axis=0)


def _mcnemar(gain: np.ndarray) -> float:
    """Clips on which just one is right fall to either side like a coin, if both are equally good."""
    won, lost = int((gain > 0).sum()), int((gain < 0).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _permutation(gain: np.ndarray) -> float:
    if not gain.any():
        return 1.0
    found = stats.permutation_test(
        (gain,), lambda values, axis: values.mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=5 * RESAMPLES, batch=BATCH, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)
