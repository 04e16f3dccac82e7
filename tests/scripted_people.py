"""A tracker that follows a script in the place of the pose network, and a recognizer that always says the same."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.store import LoadedModel
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.recognition.step_network import Memory, StepResult
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.skeletons import OPENPOSE18, SkeletonLayout

STANDING = np.array(
    [
        [0, -70], [0, -55], [-15, -55], [-20, -30], [-22, -8], [15, -55], [20, -30], [22, -8], [-8, -5], [-9, 25],
        [-10, 55], [8, -5], [9, 25], [10, 55], [-4, -74], [4, -74], [-8, -72], [8, -72],
    ],
    dtype=float,
)  # fmt: skip


def person(x: float) -> np.ndarray:
    return np.concatenate([STANDING + np.array([x, 120]), np.full((18, 1), 0.8)], axis=1)


class ScriptedTracker:
    """Follows whom its script names at each call, whatever the pictures show."""

    def __init__(self, script: Callable[[int], list[tuple[int, np.ndarray]]]) -> None:
        self.script, self.calls = script, 0

    def update(self, frame: np.ndarray) -> list[tuple[int, np.ndarray]]:
        assert frame.shape == (240, 320, 3)
        self.calls += 1
        return self.script(self.calls - 1)


class ScriptedExtractor:
    """Stands in for a `PoseExtractor`."""

    layout: SkeletonLayout = OPENPOSE18
    settings = ExtractionSettings(max_fps=15)

    def __init__(self, script: Callable[[int], list[tuple[int, np.ndarray]]]) -> None:
        self.followed = ScriptedTracker(script)

    def tracker(self) -> ScriptedTracker:
        return self.followed


def small_network(layout: SkeletonLayout, *, width: int = 2, forgetting: float = 0.0, none: bool = False) -> PAN:
    """An untrained network of three classes and two actions that runs in no time."""
    settings = PanSettings(
        forgetting=forgetting, none=none,
        graph_channels=(2 * width,), pooled_channels=width, frame_channels=4 * width, hidden=4 * width,
        joint_units=2 * width, pose_units=2 * width,
    )  # fmt: skip
    return PAN(
        adjacency=layout.adjacency(), features=feature_count(layout), classes=3, actions=2, settings=settings
    ).eval()


def waving_network() -> TorchNetwork:
    """A network that answers Wave with certainty: only the biases of its heads are not 0."""
    network = small_network(OPENPOSE18)
    with torch.no_grad():
        for head in (network.class_head, network.action_head):
            head.weight.zero_()
            head.bias.zero_()
            head.bias[1] = 3.0
    return TorchNetwork(
        LoadedModel(network, ("Walk", "Wave", "Both"), ("Walk", "Wave"), OPENPOSE18, "online", 32, 15.0, {})
    )


class CertainNetwork:
    """A step network in NumPy that answers Wave with certainty, for runs of many frames."""

    labels, actions, layout, rate = ("Walk", "Wave", "Both"), ("Walk", "Wave"), OPENPOSE18, 15.0

    def start(self) -> Memory:
        return {"maximum": np.zeros((1, 1), np.float32), "denominator": np.ones((1, 1), np.float32)}

    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        after = {"maximum": memory["maximum"], "denominator": memory["denominator"] + 1}
        return StepResult(np.array([0.0, 3.0, 0.0]), np.array([0.0, 3.0]), np.full(18, 1 / 18), after)


def make_video(path: Path, *, frames: int, fps: float) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (320, 240))
    for _ in range(frames):
        writer.write(np.full((240, 320, 3), 90, np.uint8))
    writer.release()
    return path
