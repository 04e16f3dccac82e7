"""Slices of a video's poses; joint x is the pose's number, so that every expected frame follows by thought."""

from itertools import pairwise

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.extraction import frame_step
from pan_core.pose.pose_set import ClipPoses


def video(frames, fps=10.0, people=1):
    joints = np.ones((people, frames, 2, 3), dtype=np.float32)
    joints[..., 0] = np.arange(frames)[None, :, None]
    return ClipPoses("video", joints, fps, 64, 48, "extractor", "hash")


def numbers(poses):
    return poses.joints[0, :, 0, 0].astype(int).tolist()


def test_poses_within_the_span_and_the_videos_facts():
    part = slice_clip(video(40), "clip", start_s=1.0, end_s=1.5)
    assert numbers(part) == [10, 11, 12, 13, 14]
    assert (part.clip_id, part.fps, part.width, part.height) == ("clip", 10.0, 64, 48)
    assert (part.extractor, part.video_sha256) == ("extractor", "hash")


def test_thinned_poses_are_those_whose_frames_lie_in_the_span():
    # 30 frames a second, every second one looked at: pose t is frame 2 t. Frames 5..12 hold poses 3..6.
    assert numbers(slice_clip(video(20, fps=15.0), "clip", start_s=5 / 30, end_s=13 / 30)) == [3, 4, 5, 6]


@pytest.mark.parametrize(("start", "end", "pose"), [(5, 6, 3), (58, 60, 29), (59, 60, 29)])
def test_a_span_between_two_poses_has_one(start, end, pose):
    # Pose t is frame 2 t of 60: frame 5 lies between poses 2 and 3, frame 59 behind the last.
    (number,) = numbers(slice_clip(video(30, fps=15.0), "clip", start_s=start / 30, end_s=end / 30))
    assert number == pose


@pytest.mark.parametrize("fps", [7.0, 14.97, 23.976, 25.0, 29.62048750385683, 59.94, 120.0])
@pytest.mark.parametrize("frames", [1, 2, 3, 115, 116, 117, 118, 3001])
def test_a_span_of_the_whole_video_is_what_it_was(fps, frames):
    step = frame_step(fps, 15.0)
    poses = video(len(range(0, frames, step)), fps=fps / step, people=2)
    poses.joints[1, ..., 2] = 0
    whole = slice_clip(poses, "clip", start_s=0 / fps, end_s=(0 + frames) / fps)
    assert whole.joints.shape == poses.joints.shape
    assert np.shares_memory(whole.joints, poses.joints)


@pytest.mark.parametrize("fps", [14.97, 23.976, 29.62048750385683, 59.94])
def test_adjacent_spans_share_the_poses_without_gap_or_overlap(fps):
    step, frames = frame_step(fps, 15.0), 997
    poses = video(len(range(0, frames, step)), fps=fps / step)
    borders = [0, 8, 101, 500, 503, 900, frames]
    parts = [
        numbers(slice_clip(poses, "clip", start_s=start / fps, end_s=end / fps)) for start, end in pairwise(borders)
    ]
    literal = [[t for t in range(poses.joints.shape[1]) if start <= t * step < end]
               for start, end in pairwise(borders)]  # fmt: skip
    assert parts == literal


def test_a_person_who_is_not_seen_in_the_span_is_dropped():
    poses = video(40, people=3)
    poses.joints[0, 10:20, :, 2] = 0
    poses.joints[1, 12:, :, 2] = 0
    poses.joints[1, 10:12, 1, 2] = 0
    part = slice_clip(poses, "clip", start_s=1.0, end_s=2.0)
    assert part.joints.shape[0] == 2
    assert part.joints[0, :, 0, 2].tolist() == [1, 1] + [0] * 8


def test_a_span_with_nobody_has_no_people_but_its_frames():
    poses = video(40)
    poses.joints[:, 10:20, :, 2] = 0
    assert slice_clip(poses, "clip", start_s=1.0, end_s=2.0).joints.shape == (0, 10, 2, 3)


@pytest.mark.parametrize(
    ("start", "end", "code"), [(1, 1, "clip.empty-span"), (-1, 1, "clip.empty-span"), (4, 5, "clip.beyond-video")]
)
def test_spans_that_are_none(start, end, code):
    with refused(code, DataError):
        slice_clip(video(40), "clip", start_s=start, end_s=end)
