"""Settings, thinning, tracks as one array, and the rule that drops false ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import ConfigError, VideoError
from pan_core.pose.extraction import PoseExtractor, believable_tracks, collect_tracks, extractor_identity, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings


def pose(score: float, *, x: float = 0.0) -> np.ndarray:
    return np.tile([x, 0.0, score], (18, 1))


def test_all_faults_of_the_settings_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        ExtractionSettings(stages=0, crop_size=225, min_joint_score=1.0, max_people=0)
    assert raised.value.names == ("stages", "crop_size", "min_joint_score", "max_people")
    assert raised.value.faults[0] == "stages: expected 1..6, but got 0"


@pytest.mark.parametrize(
    ("fps", "max_fps", "step"),
    [(30, 15, 2), (29.97, 15, 2), (25, 15, 2), (20, 15, 1), (15, 15, 1), (8, 15, 1), (60, 15, 4)],
)
def test_thinning(fps: float, max_fps: float, step: int) -> None:
    assert frame_step(fps, max_fps) == step


def test_tracks_are_rows_and_gaps_are_nan() -> None:
    seen = [[(7, pose(0.5))], [], [(7, pose(0.6)), (9, pose(0.7, x=4.0))]]
    tracks = collect_tracks(seen, joints=18)
    assert tracks.shape == (2, 3, 18, 3)
    np.testing.assert_array_equal(tracks[0, 2], pose(0.6))
    np.testing.assert_array_equal(tracks[1, 2], pose(0.7, x=4.0))
    assert np.isnan(tracks[0, 1, :, :2]).all() and (tracks[0, 1, :, 2] == 0).all()
    assert collect_tracks([[], []], joints=18).shape == (0, 2, 18, 3)


def test_short_and_faint_tracks_are_dropped_and_the_rest_is_sorted() -> None:
    frames = 40
    tracks = np.zeros((4, frames, 18, 3))
    tracks[0, :20] = pose(0.5)  # sum 10
    tracks[1, :7] = pose(0.9)  # seen in 7 frames: fewer than 8 and than a quarter of 40
    tracks[2, :] = pose(0.1)  # mean score below 0.12
    tracks[3, :] = pose(0.4)  # sum 16
    kept = believable_tracks(tracks, min_person_score=0.12)
    np.testing.assert_array_equal(kept, tracks[[3, 0]])


def test_a_short_clip_may_have_short_tracks() -> None:
    tracks = np.zeros((1, 12, 18, 3))
    tracks[0, :3] = pose(0.5)
    assert len(believable_tracks(tracks, min_person_score=0.12)) == 1
    assert len(believable_tracks(np.zeros((0, 12, 18, 3)), min_person_score=0.12)) == 0


def test_identity_depends_on_the_model_and_on_every_setting(tmp_path: Path) -> None:
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    settings = ExtractionSettings()
    changed = [
        replace(settings, stages=6),
        replace(settings, search_size=(432, 360)),
        replace(settings, max_fps=10.0),
        replace(settings, min_joint_score=0.07),
    ]
    identities = [extractor_identity(first, settings=entry) for entry in (settings, *changed)]
    identities.append(extractor_identity(second, settings=settings))
    assert len(set(identities)) == 6
    assert extractor_identity(first, settings=ExtractionSettings()) == identities[0]


def test_video_without_people(pose_model: Path, blank_video: Path) -> None:
    poses = PoseExtractor(pose_model, settings=ExtractionSettings(stages=1, search_stages=1)).extract(blank_video)
    assert poses.joints.shape == (0, 12, 18, 3)
    assert (poses.fps, poses.width, poses.height, poses.n_frames) == (15.0, 96, 64, 12)


def test_broken_video(pose_model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with refused("video.no-stream", VideoError):
        PoseExtractor(pose_model, settings=ExtractionSettings(stages=1)).extract(tmp_path / "text.mp4")


def test_real_clip_has_its_two_players(pose_model: Path, real_data: Path) -> None:
    """UCF101's v_Basketball_g01_c01 shows two players all the time; counted by eye."""
    (video,) = (real_data / "ucf101").rglob("v_Basketball_g01_c01.avi")
    settings = ExtractionSettings(stages=2, search_stages=2, max_fps=7.5)
    poses = PoseExtractor(pose_model, settings=settings).extract(video)
    people, frames = poses.joints.shape[:2]
    assert (people, frames) == (2, 36)
    assert poses.fps == pytest.approx(29.97 / 4, abs=0.01)
    seen = (poses.joints[..., 2] > 0).any(axis=2).mean(axis=1)
    assert (seen > 0.9).all()
    necks = poses.joints[:, :, 1]
    right, left = np.nanmedian(necks[..., 0], axis=1)
    assert 180 < right < 260 and 30 < left < 90
