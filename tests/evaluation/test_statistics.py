"""Against binomial theory, SciPy's bootstrap and the definition of McNemar's test."""

import numpy as np
import pytest
from scipy import stats

from pan_core.evaluation.statistics import MCNEMAR, PERMUTATION, compare, mean_interval


def split(values, first=0):
    """Clips with these values, numbered from `first`."""
    return {f"clip{number}": float(value) for number, value in enumerate(values, start=first)}


def test_interval_of_one_split_is_that_of_a_binomial_share():
    """The bootstrap of hits is a binomial draw: its quantiles are known."""
    low, high = mean_interval([split(np.repeat([1.0, 0.0], [160, 40]))])
    expected = stats.binom.ppf([0.025, 0.975], 200, 0.8) / 200
    np.testing.assert_allclose([low, high], expected, atol=0.01)


def test_interval_of_splits_without_a_common_clip_is_scipys():
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 6, 150) / 5, rng.integers(3, 6, 80) / 5
    found = stats.bootstrap(
        (one, other), lambda a, b, axis: (a.mean(axis=axis) + b.mean(axis=axis)) / 2, n_resamples=4000,
        method="percentile", vectorized=True, rng=np.random.default_rng(2),
    )  # fmt: skip
    expected = found.confidence_interval
    low, high = mean_interval([split(one), split(other, first=1000)])
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=0.008)


def test_a_clip_that_is_test_in_every_split_is_one_clip():
    """The same hits three times are no surer than once."""
    hits = split(np.random.default_rng(3).integers(0, 2, 120))
    once, thrice = mean_interval([hits]), mean_interval([hits] * 3)
    np.testing.assert_allclose(once, thrice, atol=1e-12)


def test_splits_count_the_same_whatever_their_size():
    assert mean_interval([split(np.ones(10)), split(np.zeros(1000), first=10)]) == (0.5, 0.5)


def test_a_split_of_one_clip_has_an_interval():
    low, high = mean_interval([split([0.4])])
    assert low == high == 0.4


def test_mcnemar_by_its_definition():
    """30 clips only A gets, 10 only B, 60 both: a fair coin shows 30 or more of 40, or 10 or fewer, with 2 sums."""
    first = split(np.repeat([1.0, 0.0, 1.0], [30, 10, 60]))
    second = split(np.repeat([0.0, 1.0, 1.0], [30, 10, 60]))
    found = compare([first], [second])
    assert found.p_value == pytest.approx(2 * stats.binom.cdf(10, 40, 0.5))
    assert found.difference == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert found.test == MCNEMAR


def test_several_seeds_agree_with_the_t_test():
    """The paired t test is the limit of the permutation test for many clips."""
    rng = np.random.default_rng(0)
    second = rng.integers(0, 6, 400) / 5
    first = np.clip(second + rng.choice([-0.2, 0, 0.2], 400, p=[0.28, 0.36, 0.36]), 0, 1)
    found = compare([split(first)], [split(second)])
    assert found.test == PERMUTATION
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)


def test_the_difference_is_that_of_the_means_over_splits():
    """Split 1 has 2 clips, split 2 has 4 of which one is in both: (1/2 + 1/4) / 2."""
    first = [split([1, 0]), split([0, 1, 0, 1], first=1)]
    second = [split([0, 0]), split([0, 1, 0, 0], first=1)]
    found = compare(first, second)
    assert found.difference == pytest.approx(0.375)
    assert found.clips == 5


def test_equal_results_differ_in_nothing():
    hits = split([1.0, 0.0, 1.0])
    found = compare([hits], [hits])
    assert (found.difference, found.p_value) == (0.0, 1.0)
