"""Against binomial theory and the definition of McNemar's test."""

import numpy as np
import pytest
from scipy import stats

from pan_core.benchmark.statistics import compare, mean_interval


def test_interval_of_one_split_is_that_of_a_binomial_share():
    """The bootstrap of hits is a binomial draw: its quantiles are known."""
    hits = np.repeat([1.0, 0.0], [160, 40])
    low, high = mean_interval([hits])
    expected = stats.binom.ppf([0.025, 0.975], 200, 0.8) / 200
    np.testing.assert_allclose([low, high], expected, atol=0.01)


def test_splits_count_the_same_whatever_their_size():
    low, high = mean_interval([np.ones(10), np.zeros(1000)])
    assert (low, high) == (0.5, 0.5)


def test_mcnemar_by_its_definition():
    """30 clips only A gets, 10 only B, 60 both: a fair coin shows 30 or more of 40, or 10 or fewer, with 2 sums."""
    first = np.repeat([1.0, 0.0, 1.0], [30, 10, 60])
    second = np.repeat([0.0, 1.0, 1.0], [30, 10, 60])
    found = compare(first, second)
    assert found.p_value == pytest.approx(2 * stats.binom.cdf(10, 40, 0.5))
    assert found.difference == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert found.test.startswith("McNemar")


def test_several_seeds_agree_with_the_t_test():
    """The paired t test is the limit of the permutation test for many clips."""
    rng = np.random.default_rng(0)
    second = rng.integers(0, 6, 400) / 5
    first = np.clip(second + rng.choice([-0.2, 0, 0.2], 400, p=[0.28, 0.36, 0.36]), 0, 1)
    found = compare(first, second)
    assert found.test == "paired permutation"
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)


def test_equal_results_differ_in_nothing():
    hits = np.array([1.0, 0.0, 1.0])
    found = compare(hits, hits)
    assert (found.difference, found.p_value) == (0.0, 1.0)
