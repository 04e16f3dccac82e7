"""Joints that optical flow carries from one picture to the next."""

import cv2
import numpy as np
import pytest

from pan_core.pose.flow import GreyFrame, follow_joints, with_neighbours

RNG = np.random.default_rng(1)


def texture(height, width):
    return cv2.GaussianBlur(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 3)


def poses(*places):
    """People of 18 joints, of which the first are seen."""
    people = np.full((len(places), 18, 3), [np.nan, np.nan, 0])
    for person, seen in zip(people, places, strict=True):
        person[: len(seen)] = [(*place, 0.7) for place in seen]
    return people


@pytest.mark.parametrize("factor", [1, 3])
def test_joints_move_as_the_picture_does(factor):
    """Also where the frame is larger than the picture in which they are followed."""
    large = cv2.resize(texture(300, 400), None, fx=factor, fy=factor)
    before, now = large[20 * factor :, 30 * factor :], large[14 * factor : -6 * factor, 22 * factor : -8 * factor]
    joints = poses([(100, 90), (140, 100), (120, 160)], [(220, 90), (240, 100), (230, 160)]) * [factor, factor, 1]
    moved, kept = follow_joints(GreyFrame.of(before), GreyFrame.of(now), joints)
    assert kept.tolist() == [1, 1]
    way = (moved - joints)[:, :3, :2]
    np.testing.assert_allclose(way, np.broadcast_to([8 * factor, 6 * factor], way.shape), atol=0.2 * factor)
    np.testing.assert_array_equal(moved[..., 2], joints[..., 2])


def test_what_is_covered_is_lost_and_nobody_else():
    before = texture(240, 320)
    now = before.copy()
    now[60:130, 70:160] = RNG.integers(0, 256, (70, 90, 3), dtype=np.uint8)
    joints = poses([(100, 90), (120, 100)], [(220, 90), (240, 100), (230, 200)])
    moved, kept = follow_joints(GreyFrame.of(before), GreyFrame.of(now), joints)
    assert kept.tolist() == [0, 1]
    assert np.isnan(moved[0, :2, :2]).all()
    assert (moved[0, :, 2] == 0).all()
    np.testing.assert_allclose(moved[1], joints[1], atol=0.05)


def test_nobody_is_carried_nowhere():
    frame = GreyFrame.of(texture(64, 64))
    moved, kept = follow_joints(frame, frame, np.empty((0, 18, 3)))
    assert moved.shape == (0, 18, 3)
    assert kept.shape == (0,)


def test_a_lost_joint_goes_with_those_it_hangs_on():
    before = np.column_stack([np.arange(18.0) * 10, np.full(18, 50.0), np.full(18, 0.8)])
    now = before + np.array([1, 0, 0])
    now[3] += (6, 2, 0)  # the right elbow goes 7 to the right and 2 down
    now[4] = np.nan, np.nan, 0.0
    np.testing.assert_allclose(with_neighbours(before, now)[4], [40 + 7, 52, 0.8 * 0.7])
    now[3] = np.nan, np.nan, 0.0  # then all that is left is the way of the others
    np.testing.assert_allclose(with_neighbours(before, now)[4], [41, 50, 0.8 * 0.7])
    np.testing.assert_array_equal(with_neighbours(before, before), before)
