"""Forced alignment against a search that tries every boundary, and against ruptures."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import ruptures

from pan_core.segments.alignment import align


def score_of(scores, boundaries, motion=None, weight=0.0):
    """The objective, written out."""
    total = 0.0
    for part, (start, end) in enumerate(pairwise([0, *boundaries, len(scores)])):
        total += scores[start:end, part].sum()
        if motion is not None:
            total -= weight * ((motion[start:end] - motion[start:end].mean(axis=0)) ** 2).sum()
    return total


def best_of_all(scores, shortest, motion=None, weight=0.0):
    frames, parts = scores.shape
    allowed = [
        chosen for chosen in combinations(range(1, frames), parts - 1) if min(np.diff([0, *chosen, frames])) >= shortest
    ]
    return max(allowed, key=lambda chosen: score_of(scores, chosen, motion, weight))


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
@pytest.mark.parametrize("shortest", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_better_than_the_alignment(parts, shortest, seed):
    rng = np.random.default_rng(seed)
    scores, motion = rng.normal(0, 1, (14, parts)), rng.normal(0, 1, (14, 3))
    for given, weight in ((None, 0.0), (motion, 0.7)):
        found = align(scores, min_frames=shortest, motion=given, motion_weight=weight)
        assert tuple(found.boundaries) == best_of_all(scores, shortest, given, weight)
        assert found.score == pytest.approx(score_of(scores, found.boundaries, given, weight))


@pytest.mark.parametrize("seed", range(5))
def test_motion_alone_is_the_search_for_change_points(seed):
    signal = np.random.default_rng(seed).normal(0, 1, (40, 4)).cumsum(axis=0)
    expected = ruptures.Dynp(model="l2", min_size=5, jump=1).fit(signal).predict(n_bkps=2)[:-1]
    assert align(np.zeros((40, 3)), min_frames=5, motion=signal).boundaries == expected


def test_a_part_may_come_back():
    """Walking, Sitting, Walking: the first and the last column are the same action."""
    walking = np.repeat([0.0, -5.0, 0.0], [6, 4, 5])
    sitting = np.repeat([-5.0, 0.0, -5.0], [6, 4, 5])
    assert align(np.stack([walking, sitting, walking], axis=1)).boundaries == [6, 10]


def test_the_shortest_segment_yields_in_a_short_clip():
    assert align(np.zeros((4, 2)), min_frames=9).boundaries == [2]
    assert align(np.zeros((3, 3)), min_frames=9).boundaries == [1, 2]


@pytest.mark.parametrize(("frames", "motion"), [(1, None), (5, 4)])
def test_what_does_not_fit_is_refused(frames, motion):
    with pytest.raises(ValueError, match="Expected at least 2 frames"):
        align(np.zeros((frames, 2)), motion=None if motion is None else np.zeros((motion, 1)))
