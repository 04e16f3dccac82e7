"""Percentiles and budgets of latency."""

import numpy as np
import pytest

from pan_core.edge.latency import measure, summarise


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
    with pytest.raises(ValueError, match="more frames than warm-up"):
        measure(print, [], warmup=0)
