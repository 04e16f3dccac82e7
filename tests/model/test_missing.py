import numpy as np
import pytest

from pan_core.model.missing import UnseenPlacer, bridge_gaps, hold_last, seen_joints
from pan_core.skeletons import SkeletonLayout

CHAIN = SkeletonLayout("chain", ("hip", "knee", "ankle"), ((0, 1), (1, 2)), (), (0,), ((0,), (1,)))

NAN = np.nan


def one_joint(xs: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """One clip of one joint with the given x; NaN where it was not seen; y is ten times x."""
    x = np.array(xs, dtype=np.float32)
    return np.stack([x, 10 * x], -1)[None, :, None], np.isfinite(x)[None, :, None]


def test_a_joint_is_seen_with_a_score_and_a_place():
    joints = np.array([[1, 2, 0.5], [1, 2, 0.0], [NAN, 2, 0.5], [1, NAN, 0.5], [NAN, NAN, 0]])
    assert seen_joints(joints).tolist() == [True, False, False, False, False]


def test_holding_uses_the_past_only():
    held, known = hold_last(*one_joint([NAN, 4, NAN, NAN, 8, NAN]))
    assert held[0, :, 0, 0].tolist() == [0, 4, 4, 4, 8, 8]
    assert held[0, :, 0, 1].tolist() == [0, 40, 40, 40, 80, 80]
    assert known[0, :, 0].tolist() == [False, True, True, True, True, True]


def test_bridging_draws_a_line_over_gaps_and_holds_at_the_ends():
    held, known = bridge_gaps(*one_joint([NAN, 4, NAN, NAN, 10, NAN]))
    np.testing.assert_allclose(held[0, :, 0, 0], [4, 4, 6, 8, 10, 10], rtol=1e-6)
    assert known.all()


def test_bridging_agrees_with_numpy_interp():
    rng = np.random.default_rng(3)
    places = rng.normal(size=(5, 40, 3, 2)).astype(np.float32)
    seen = rng.random((5, 40, 3)) < 0.4
    seen[:, 0] = False
    places[~seen] = np.nan
    held, _ = bridge_gaps(places, seen)
    at = np.arange(40)
    for clip, joint, axis in np.ndindex(5, 3, 2):
        own = seen[clip, :, joint]
        expected = np.interp(at, at[own], places[clip, own, joint, axis])
        np.testing.assert_allclose(held[clip, :, joint, axis], expected, atol=1e-5)


@pytest.mark.parametrize("fill", [hold_last, bridge_gaps])
def test_a_joint_never_seen_is_not_known_and_finite(fill):
    held, known = fill(*one_joint([NAN, NAN, NAN]))
    assert not known.any()
    assert (held == 0).all()


def test_unseen_joints_go_to_their_nearest_placed_ancestor():
    places = np.array([[5, 6], [NAN, NAN], [NAN, NAN]], dtype=np.float32)
    filled = UnseenPlacer(CHAIN)(places, np.array([True, False, False]))
    assert filled.tolist() == [[5, 6], [5, 6], [5, 6]]


def test_an_unseen_top_joint_goes_to_the_mean_of_the_placed_ones():
    places = np.array([[NAN, NAN], [2, 0], [4, 8]], dtype=np.float32)
    filled = UnseenPlacer(CHAIN)(places, np.array([False, True, True]))
    assert filled.tolist() == [[3, 4], [2, 0], [4, 8]]


def test_nobody_stands_at_the_origin():
    filled = UnseenPlacer(CHAIN)(np.full((2, 3, 2), NAN, dtype=np.float32), np.zeros((2, 3), dtype=bool))
    assert (filled == 0).all()


def test_an_ancestor_comes_first_whatever_the_order_of_joints():
    upside_down = SkeletonLayout("down", ("ankle", "knee", "hip"), ((2, 1), (1, 0)), (), (2,), ((2,), (1,)))
    places = np.array([[NAN, NAN], [NAN, NAN], [7, 9]], dtype=np.float32)
    filled = UnseenPlacer(upside_down)(places, np.array([False, False, True]))
    assert filled.tolist() == [[7, 9], [7, 9], [7, 9]]
