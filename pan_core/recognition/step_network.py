"""What a stream needs of a recognizer, whatever runs its network: torch on a workstation, an exported file on a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pan_core.skeletons import SkeletonLayout

Memory = Mapping[str, np.ndarray]
"""State of the network by name, as `pan_core.model.pan.PanState` names it; each of shape (1, ...), float32."""

SCORES = ("logits", "action_logits", "joints_attention")
"""Outputs of a step beside the state, by the names that exported files have for them."""


@dataclass(frozen=True)
class StepResult:
    """What the network says of one frame of one stream.

    Attributes:
        logits: Of the clip classes, (K,); of (K + 1,) the last is of "none of them".
        action_logits: Of the atomic actions, (A,); likewise.
        joints_attention: Weight of each joint, (V,).
        memory: State after the frame.
        share: Pose attention of the frame among all frames so far, mean of the heads; None if it follows from the
            memory, as `frame_share` computes it for a network that never forgets.
    """

    logits: np.ndarray
    action_logits: np.ndarray
    joints_attention: np.ndarray
    memory: Memory
    share: float | None = None

    def by_name(self) -> dict[str, np.ndarray]:
        """Everything, the state included, without the batch."""
        return {name: getattr(self, name) for name in SCORES} | {name: value[0] for name, value in self.memory.items()}


class StepNetwork(Protocol):
    """The Pose-Attention Network in online mode, one frame at a time.

    Attributes:
        labels: Clip classes, in the order of the logits.
        actions: Atomic actions, in the order of the action logits.
        layout: Skeleton layout whose features it reads.
        rate: Frames a second.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """Clip classes."""

    @property
    def actions(self) -> tuple[str, ...]:
        """Atomic actions."""

    @property
    def layout(self) -> SkeletonLayout:
        """Skeleton layout."""

    @property
    def rate(self) -> float:
        """Frames a second."""

    def start(self) -> Memory:
        """State before the first frame."""

    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        """Run over one frame.

        Args:
            features: Shape (1, V, D), as `OnlineFeatures.step` gives them.
            memory: What `start` or the last step returned; it is left as it was.
        """


def frame_share(before: Memory, after: Memory) -> np.ndarray:
    """Pose attention of the newest frame among all frames so far, equation (10), for each head, (N,), if none is forgotten.

    A frame that comes takes this share and leaves the others, together, the rest; so the weight of frame i at frame t
    is its own share times the product of (1 - share) of the frames after it.
    """
    fade = np.exp(before["maximum"] - after["maximum"])
    return 1 - (before["denominator"] * fade / after["denominator"])[0]


def probabilities(logits: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Softmax of one row, float64, so that a sum of two stays below 1.

    Args:
        logits: Shape (K,), or (K + 1,) with "none of them" at the end.
        names: The K classes or actions; None if the logits are of them alone.

    Returns:
        Shape (K,), summing to 1 at most: the rest is the probability that none of them holds.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return (powers / powers.sum())[: None if names is None else len(names)]
