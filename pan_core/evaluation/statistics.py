"""How sure a benchmark's figures are, by resampling clips.

A clip that is test in several splits is drawn for all of them at once: it is one clip, and as hard in each. Clips count
as independent. Where several come from one film, the true uncertainty is larger; and neither the interval nor the test
knows of training seeds beyond those that were run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
BATCH = 100
"""Resamples at once: the index array of more would not fit the memory of a small machine with thousands of clips."""

MCNEMAR, PERMUTATION = "McNemar, exact", "paired permutation"
"""Names of the tests."""

Hits = Sequence[Mapping[str, float]]
"""For each split, how often each test clip was right over the seeds, in 0..1, by clip id."""


@dataclass(frozen=True)
class PairedComparison:
    """Accuracy of A minus that of B on the same clips.

    Attributes:
        difference: Mean over splits, in -1..1.
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


def mean_interval(hits: Hits) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean over splits of the mean over clips."""
    values, counted = _align_clips(hits)
    clips, rng = values.shape[1], np.random.default_rng(0)
    means = []
    for _ in range(RESAMPLES // BATCH):
        drawn = rng.multinomial(clips, np.full(clips, 1 / clips), size=BATCH)  # how often each clip, (BATCH, C)
        # A resample without any clip of a split, which only tiny splits have, says nothing about that split.
        with np.errstate(invalid="ignore"):
            means.append(np.nanmean((drawn @ values.T) / (drawn @ counted.T), axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def compare(first: Hits, second: Hits) -> PairedComparison:
    """Paired comparison of two recognizers on the same splits.

    With one run each on one split, a clip is right or wrong, and the test is McNemar's, exact. Otherwise a clip is
    right in a share of the runs, and the test is a permutation test that swaps the two at random, clip by clip.

    Args:
        first: Hits of A.
        second: Hits of B, of the same clips in each split.
    """
    gains = [{clip: one[clip] - other[clip] for clip in one} for one, other in zip(first, second, strict=True)]
    values, counted = _align_clips(gains)
    # What each clip adds to the mean over splits, times the number of clips.
    shares = (values / counted.sum(axis=1, keepdims=True)).mean(axis=0) * values.shape[1]
    low, high = mean_interval(gains)
    if len(gains) == 1 and np.isin([*first[0].values(), *second[0].values()], [0, 1]).all():
        test, p_value = MCNEMAR, _test_mcnemar(values[0])
    else:
        test, p_value = PERMUTATION, _test_permutation(shares)
    return PairedComparison(float(shares.mean()), low, high, p_value, test, values.shape[1])


def _align_clips(hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Values of every clip in every split, and whether the clip is in it, both (S, C); 0 where it is not."""
    clips = sorted({clip for split in hits for clip in split})
    values = np.array([[split.get(clip, 0.0) for clip in clips] for split in hits], dtype=float)
    return values, np.array([[clip in split for clip in clips] for split in hits])


def _test_mcnemar(gain: np.ndarray) -> float:
    """Clips on which just one is right fall to either side like a coin, if both are equally good."""
    from scipy import stats  # late: start-up

    won, lost = int((gain > 0).sum()), int((gain < 0).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _test_permutation(gain: np.ndarray) -> float:
    if not gain.any():
        return 1.0
    from scipy import stats  # late: start-up

    found = stats.permutation_test(
        (gain,), lambda values, axis: values.mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=5 * RESAMPLES, batch=BATCH, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)
