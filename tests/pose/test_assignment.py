"""Assignments are those of SciPy."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pan_core.pose.assignment import assign


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (5, 3), (1, 6), (6, 1), (8, 8), (12, 20)])
def test_as_cheap_as_scipy_and_as_many_pairs(shape):
    rng = np.random.default_rng(sum(shape))
    for _ in range(50):
        costs = rng.uniform(0, 1, shape)
        costs[rng.random(shape) < 0.4] = 1e6
        pairs = assign(costs)
        rows, columns = linear_sum_assignment(costs)
        assert len(pairs) == len({r for r, _ in pairs}) == len({c for _, c in pairs}) == min(shape)
        assert sum(costs[pair] for pair in pairs) == pytest.approx(costs[rows, columns].sum())


def test_nobody_is_nobodys():
    assert assign(np.zeros((0, 3))) == assign(np.zeros((3, 0))) == []
