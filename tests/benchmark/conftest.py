import numpy as np
import pandas as pd
import pytest

from pan_core.benchmark.protocol import Recipe
from pan_core.datasets import registry
from pan_core.datasets.base import Catalogue, Dataset, Facts
from pan_core.model.pan import PanSettings
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import PENN13
from pan_core.tables import empty_table
from pan_core.training.settings import TrainSettings

CLASSES = ("kick", "wave")
NOBODY = "clip35"
"""A test clip of split 1 in which nobody was found."""


def moving_person(label: str, rng: np.random.Generator) -> np.ndarray:
    """One person (1, 20, 13, 3) who swings a wrist ("wave") or an ankle ("kick")."""
    places = np.repeat(rng.normal(0, 40, (1, 13, 2)), 20, axis=0) + rng.uniform(200, 300, 2)
    joint = PENN13.index("left_wrist" if label == "wave" else "left_ankle")
    places[:, joint, 1] += 60 * np.sin(np.arange(20) * 0.8 + rng.uniform(0, 6))
    return np.concatenate([places, np.ones((20, 13, 1))], axis=-1)[None].astype(np.float32)


class Stage(Dataset):
    """36 clips in 12 groups of three, two classes, two official splits; groups are never divided."""

    name = "stage"
    facts = Facts("A stage")
    has_video = False
    layout = PENN13

    def fetch(self, folder, context):
        folder.mkdir(parents=True)

    def catalogue(self, folder, context):
        rows = [
            {
                "clip_id": f"clip{n:02}", "path": "", "source": "stage", "label": CLASSES[n // 3 % 2],
                "group": f"film{n // 3}", "subject": "", "camera": "", "fps": 15.0, "n_frames": 20,
                "width": 640, "height": 480,
                "split1": "test" if n >= 24 else "train",
                "split2": "test" if n < 12 else "unused" if n < 15 else "train",
            }
            for n in range(36)
        ]  # fmt: skip
        return Catalogue(pd.DataFrame(rows), empty_table("quarantine"))

    def poses(self, folder, clips):
        rng = np.random.default_rng(0)
        for clip in clips.itertuples():
            joints = moving_person(clip.label, rng)
            people = 0 if clip.clip_id == NOBODY else 1
            yield ClipPoses(clip.clip_id, joints[:people], 15.0, 640, 480, "drawn")


RECIPE = Recipe(
    network=PanSettings(
        graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=16, hidden=16, pose_heads=2,
        joint_units=8, pose_units=8, dropout=0.1,
    ),
    training=TrainSettings(epochs=2, batch=8, device="cpu"),
    frames=12,
    rate=10.0,
)  # fmt: skip


@pytest.fixture
def recipe():
    """A small network, two epochs."""
    return RECIPE


@pytest.fixture
def stage(monkeypatch):
    """The dataset in the registry."""
    monkeypatch.setattr(registry, "dataset_by_name", lambda name: Stage())
    return Stage()
