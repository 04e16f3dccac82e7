"""Percentiles and budgets of latency."""

import numpy as np
import pytest

from pan_core.evaluation.latency import Latency, measure, measure_against, summarise


def test_percentiles_are_numpys():
    times = np.random.default_rng(0).gamma(2.0, 3.0, 500)
    found = summarise(times)
    assert [found.p50_ms, found.p90_ms, found.p99_ms] == pytest.approx(np.quantile(times, [0.5, 0.9, 0.99]).tolist())
    assert found.count == 500


def test_warm_up_runs_but_does_not_count():
    called = []
    assert measure(called.append, range(10), warmup=4).count == 6
    assert called == list(range(10))


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError):
        measure(print, [], warmup=0)


@pytest.mark.parametrize(
    ("p90s", "lowest", "rounds"), [((4, 1), 4, 1), ((9, 4, 1), 4, 2), ((9, 7, 8, 1), 7, 3), ((5,), 5, 1)]
)
def test_what_is_over_its_budget_is_measured_again_and_the_lowest_counts(p90s, lowest, rounds):
    measured = iter([Latency(p90, p90, p90, p90, 10) for p90 in p90s])
    found, count = measure_against(5, lambda: next(measured), rounds=3)
    assert (found.p90_ms, count) == (lowest, rounds)
