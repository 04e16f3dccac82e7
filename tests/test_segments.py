"""Relabelling by segment, on motions whose boundaries follow by thought."""

import numpy as np
import pandas as pd
import pytest

from pan_core import segments
from pan_core.datasets.base import Composition
from pan_core.pose.store import ClipPoses
from pan_core.skeletons import OPENPOSE18

RUN_THEN_JUMP = Composition("sequence", ("Running", "Jumping"))
BOTH = Composition("together", ("Walking", "Waving"))


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
    found = segments.find_boundaries(poses(joints), OPENPOSE18, RUN_THEN_JUMP, len(joints), min_segment_s=0.3)
    assert abs(found[0] - still) <= 2


def test_boundaries_are_in_frames_of_the_video_when_poses_are_sparser():
    joints = still_then_moving(15, 20)
    found = segments.find_boundaries(poses(joints), OPENPOSE18, RUN_THEN_JUMP, 2 * len(joints), min_segment_s=0.3)
    assert abs(found[0] - 30) <= 4


def test_missing_joints_do_not_move_the_boundary_far():
    joints = still_then_moving(15, 20)
    rng = np.random.default_rng(1)
    joints[rng.random(joints.shape[:2]) < 0.2] = np.nan, np.nan, 0
    joints[:, 9] = np.nan, np.nan, 0
    found = segments.find_boundaries(poses(joints), OPENPOSE18, RUN_THEN_JUMP, len(joints), min_segment_s=0.3)
    assert abs(found[0] - 15) <= 3


def test_change_points_of_a_step_are_exact():
    signal = np.repeat([[0.0], [5.0], [1.0]], [7, 9, 6], axis=0)
    assert segments.change_points(signal, 3, 2) == [7, 16]


def test_a_clip_without_people_is_split_equally():
    nobody = ClipPoses("clip", np.zeros((0, 0, 18, 3), np.float32), 15.0, 320, 240, "test")
    assert segments.find_boundaries(nobody, OPENPOSE18, RUN_THEN_JUMP, 40, min_segment_s=0.3) == [20]


def test_rows_of_a_sequence_cover_the_clip_in_order():
    rows = segments.segment_rows("clip", "LongJump", RUN_THEN_JUMP, 40, [25])
    assert [(r["start_frame"], r["end_frame"], r["label"]) for r in rows] == [(0, 25, "Running"), (25, 40, "Jumping")]
    assert {r["parent_label"] for r in rows} == {"LongJump"}


def test_rows_of_actions_at_once_overlap():
    rows = segments.segment_rows("clip", "WalkingAndWaving", BOTH, 40, [])
    assert [(r["start_frame"], r["end_frame"]) for r in rows] == [(0, 40), (0, 40)]


def test_frame_accuracy_and_boundary_error_by_thought():
    true = pd.DataFrame(segments.segment_rows("clip", "LongJump", RUN_THEN_JUMP, 40, [20]))
    found = pd.DataFrame(segments.segment_rows("clip", "LongJump", RUN_THEN_JUMP, 40, [24]))
    assert segments.frame_accuracy(found, true, {"clip": 40}) == pytest.approx(36 / 40)
    assert segments.boundary_errors(found, true).tolist() == [4]
