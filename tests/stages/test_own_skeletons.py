"""A user's own file of skeletons, from fetch to validate."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.params.load import Params
from pan_core.stages import fetch, pose, relabel, split, validate
from pan_core.workspace import paths

TRACKED = SimpleNamespace(artifact=lambda *_: None, text=lambda *_: None, metrics=lambda *_, **__: None)
CLIPS = 24


def motion_capture(labels):
    """Clips of one person who walks through the picture; every joint has score 1, as motion capture has."""
    rng = np.random.default_rng(0)
    return [
        {
            "frame_dir": f"take{number}", "label": label, "total_frames": 20, "img_shape": (240, 320), "original_shape": (240, 320),
            "keypoint": (rng.uniform(60, 180, (1, 1, 17, 2)) + 2 * np.arange(20)[:, None, None]).astype(np.float32),
            "keypoint_score": np.ones((1, 20, 17), np.float32),
        }
        for number, label in enumerate(labels)
    ]  # fmt: skip


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Runs the stages up to the split; returns the parameters."""
    monkeypatch.chdir(tmp_path)

    def run(labels, parts=None):
        annotations = motion_capture(labels)
        content = {"annotations": annotations, "split": parts or {}}
        (tmp_path / "own.pkl").write_bytes(pickle.dumps(content))
        (tmp_path / "classes.txt").write_text("Falling\nWalking\n")
        params = Params.model_validate({"dataset": "pyskl", "pyskl": {"path": "own.pkl", "classes": "classes.txt"}})
        fetch.run(params, TRACKED)
        split.run(params, TRACKED)
        return params

    return run


def test_skeletons_whose_scores_are_all_1_meet_every_expectation(prepare):
    params = prepare([number % 2 for number in range(CLIPS)])
    pose.run(params, TRACKED)
    relabel.run(params, TRACKED)
    found = validate.run(params, TRACKED)
    assert (found["clips"], found["kind"], found["expectations_failed"]) == (CLIPS, "supplied", [])


def test_one_class_is_refused_before_poses_are_looked_at(prepare):
    with refused("classes.one", DataError) as caught:
        prepare([0] * CLIPS)
    assert "Falling" in str(caught.value)
    assert not paths.CLIPS.exists()


def test_a_split_of_the_file_that_tests_one_class_is_refused(prepare):
    names = [f"take{number}" for number in range(CLIPS)]
    with refused("classes.one-in-part", DataError) as caught:
        prepare([number % 2 for number in range(CLIPS)], {"train1": names[:16] + names[17::2], "test1": names[16::2]})
    assert "test lacks Walking" in str(caught.value)
