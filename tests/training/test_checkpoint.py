import dataclasses

import numpy as np
import pytest
import torch

from pan_core.training.augmentation import AugmentationSettings
from pan_core.training.checkpoint import (
    DamagedCheckpointWarning,
    ForeignCheckpointWarning,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)
from pan_core.training.samples import build_samples


def test_a_checkpoint_comes_back(tmp_path):
    state = {"weights": {"w": torch.arange(3.0)}, "steps": 7, "history": [{"val_accuracy": 0.5}]}
    save_checkpoint(tmp_path / "c.pt", state, "identity")
    back = load_checkpoint(tmp_path / "c.pt", "identity")
    assert back["weights"]["w"].tolist() == [0, 1, 2]
    assert (back["steps"], back["history"]) == (7, [{"val_accuracy": 0.5}])
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_no_checkpoint_is_silent(tmp_path):
    assert load_checkpoint(tmp_path / "c.pt", "identity") is None


def test_a_checkpoint_of_another_training_is_left_aside(tmp_path):
    save_checkpoint(tmp_path / "c.pt", {}, "one")
    with pytest.warns(ForeignCheckpointWarning):
        assert load_checkpoint(tmp_path / "c.pt", "other") is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_left_aside(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.warns(DamagedCheckpointWarning):
        assert load_checkpoint(tmp_path / "c.pt", "one") is None


def test_identity_follows_samples_settings_and_seed(sticks):
    clips, poses = sticks
    samples = build_samples(clips, poses, None, classes=("wave", "kick"), mode="online")
    moved = samples.joints.copy()
    moved[3, 0, 0] += 1
    settings = AugmentationSettings()
    same = fingerprint(samples, settings, 0)
    assert same == fingerprint(dataclasses.replace(samples, joints=samples.joints.copy()), AugmentationSettings(), 0)
    others = [
        fingerprint(dataclasses.replace(samples, joints=moved), settings, 0),
        fingerprint(samples.select(np.arange(len(samples))[::-1]), settings, 0),
        fingerprint(samples, AugmentationSettings(flip=0), 0),
        fingerprint(samples, settings, 1),
    ]
    assert len({same, *others}) == 5
