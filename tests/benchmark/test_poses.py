"""Qualities of pose extraction compared on one drawn clip."""

import pandas as pd
import pytest
from scripted_people import small_network

from pan_core.benchmark.poses import run_benchmark
from pan_core.model.store import LoadedModel
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.skeletons import OPENPOSE18
from pan_core.viewer.annotate import write_video


@pytest.fixture
def truth(tmp_path, waving):
    """True joints of a clip that lies in a video file, too."""
    frames, joints = waving
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "clip.mp4", iter(frames), fps=15.0)
    height, width = frames.shape[1:3]
    poses = ClipPoses("clip", joints.astype("float32"), 15.0, width, height, "true")
    write_pose_set(tmp_path / "truth", OPENPOSE18, iter([poses]))
    return PoseSet(tmp_path / "truth")


def test_a_model_may_be_named_by_its_whole_path_and_nothing_is_written_beside_it(tmp_path, truth, pose_model):
    beside = sorted(pose_model.parent.iterdir())
    clip = {
        "clip_id": "clip",
        "path": written_as(tmp_path),
        "label": "Wave",
        "fps": 15.0,
        "n_frames": 8,
        "start_s": 0.0,
    }
    clips = pd.DataFrame([clip])
    network = small_network(OPENPOSE18)
    recognizer = LoadedModel(network, ("Walk", "Wave", "Both"), ("Walk", "Wave"), OPENPOSE18, "online", 32, 15.0, {})
    candidates = {name: (pose_model, ExtractionSettings()) for name in ("balanced", str(pose_model))}
    points = run_benchmark(clips, tmp_path / "videos", truth, recognizer, candidates, tmp_path / "scratch")
    assert [point.quality for point in points] == ["balanced", str(pose_model)]
    assert points[0].pck_0_1 == points[1].pck_0_1 > 0.9
    assert sorted(pose_model.parent.iterdir()) == beside


def written_as(folder):
    """Name of the video; the encoder decides on its suffix."""
    return next((folder / "videos").iterdir()).name
