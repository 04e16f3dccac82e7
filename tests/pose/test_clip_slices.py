"""Slices of a video's poses; joint x is the pose's number, so that every expected frame follows by thought."""

from itertools import pairwise

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.extraction import frame_step
from pan_core.pose.tracks import Tracks, VideoPoses


def scene(frames, people=1):
    joints = np.ones((people, frames, 2, 3), dtype=np.float32)
    joints[..., 0] = np.arange(frames)[None, :, None]
    return joints


def followed(joints, fps=10.0):
    return VideoPoses(Tracks.of(joints), fps, 64, 48, joints.shape[1], 0.12, "extractor", "video", "hash")


def video(frames, fps=10.0):
    return followed(scene(frames), fps)


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
    joints = scene(len(range(0, frames, step)), people=2)
    whole = slice_clip(followed(joints, fps / step), "clip", start_s=0 / fps, end_s=(0 + frames) / fps)
    np.testing.assert_array_equal(whole.joints, joints)


@pytest.mark.parametrize("fps", [14.97, 23.976, 29.62048750385683, 59.94])
def test_adjacent_spans_share_the_poses_without_gap_or_overlap(fps):
    step, frames = frame_step(fps, 15.0), 997
    poses = video(len(range(0, frames, step)), fps=fps / step)
    borders = [0, 8, 101, 500, 503, 900, frames]
    parts = [
        numbers(slice_clip(poses, "clip", start_s=start / fps, end_s=end / fps)) for start, end in pairwise(borders)
    ]
    literal = [[t for t in range(poses.tracks.frames) if start <= t * step < end]
               for start, end in pairwise(borders)]  # fmt: skip
    assert parts == literal


def test_a_person_who_is_not_seen_in_the_span_is_dropped():
    joints = scene(40, people=3)
    joints[0, 10:20, :, 2] = 0
    joints[1, 13:, :, 2] = 0
    joints[1, 10:13, 1, 2] = 0
    part = slice_clip(followed(joints), "clip", start_s=1.0, end_s=2.0)
    # The one who is seen all the time comes first.
    assert part.joints[..., 0, 2].tolist() == [[1] * 10, [1] * 3 + [0] * 7]


def test_a_person_is_judged_by_the_span_alone():
    """Seen well in the first second and hardly in the next; the other way round; and a glimpse of one frame at 2.5 s."""
    joints = scene(40, people=3)
    joints[0, 10:20, :, 2] = joints[1, :10, :, 2] = 0.1
    joints[:2, 20:, :, 2] = joints[2, ..., 2] = 0
    joints[2, 25, :, 2] = 1
    poses = followed(joints)
    first, second = (slice_clip(poses, "clip", start_s=start, end_s=start + 1) for start in (0.0, 1.0))
    assert first.joints[..., 0, 2].tolist() == second.joints[..., 0, 2].tolist() == [[1.0] * 10]
    # Among four frames one is a quarter; among five it is a false detection.
    assert len(slice_clip(poses, "clip", start_s=2.4, end_s=2.8).joints) == 1
    assert len(slice_clip(poses, "clip", start_s=2.4, end_s=2.9).joints) == 0


def test_a_span_with_nobody_has_no_people_but_its_frames():
    joints = scene(40)
    joints[:, 10:20, :, 2] = 0
    assert slice_clip(followed(joints), "clip", start_s=1.0, end_s=2.0).joints.shape == (0, 10, 2, 3)


@pytest.mark.parametrize(
    ("start", "end", "code"), [(1, 1, "clip.empty-span"), (-1, 1, "clip.empty-span"), (4, 5, "clip.beyond-video")]
)
def test_spans_that_are_none(start, end, code):
    with refused(code, DataError):
        slice_clip(video(40), "clip", start_s=start, end_s=end)
