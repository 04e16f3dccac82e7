import dataclasses

import numpy as np
import pytest

from pan_core.errors import ConfigError
from pan_core.skeletons import PENN13
from pan_core.training.augmentation import (
    AugmentationSettings,
    augment,
    change_pace,
    crop_frames,
    crop_time,
    cut_off,
    lose_joints,
    mirror,
    mixing,
)

NONE = AugmentationSettings(
    flip=0, rotation=0, stretch=0, shear=0, jitter=0, joint_dropout=0, cut=0, crop=0, warp=0, mixup=0
)  # fmt: skip


def clips(count: int = 4, frames: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    joints = rng.uniform(10, 200, (count, frames, 13, 3)).astype(np.float32)
    joints[..., 2] = 0.8
    joints[0, 0, 5] = [np.nan, np.nan, 0]
    return joints


def lengths_between(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[:, :, :1, :2] - joints[:, :, 1:, :2], axis=-1)


def test_nothing_is_changed_with_all_strengths_at_zero():
    np.testing.assert_array_equal(augment(clips(), PENN13, NONE, np.random.default_rng(0)), clips())


def test_a_mirror_swaps_sides_and_twice_is_nothing():
    joints, chosen = clips(), np.array([True, False, True, False])
    flipped = mirror(joints, PENN13, chosen)
    right, left = PENN13.index("right_wrist"), PENN13.index("left_wrist")
    np.testing.assert_array_equal(flipped[2, :, right, 0], -joints[2, :, left, 0])
    np.testing.assert_array_equal(flipped[2, :, right, 1], joints[2, :, left, 1])
    np.testing.assert_array_equal(flipped[[1, 3]], joints[[1, 3]])
    np.testing.assert_array_equal(mirror(flipped, PENN13, chosen), joints)


def test_rotation_keeps_distances_and_turns_all_frames_of_a_clip_alike():
    settings = dataclasses.replace(NONE, rotation=30)
    joints = clips()
    turned = augment(joints, PENN13, settings, np.random.default_rng(1))
    np.testing.assert_allclose(lengths_between(turned), lengths_between(joints), rtol=1e-4)
    before = np.arctan2(joints[1, ..., 1], joints[1, ..., 0])
    angle = np.arctan2(turned[1, ..., 1], turned[1, ..., 0]) - before
    np.testing.assert_allclose(angle, angle[0, 0], atol=1e-4)
    assert 0.01 < abs(angle[0, 0]) <= np.deg2rad(30)


def test_stretch_changes_x_by_at_most_its_share_and_leaves_y():
    settings = dataclasses.replace(NONE, stretch=0.2)
    joints = clips()
    ratio = augment(joints, PENN13, settings, np.random.default_rng(1))[1:] / joints[1:]
    np.testing.assert_allclose(ratio[..., 1:], 1, rtol=1e-5)
    assert (np.abs(ratio[..., 0] - 1) <= 0.2 + 1e-5).all()
    assert np.ptp(ratio[:, 0, 0, 0]) > 0.01


def test_shear_keeps_the_diagonal_and_slants_all_frames_of_a_clip_alike():
    """The matrix is ((1, a), (b, 1)): solved from two joints, it must map all others too."""
    joints = clips()[1:]
    slanted = augment(joints, PENN13, dataclasses.replace(NONE, shear=0.2), np.random.default_rng(1))
    for before, after in zip(joints[..., :2].reshape(3, -1, 2), slanted[..., :2].reshape(3, -1, 2), strict=True):
        matrix, *_ = np.linalg.lstsq(before, after)
        np.testing.assert_allclose(before @ matrix, after, rtol=1e-3)
        np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-4)
        assert 0.001 < np.abs(matrix[[0, 1], [1, 0]]).max() <= 0.2


def test_noise_follows_the_size_of_the_person():
    settings = dataclasses.replace(NONE, jitter=0.05)
    joints = clips()
    small = joints * np.array([0.1, 0.1, 1], dtype=np.float32)
    moved = augment(joints, PENN13, settings, np.random.default_rng(2)) - joints
    moved_small = augment(small, PENN13, settings, np.random.default_rng(2)) - small
    np.testing.assert_allclose(moved[1:, ..., :2], 10 * moved_small[1:, ..., :2], atol=0.02)
    spread = np.sqrt((joints[1:, ..., :2] - joints[1:, ..., :2].mean(axis=2, keepdims=True)).var(axis=(1, 2)).sum(-1))
    assert moved[1:, ..., :2].std(axis=(1, 2, 3)) == pytest.approx(0.05 * spread, rel=0.15)


def test_lost_joints_are_missing_for_one_span_of_frames():
    lost = lose_joints(clips(50, 20)[1:], 0.5, np.random.default_rng(3))[..., 2] == 0
    changes = np.abs(np.diff(np.pad(lost, [(0, 0), (1, 1), (0, 0)]).astype(int), axis=1)).sum(axis=1)
    assert set(np.unique(changes)) == {0, 2}
    assert lost.any(axis=1).mean() == pytest.approx(0.5, abs=0.1)
    joints = lose_joints(clips(50, 20)[1:], 1.0, np.random.default_rng(3))
    assert np.isnan(joints[joints[..., 2] == 0][:, :2]).all()


def test_an_edge_takes_all_joints_beyond_it_in_every_frame_and_no_other():
    """Each clip has lost joints to one side of a line, at most half of the way across."""
    joints = clips(200, 8)[1:]
    cut = cut_off(joints.copy(), 1.0, np.random.default_rng(3))
    lost = cut[..., 2] == 0
    np.testing.assert_array_equal(cut[~lost], joints[~lost])
    assert np.isnan(cut[lost][:, :2]).all()
    sides = set()
    for before, gone in zip(joints[..., :2], lost, strict=True):
        low, high = before.min(axis=(0, 1)), before.max(axis=(0, 1))
        place = (before - low) / (high - low)  # 0..1 over the clip
        beyond = {
            (axis, side): (place[gone][:, axis] * side).min() > (place[~gone][:, axis] * side).max()
            for axis in (0, 1)
            for side in (-1, 1)
        }
        (found,) = [name for name, holds in beyond.items() if holds]
        sides.add(found)
        reached = place[~gone][:, found[0]]
        assert reached.max() >= 0.45 if found[1] > 0 else reached.min() <= 0.55
    assert len(sides) == 4
    kept = cut_off(joints.copy(), 0.25, np.random.default_rng(3))
    assert (kept[..., 2] == 0).any(axis=(1, 2)).mean() == pytest.approx(0.25, abs=0.1)


def test_nobody_is_cut_off_to_nobody():
    joints = clips(3, 4)
    joints[1] = [np.nan, np.nan, 0]
    cut = cut_off(joints.copy(), 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(cut[1], joints[1])


def test_a_joint_without_a_place_spoils_no_other(recwarn):
    """Whatever its score says, and also where nobody is there at all."""
    joints = clips(4, 6)
    joints[1, :, 3, :2] = np.nan
    joints[2] = [np.nan, np.nan, 0]
    varied = augment(joints, PENN13, AugmentationSettings(joint_dropout=0, cut=0, flip=0), np.random.default_rng(0))
    assert np.isnan(varied[1, ..., 0]).sum() == 6
    cut_off(joints, 1.0, np.random.default_rng(0))
    assert not recwarn.list


def test_parts_of_clips_lie_within_them():
    lengths = np.array([1, 2, 30, 400] * 20)
    starts, kept = crop_frames(lengths, AugmentationSettings(crop=0.3), np.random.default_rng(4), longest=100)
    assert (starts >= 0).all()
    assert (starts + kept <= lengths).all()
    assert (kept >= np.minimum(0.7 * lengths, 100)).all()
    assert kept.max() == 100


def test_stretched_parts_run_forward_within_the_clip():
    joints = clips(8, 16)
    joints[..., 0] = np.arange(16)[:, None]
    targets = np.repeat(np.eye(2, dtype=np.float32)[[0] * 8 + [1] * 8][None], 8, axis=0)
    part, labels = crop_time(joints, targets, dataclasses.replace(NONE, crop=0.4), np.random.default_rng(5))
    at = part[:, :, 0, 0]
    assert part.shape == joints.shape
    assert at.min() >= 0
    assert at.max() <= 15
    np.testing.assert_allclose(np.diff(at, axis=1), np.diff(at, axis=1)[:, :1] * np.ones(15), atol=1e-4)
    assert (np.diff(at, axis=1) >= 0.6 - 1e-4).all()
    np.testing.assert_array_equal(labels[..., 1], at >= 7.5)


def test_warped_time_runs_from_start_to_end_within_its_bounds():
    joints = clips(8, 101)
    joints[..., 0] = np.arange(101)[:, None]
    targets = np.zeros((8, 101, 1), dtype=np.float32)
    warped, _ = crop_time(joints, targets, dataclasses.replace(NONE, warp=0.3), np.random.default_rng(5))
    steps = np.diff(warped[:, :, 0, 0], axis=1)
    np.testing.assert_allclose(warped[:, [0, -1], 0, 0], [[0, 100]] * 8, atol=1e-3)
    assert (steps >= 0.7 - 1e-3).all()
    assert (steps <= 1.3 + 1e-3).all()
    assert np.ptp(steps, axis=1).max() > 0.3


def test_each_clip_has_one_pace_and_runs_to_its_end():
    """x is the frame number, so that it tells the time at which a pose was taken."""
    joints, lengths = clips(40, 30), np.tile([30, 12, 2, 1], 10)
    joints[..., 0] = np.arange(30)[:, None]
    targets = np.zeros((40, 30, 1), dtype=np.float32)
    settings = dataclasses.replace(NONE, warp=0.5)
    paced, _, kept = change_pace(joints, targets, lengths, settings, np.random.default_rng(5))
    assert paced.shape == (40, kept.max(), 13, 3)
    paces = []
    for at, length, count in zip(paced[:, :, 0, 0], lengths, kept, strict=True):
        steps = np.diff(at[:count])
        assert at[0] == 0
        assert length - 1 - 1.5 <= at[count - 1] <= length - 1
        assert (at[count:] == at[count - 1]).all()
        if length > 2:
            np.testing.assert_allclose(steps, steps[0], atol=1e-4)
            paces.append(steps[0])
    assert 1 / 1.5 <= min(paces) < 0.8
    assert 1.25 < max(paces) <= 1.5


def test_no_warp_is_the_pace_of_the_clip():
    joints, targets = clips(), np.zeros((4, 6, 1), dtype=np.float32)
    lengths = np.array([6, 6, 6, 6])
    paced, _, kept = change_pace(joints, targets, lengths, NONE, np.random.default_rng(5))
    np.testing.assert_array_equal(paced, joints)
    np.testing.assert_array_equal(kept, lengths)


def test_between_two_frames_a_joint_that_one_of_them_lacks_is_as_in_the_nearest():
    """Joint 5 is lost in frame 0; x of joint 0 is the frame number."""
    joints, targets = clips()[[0] * 40], np.zeros((40, 6, 1), dtype=np.float32)
    joints[..., 0, 0] = np.arange(6)
    settings = dataclasses.replace(NONE, warp=0.99)
    paced, _, _ = change_pace(joints, targets, np.full(40, 6), settings, np.random.default_rng(1))
    at, joint = paced[:, :, 0, 0], paced[:, :, 5]
    between = (at > 0.5) & (at < 1)
    assert between.sum() > 5
    np.testing.assert_array_equal(np.isnan(joint[..., 0]), at < 0.5)
    np.testing.assert_array_equal(joint[..., 2] == 0, at < 0.5)
    np.testing.assert_array_equal(joint[between], joints[[0], 1, 5].repeat(between.sum(), axis=0))


def test_mixing_keeps_the_larger_part_of_each_clip():
    partner, own = mixing(64, AugmentationSettings(mixup=0.2), np.random.default_rng(6))
    assert sorted(partner) == list(range(64))
    assert own.min() >= 0.5
    assert own.max() <= 1
    assert mixing(4, NONE, np.random.default_rng(6))[1].tolist() == [1, 1, 1, 1]


def test_every_fault_of_the_settings_is_named():
    with pytest.raises(ConfigError) as caught:
        AugmentationSettings(flip=2, crop=1, mixup=-1)
    assert len(caught.value.faults) == 3
