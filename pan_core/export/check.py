"""Does an exported network answer as torch did? The same code answers when it is exported and on the device.

A reference folder holds inputs of the dataset and what torch made of them: `steps.npz`, streams of features; `clips.npz`,
skeletons of test clips; `crops.npz`, pictures of people. `pan_core.export.reference` makes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pan_core.errors import GateError
from pan_core.model.online import OnlineFeatures
from pan_core.pose.inference import PoseSession
from pan_core.recognition.step_network import StepNetwork
from pan_core.runtimes.max_error import largest_difference

LEAST_ACCURACY = 0.98
"""Share of torch's accuracy that an exported recognizer must keep."""


@dataclass(frozen=True)
class ParityReport:
    """How an exported pair of networks compares.

    Attributes:
        step_difference: Largest difference of any output of the recognizer, relative where the value is above 1.
        steps: Inputs compared, each with the memory that the network itself left before it.
        streams: Lengths of the streams that they form.
        pose_difference: Largest difference of any map.
        crops: Pictures compared.
        accuracy: Share of the test clips recognised by the exported recognizer.
        torch_accuracy: The same by torch.
        clips: Test clips.
    """

    step_difference: float
    steps: int
    streams: tuple[int, ...]
    pose_difference: float
    crops: int
    accuracy: float
    torch_accuracy: float
    clips: int

    def require(self, *, step_tolerance: float, pose_tolerance: float) -> None:
        """Refuse networks that answer otherwise.

        Raises:
            GateError: With everything that is out of bounds.
        """
        least = LEAST_ACCURACY * self.torch_accuracy
        faults = [
            f"{what} {value:.4g}, expected {bound}"
            for what, value, bound, kept in (
                ("step differs from torch by", self.step_difference, f"at most {step_tolerance:g}",
                 self.step_difference <= step_tolerance),
                ("pose maps differ from torch's by", self.pose_difference, f"at most {pose_tolerance:g}",
                 self.pose_difference <= pose_tolerance),
                (f"recognises of {self.clips} test clips", self.accuracy, f"at least {least:.4g}", self.accuracy >= least),
            )
            if not kept
        ]  # fmt: skip
        if faults:
            raise GateError("the exported networks are not those that were trained: " + "; ".join(faults))


def check(
    network: StepNetwork, pose: PoseSession, reference: Path, *, search: PoseSession | None = None
) -> ParityReport:
    """Compare an exported recognizer and an exported pose network with what torch said.

    Args:
        network: The recognizer.
        pose: The pose network as it looks at people.
        reference: Folder of what torch said.
        search: The pose network as it searches frames, where that is by another stage.
    """
    difference, lengths = step_difference(network, reference / "steps.npz")
    maps, crops = pose_difference(pose, reference / "crops.npz")
    if search is not None:
        maps = max(maps, pose_difference(search, reference / "crops.npz", maps="search_maps")[0])
    clips = np.load(reference / "clips.npz")
    right = recognised(network, clips["joints"], clips["lengths"], clips["labels"])
    return ParityReport(
        step_difference=difference, steps=sum(lengths), streams=tuple(lengths), pose_difference=maps, crops=crops,
        accuracy=float(right.mean()), torch_accuracy=float(clips["right"].mean()), clips=len(right),
    )  # fmt: skip


def step_difference(network: StepNetwork, reference: Path) -> tuple[float, list[int]]:
    """Largest difference over all streams, each fed the network's own memory, so that an error grows instead of hiding.

    Returns:
        The difference, and the lengths of the streams.
    """
    told = np.load(reference)
    names = [name for name in told.files if name not in ("features", "lengths")]
    worst, at = 0.0, 0
    for length in told["lengths"]:
        memory = network.start()
        for row in range(at, at + length):
            output = network.step(told["features"][row][None], memory)
            memory, got = output.memory, output.by_name()
            worst = max(worst, *(largest_difference(got[name], told[name][row]) for name in names))
        at += length
    return worst, [int(length) for length in told["lengths"]]


def pose_difference(pose: PoseSession, reference: Path, *, maps: str = "maps") -> tuple[float, int]:
    """Largest difference of any map, and the number of pictures."""
    told = np.load(reference)
    worst = [
        largest_difference(pose(image[None])[0], wanted)
        for image, wanted in zip(told["images"], told[maps], strict=True)
    ]
    return max(worst), len(worst)


def recognised(network: StepNetwork, joints: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each clip's class is the most likely one after its last frame, bool (N,).

    Args:
        network: Runs the recognizer.
        joints: Frames of all clips at the network's rate, one after another, (R, V, 3).
        lengths: Frames of each clip, (N,).
        labels: Index of each clip's class, (N,).
    """
    features = OnlineFeatures(network.layout)
    return np.array([
        _last_logits(network, features, clip).argmax() == label
        for clip, label in zip(_parts(joints, lengths), labels, strict=True)
    ])  # fmt: skip


def _last_logits(network: StepNetwork, features: OnlineFeatures, clip: np.ndarray) -> np.ndarray:
    state, memory, logits = features.start(), network.start(), np.zeros(len(network.labels))
    for joints in clip:
        described, state = features.step(joints[None], state)
        output = network.step(described, memory)
        memory, logits = output.memory, output.logits
    return logits


def _parts(rows: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    ends = np.cumsum(lengths)
    yield from (rows[end - length : end] for end, length in zip(ends, lengths, strict=True))
