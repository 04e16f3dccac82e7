"""Records of removed videos, those of earlier versions included: they are the only copy of their skeletons."""

import json
from pathlib import Path

import numpy as np
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.records import VideoRecord, read_record, record_of, write_record
from pan_core.pose.tracks import Tracks, VideoPoses
from pan_core.video import VideoInfo

INFO = {"width": 64, "height": 48, "fps": 20.0, "n_frames": 60}
POSES = {"clip_id": "", "fps": 10.0, "width": 64, "height": 48, "extractor": "x", "video_sha256": "ab"}


def people() -> np.ndarray:
    """Two people in 30 poses; the second is there from the tenth on, faintly."""
    joints = np.random.default_rng(0).random((2, 30, 18, 3)).astype(np.float32) + 0.01
    joints[1, :10] = np.nan
    joints[1, :10, :, 2] = 0
    joints[1, 10:, :, 2] = 0.05
    return joints


def test_a_record_of_version_1_has_the_same_skeletons(tmp_path: Path) -> None:
    video, joints = tmp_path / "a.mp4", people()
    with record_of(video).open("wb") as file:
        np.savez(file, joints=joints, facts=json.dumps({"version": 1, "info": INFO, "poses": POSES}))
    found = read_record(video)
    assert found.info == VideoInfo(**INFO)
    assert (found.poses.video_sha256, found.poses.extractor, found.poses.fps) == ("ab", "x", 10.0)
    np.testing.assert_array_equal(found.poses.tracks.dense(), joints)
    np.testing.assert_array_equal(slice_clip(found.poses, "c", start_s=1.0, end_s=2.0).joints, joints[:, 10:20])
    np.testing.assert_array_equal(slice_clip(found.poses, "c", start_s=0.0, end_s=1.0).joints, joints[:1, :10])


def test_what_is_written_is_read_and_a_later_version_is_refused(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    record = VideoRecord(VideoPoses(Tracks.of(people()), 10.0, 64, 48, 60, 0.12, "x", "", "ab"), VideoInfo(**INFO))
    write_record(video, record)
    found = read_record(video)
    assert found.info == record.info and found.poses.as_stored()[1] == record.poses.as_stored()[1]
    np.testing.assert_array_equal(found.poses.tracks.joints, record.poses.tracks.joints)
    with record_of(video).open("wb") as file:
        np.savez(file, joints=people(), facts=json.dumps({"version": 3, "info": INFO, "poses": POSES}))
    with refused("video-record.version", DataError):
        read_record(video)
