"""Settings, thinning, identity, and people of whole videos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import ConfigError, VideoError
from pan_core.pose.extraction import PoseExtractor, extractor_identity, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings


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
