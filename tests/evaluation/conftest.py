"""Outcomes that are small enough for the right figures to follow by thought."""

import numpy as np
import pytest

from pan_core.evaluation.relevance import Explanation
from pan_core.evaluation.split_predictions import SplitPredictions
from pan_core.skeletons import PENN13

CLASSES = ("Run", "Walk", "LongJump")
ACTIONS = ("Run", "Walk", "Jump")


@pytest.fixture(scope="session")
def predictions() -> SplitPredictions:
    """Six clips of 6 frames (the last of 4), two of each class; online mode.

    Predictions: Run, Run | Walk, LongJump | LongJump, LongJump: 5 of 6 right, the mistake stated with 0.8.
    LongJump is Run for 3 frames, then Jump. The action head says Run in every frame.
    Until frame 2 every clip looks like Run; from frame 3 on the final answer stands.
    """
    rng = np.random.default_rng(0)
    stated = np.array([0.9, 0.5, 0.7, 0.8, 0.6, 0.95])
    recognised, labels = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.repeat((1 - stated[:, None]) / 2, 3, axis=1)
    probabilities[np.arange(6), recognised] = stated
    frames = np.repeat(probabilities[:, None], 6, axis=1)
    frames[:, :3] = [0.8, 0.1, 0.1]
    targets = np.zeros((6, 6, 3))
    targets[0:2, :, 0] = targets[2:4, :, 1] = targets[4:, :3, 0] = targets[4:, 3:, 2] = 1
    joints = np.concatenate([rng.uniform(20, 200, (6, 6, 13, 2)), np.full((6, 6, 13, 1), 0.9)], axis=-1)
    joints[0, 2] = np.nan, np.nan, 0
    attention = np.full((6, 6, 13), 0.5 / 12)
    attention[:, :, PENN13.index("left_wrist")] = 0.5
    return SplitPredictions(
        mode="online",
        split=1,
        clip_ids=np.array([f"clip{n}" for n in range(6)]),
        classes=CLASSES,
        actions=ACTIONS,
        labels=labels,
        probabilities=probabilities,
        frame_probabilities=frames,
        action_probabilities=np.tile([0.9, 0.05, 0.05], (6, 6, 1)),
        lengths=np.array([6, 6, 6, 6, 6, 4]),
        pose_attention=np.tile([0.1, 0.1, 0.4, 0.2, 0.1, 0.1], (6, 1)),
        joints_attention=attention,
        joints=joints,
        layout=PENN13,
        frame_targets=targets,
    )


@pytest.fixture(scope="session")
def explanation() -> Explanation:
    """12 frames; the left wrist at frame 7 speaks for "Wave" most, the head speaks against it."""
    rng = np.random.default_rng(0)
    relevance = np.zeros((12, 13))
    relevance[7, PENN13.index("left_wrist")] = 2.0
    relevance[:, PENN13.index("head")] = -0.1
    attention = np.zeros(12)
    attention[3] = 1.0
    joints = np.concatenate([rng.uniform(50, 200, (12, 13, 2)), np.ones((12, 13, 1))], axis=-1)
    joints[4] = [np.nan, np.nan, 0]
    even = np.full((12, 13), 1 / 13)
    return Explanation("clip7", "Wave", "Wave", 0.875, joints, PENN13, even, attention, relevance)
