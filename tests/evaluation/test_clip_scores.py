"""Which clips a recognizer recognises: one without people is a mistake, not an error."""

import numpy as np
import pandas as pd
import pytest
import torch

from pan_core.evaluation.clip_scores import hits
from pan_core.model.features import PoseFeatures
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.store import load_model, save_model
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.skeletons import PENN13

SMALL = PanSettings(
    graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=16, hidden=16, pose_heads=2,
    joint_units=8, pose_units=8,
)  # fmt: skip


@pytest.mark.parametrize("people", [0, 1])
def test_a_clip_without_people_is_a_mistake(tmp_path, people):
    torch.manual_seed(0)
    joints = np.random.default_rng(0).uniform(50, 200, (1, 12, 13, 3)).astype(np.float32)
    joints[..., 2] = 1
    features = PoseFeatures(PENN13, mode="online")(joints).shape[-1]
    network = PAN(adjacency=PENN13.adjacency(), features=features, classes=2, actions=2, settings=SMALL).eval()
    save_model(
        tmp_path / "model", network, labels=["run", "walk"], actions=["run", "walk"], layout=PENN13, mode="online", frames=32,
        rate=15.0, preprocessing={},
    )  # fmt: skip
    made = (ClipPoses(name, joints[:count], 15.0, 320, 240, "drawn") for name, count in (("a", 1), ("b", people)))
    write_pose_set(tmp_path / "poses", PENN13, made)
    found = {}
    for label in ("run", "walk"):
        clips = pd.DataFrame({"clip_id": ["a", "b"], "label": label, "fps": 15.0, "n_frames": 12})
        found[label] = hits(load_model(tmp_path / "model"), clips, PoseSet(tmp_path / "poses"))
    right = [found[label]["a"] for label in found]
    assert sorted(right) == [False, True]
    assert [found[label]["b"] for label in found] == (right if people else [False, False])
