"""Change points of motions whose boundaries follow by thought."""

import numpy as np
import pytest

from pan_core.datasets.taxonomy import Composition
from pan_core.pose.pose_set import ClipPoses
from pan_core.segments.motion import change_points, equal_split, find_boundaries
from pan_core.skeletons import OPENPOSE18

RUN_THEN_JUMP = Composition("sequence", ("Running", "Jumping"))


def still_then_moving(still, moving):
    """A person who stands, then walks to the right 20 pixels a frame, arms swinging."""
    rng = np.random.default_rng(0)
    body = rng.uniform(50, 150, (OPENPOSE18.size, 2))
    frames = np.repeat(body[None], still + moving, axis=0)
    steps = np.maximum(0, np.arange(still + moving) - still + 1)
    frames[:, :, 0] += 20 * steps[:, None]
    frames[:, [4, 7], 1] += 15 * np.sin(steps)[:, None]
    frames += rng.normal(0, 0.3, frames.shape)
    return np.concatenate([frames, np.ones((*frames.shape[:2], 1))], axis=-1).astype(np.float32)


def poses(joints, fps=15.0):
    return ClipPoses("clip", joints[None], fps, 320, 240, "test")


@pytest.mark.parametrize("still", [10, 15, 28])
def test_the_boundary_is_where_the_motion_starts(still):
    joints = still_then_moving(still, 20)
    found = find_boundaries(poses(joints), OPENPOSE18, RUN_THEN_JUMP, len(joints), min_segment_s=0.3)
    assert abs(found[0] - still) <= 2


def test_boundaries_are_in_frames_of_the_video_when_poses_are_sparser():
    joints = still_then_moving(15, 20)
    found = find_boundaries(poses(joints), OPENPOSE18, RUN_THEN_JUMP, 2 * len(joints), min_segment_s=0.3)
    assert abs(found[0] - 30) <= 4


def test_missing_joints_do_not_move_the_boundary_far():
    joints = still_then_moving(15, 20)
    rng = np.random.default_rng(1)
    joints[rng.random(joints.shape[:2]) < 0.2] = np.nan, np.nan, 0
    joints[:, 9] = np.nan, np.nan, 0
    found = find_boundaries(poses(joints), OPENPOSE18, RUN_THEN_JUMP, len(joints), min_segment_s=0.3)
    assert abs(found[0] - 15) <= 3


def test_change_points_of_a_step_are_exact():
    signal = np.repeat([[0.0], [5.0], [1.0]], [7, 9, 6], axis=0)
    assert change_points(signal, 3, 2) == [7, 16]


def test_a_clip_without_people_is_split_equally():
    nobody = ClipPoses("clip", np.zeros((0, 0, 18, 3), np.float32), 15.0, 320, 240, "test")
    assert find_boundaries(nobody, OPENPOSE18, RUN_THEN_JUMP, 40, min_segment_s=0.3) == [20]


def test_equal_parts_by_thought():
    assert equal_split(30, 3) == [10, 20]
    assert equal_split(30, 1) == []


def test_only_sequences_have_boundaries():
    joints = still_then_moving(15, 20)
    for made in (Composition("together", ("Walking", "Waving")), Composition("sequence", ("Walking",))):
        assert find_boundaries(poses(joints), OPENPOSE18, made, len(joints), min_segment_s=0.3) == []
