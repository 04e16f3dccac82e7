"""PCK against a loop and by hand."""

import math

import numpy as np
import pytest
from refusals import refused

from pan_core.pose.accuracy import box_sizes, pck, track_accuracy


def test_by_hand() -> None:
    # A box of 100 x 50, so joints may be 10 pixels off; the fourth is hidden, the fifth was not found.
    truth = np.array([[0, 0, 1], [100, 50, 1], [50, 20, 1], [7, 7, 0], [10, 10, 1]], float)
    guess = np.array([[6, 8, 0.9], [100, 61, 0.9], [50, 30, 0.1], [7, 7, 0.9], [np.nan, np.nan, 0]])
    result = pck(guess, truth, threshold=0.1)
    assert box_sizes(truth) == 100
    assert result.overall == 2 / 4
    np.testing.assert_equal(result.per_joint, [1, 0, 1, np.nan, 0])
    assert result.counted.tolist() == [1, 1, 1, 0, 1]


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.5])
def test_against_a_loop(threshold: float) -> None:
    rng = np.random.default_rng(3)
    truth = np.concatenate([rng.uniform(0, 100, (4, 6, 18, 2)), rng.integers(0, 3, (4, 6, 18, 1))], axis=-1)
    guess = truth + rng.normal(0, 8, truth.shape)
    guess[..., 2] = rng.integers(0, 2, (4, 6, 18))
    right = [[] for _ in range(18)]
    for m in range(4):
        for t in range(6):
            seen = [truth[m, t, v] for v in range(18) if truth[m, t, v, 2] > 0]
            size = max(max(j[i] for j in seen) - min(j[i] for j in seen) for i in (0, 1))
            for v in range(18):
                if truth[m, t, v, 2] > 0:
                    near = math.dist(guess[m, t, v, :2], truth[m, t, v, :2]) <= threshold * size
                    right[v].append(near and guess[m, t, v, 2] > 0)
    result = pck(guess, truth, threshold=threshold)
    np.testing.assert_allclose(result.per_joint, [np.mean(joint) for joint in right])
    np.testing.assert_allclose(result.overall, np.mean([hit for joint in right for hit in joint]))


def test_given_scale_replaces_the_box() -> None:
    truth = np.array([[[0, 0, 1], [10, 0, 1]]], float)
    guess = truth + np.array([5, 0, 0])
    assert pck(guess, truth).overall == 0
    assert pck(guess, truth, scale=np.array([50.0])).overall == 1


def test_nobody_visible_is_not_a_number() -> None:
    assert np.isnan(pck(np.zeros((2, 18, 3)), np.zeros((2, 18, 3))).overall)


def test_shapes_are_checked() -> None:
    with refused("pck.shape"):
        pck(np.zeros((2, 18, 3)), np.zeros((3, 18, 3)))
    with refused("pck.scale"):
        pck(np.zeros((2, 18, 3)), np.zeros((2, 18, 3)), scale=np.ones(3))


def people(*places: float, frames: int = 10) -> np.ndarray:
    """People of 100 pixels who stand at some x, (M, T, 18, 3)."""
    rng = np.random.default_rng(0)
    body = np.column_stack([rng.uniform(-20, 20, 18), rng.uniform(0, 100, 18), np.ones(18)])
    return np.stack([np.repeat((body + np.array([x, 0, 0]))[None], frames, axis=0) for x in places])


def test_tracks_by_hand() -> None:
    """Two people; their tracks swap after frame 5, and one of them is lost in the last two frames."""
    truth = people(0, 200)
    tracks = truth.copy()
    tracks[:, 5:] = truth[::-1, 5:]
    tracks[0, 8:] = np.nan, np.nan, 0.0
    result = track_accuracy(tracks, truth)
    assert (result.switches, result.covered, result.frames) == (2, 18 / 20, 20)


def test_who_is_out_of_view_does_not_count_and_a_third_track_is_no_switch() -> None:
    truth = people(0, 200)
    truth[1, :6, :, 2] = 0
    tracks = people(0, 200, 500)
    result = track_accuracy(tracks, truth)
    assert (result.switches, result.covered, result.frames) == (0, 1.0, 14)
    assert track_accuracy(tracks[:0], truth).covered == 0
