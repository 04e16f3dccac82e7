"""Colours of clothes, on pictures whose colours are known."""

import numpy as np
import pytest

from pan_core.pose.clothing import clothing_distance, clothing_of
from pan_core.skeletons import OPENPOSE18

# Of sRGB red, green and blue in CIE Lab of 8 bits, as published by the CIE's formulas for D65.
RED, BLUE = (136, 208, 195), (82, 207, 20)


def standing() -> np.ndarray:
    pose = np.zeros((18, 3))
    for name, x, y in (
        ("neck", 50, 20), ("right_shoulder", 40, 20), ("left_shoulder", 60, 20), ("right_hip", 44, 60), ("left_hip", 56, 60),
        ("right_knee", 44, 100), ("left_knee", 56, 100), ("right_ankle", 44, 140), ("left_ankle", 56, 140),
    ):  # fmt: skip
        pose[OPENPOSE18.index(name)] = x, y, 0.9
    return pose


def picture() -> np.ndarray:
    """Red above the hips, blue below, BGR."""
    frame = np.zeros((160, 100, 3), np.uint8)
    frame[:60], frame[60:] = (0, 0, 255), (255, 0, 0)
    return frame


def test_clothes_above_and_below_the_hips() -> None:
    np.testing.assert_allclose(clothing_of(picture(), standing()), [RED, BLUE], atol=1)


def test_what_is_not_seen_has_no_colour() -> None:
    pose = standing()
    pose[[OPENPOSE18.index("right_knee"), OPENPOSE18.index("left_knee")], 2] = 0
    upper, lower = clothing_of(picture(), pose)
    assert np.isfinite(upper).all() and np.isnan(lower).all()
    assert np.isnan(clothing_of(picture(), standing() + np.array([500, 0, 0]))).all()
    assert np.isnan(clothing_of(picture(), np.full((18, 3), np.nan))).all()


def test_distance_counts_only_what_both_have() -> None:
    whole = np.array([RED, BLUE], float)
    part = np.array([RED, (np.nan,) * 3])
    black, white = np.array([[0.0, 128, 128]] * 2), np.array([[255.0, 128, 128]] * 2)
    assert clothing_distance(whole, part) == 0
    assert clothing_distance(black, white) == pytest.approx(1)
    assert np.isnan(clothing_distance(np.full((2, 3), np.nan), whole))
