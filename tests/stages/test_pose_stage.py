"""The pose stage hands every video to the extractor once and cuts its clips out of what comes back."""

import numpy as np
import pandas as pd
import pytest

from pan_core.params.load import parse_params
from pan_core.pose.batch_extraction import Failure
from pan_core.pose.tracks import Tracks, VideoPoses
from pan_core.stages import pose


@pytest.fixture
def clips():
    """Three spans of a.mp4, one of b.mp4, and the whole of c.mp4; 10 frames a second, 40 frames each."""
    rows = [
        ("a1", "a.mp4", 0, 20),
        ("b1", "b.mp4", 0, 10),
        ("a2", "a.mp4", 10, 30),
        ("a3", "a.mp4", 35, 5),
        ("c", "c.mp4", 0, 40),
    ]
    return pd.DataFrame(rows, columns=["clip_id", "path", "start_frame", "n_frames"]).assign(fps=10.0)


@pytest.fixture
def extracted(monkeypatch):
    """a.mp4 shows somebody in its first 30 frames, b.mp4 is damaged, c.mp4 shows one person and one who is nobody."""
    asked = []

    def extract_clips(videos, **_):
        asked.append({key: str(path) for key, path in videos.items()})
        joints = np.ones((2, 40, 18, 3), dtype=np.float32)
        joints[0, 30:, :, 2] = joints[1, :, :, 2] = 0
        for name in videos:
            people = joints[:1] if name == "a.mp4" else joints
            found = VideoPoses(Tracks.of(people), 10.0, 64, 48, 40, 0.12, "x", name, "hash")
            yield Failure(name, "damaged") if name == "b.mp4" else found

    monkeypatch.setattr(pose, "extract_clips", extract_clips)
    return asked


def test_clips_are_parts_of_videos_that_are_extracted_once(clips, extracted):
    failures = []
    found = {
        clip.clip_id: clip for clip in pose.extract_poses(parse_params({"dataset": "actors"}, "test"), clips, failures)
    }
    assert extracted == [{"a.mp4": "data/raw/a.mp4", "b.mp4": "data/raw/b.mp4", "c.mp4": "data/raw/c.mp4"}]
    assert {key: clip.joints.shape[:2] for key, clip in found.items()} == {"a1": (1, 20), "a2": (1, 30), "c": (1, 40)}
    assert [(failure.clip_id, failure.reason) for failure in failures] == [
        ("a3", "no person found between 3.5 and 4.0 s"),
        ("b1", "damaged"),
    ]
