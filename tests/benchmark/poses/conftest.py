"""What tests of the pose benchmark share."""

from contextlib import nullcontext

import pandas as pd
import pytest

from pan_core.benchmark.poses.actor_clips import ActorClips
from pan_core.benchmark.poses.pose_points import PosePoint
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.skeletons import OPENPOSE18
from pan_core.viewer.annotate import write_video


@pytest.fixture
def movenet():
    """A built-in network, which needs no run."""
    return PosePoint("movenet", "fast", network_file("movenet", quality="fast"), ExtractionSettings(look_every=4))


@pytest.fixture
def quiet_bar():
    """A progress bar that shows nothing."""
    return lambda description, unit: nullcontext(lambda done, total: None)


@pytest.fixture
def clips(tmp_path, waving):
    """A clip of eight frames in a video file, with its true joints."""
    frames, joints = waving
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "clip.mp4", iter(frames), fps=15.0)
    height, width = frames.shape[1:3]
    poses = ClipPoses("clip", joints.astype("float32"), 15.0, width, height, "true")
    write_pose_set(tmp_path / "truth", OPENPOSE18, iter([poses]))
    name = next((tmp_path / "videos").iterdir()).name  # the encoder decides on its suffix
    row = {"clip_id": "clip", "path": name, "label": "Wave", "fps": 15.0, "n_frames": 8, "start_s": 0.0,
           "width": width, "height": height}  # fmt: skip
    return ActorClips(pd.DataFrame([row]), tmp_path / "videos", PoseSet(tmp_path / "truth"))
