"""Parity check: compare exported networks with torch's outputs on a reference, by the same code at export and on the device.

A reference folder holds inputs of the dataset and torch's outputs for them: `steps.npz`, streams of features; `clips.npz`,
skeletons of test clips; `crops.npz`, pictures of people. `pan_core.export.reference` writes it.
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
    """Parity of an exported pair of networks with torch.

    Attributes:
        step_difference: Largest difference of any output of the recognizer, relative for values above 1.
        steps: Number of compared frames, each with the memory that the exported network itself left before it.
        streams: Lengths of the streams that these frames form.
        pose_difference: Largest difference of any map.
        crops: Number of compared pictures.
        accuracy: Share of the test clips that the exported recognizer gets right.
        torch_accuracy: Share of the test clips that torch gets right.
        clips: Number of test clips.
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
        """Refuse networks that differ from torch's.

        Raises:
            GateError: If a figure is outside its bound; names all such figures.
        """
        if faults := self.find_faults(step_tolerance=step_tolerance, pose_tolerance=pose_tolerance):
            raise GateError(
                "the exported networks differ from those that were trained: " + "; ".join(faults.values()),
                code="parity.out-of-bounds",
            )

    def find_faults(self, *, step_tolerance: float, pose_tolerance: float) -> dict[str, str]:
        """Figures that are outside their bounds: name of the attribute -> what is wrong. NaN is outside of every bound."""
        least = LEAST_ACCURACY * self.torch_accuracy
        faults = {}
        if not self.step_difference <= step_tolerance:
            faults["step_difference"] = (
                f"step differs from torch by {self.step_difference:.4g}, expected at most {step_tolerance:g}"
            )
        if not self.pose_difference <= pose_tolerance:
            faults["pose_difference"] = (
                f"pose maps differ from torch's by {self.pose_difference:.4g}, expected at most {pose_tolerance:g}"
            )
        if not self.accuracy >= least:
            faults["accuracy"] = (
                f"recognises {self.accuracy:.4g} of {self.clips} test clips, expected at least {least:.4g}"
            )
        return faults


def check(
    network: StepNetwork, pose: PoseSession, reference: Path, *, search: PoseSession | None = None
) -> ParityReport:
    """Compare an exported recognizer and an exported pose network with torch's outputs.

    Args:
        network: The recognizer.
        pose: The pose network up to the stage for crops of people.
        reference: Folder of the reference.
        search: The pose network up to the stage for whole frames; None if that is the same stage.
    """
    difference, lengths = step_difference(network, reference / "steps.npz")
    maps, crops = pose_difference(pose, reference / "crops.npz")
    if search is not None:
        maps = max(maps, pose_difference(search, reference / "crops.npz", maps="search_maps")[0])
    clips = np.load(reference / "clips.npz")
    right = recognise_clips(network, clips["joints"], clips["lengths"], clips["labels"])
    return ParityReport(
        step_difference=difference, steps=sum(lengths), streams=tuple(lengths), pose_difference=maps, crops=crops,
        accuracy=float(right.mean()), torch_accuracy=float(clips["right"].mean()), clips=len(right),
    )  # fmt: skip


def step_difference(network: StepNetwork, reference: Path) -> tuple[float, list[int]]:
    """Largest difference of the recognizer's outputs over all streams.

    Each stream is fed the memory that the exported network itself left, so that an error grows instead of hiding.

    Returns:
        The difference, and the lengths of the streams.
    """
    expected = np.load(reference)
    names = [name for name in expected.files if name not in ("features", "lengths")]
    worst, at = 0.0, 0
    for length in expected["lengths"]:
        memory = network.start()
        for row in range(at, at + length):
            output = network.step(expected["features"][row][None], memory)
            memory, got = output.memory, output.by_name()
            worst = max(worst, *(largest_difference(got[name], expected[name][row]) for name in names))
        at += length
    return worst, [int(length) for length in expected["lengths"]]


def pose_difference(pose: PoseSession, reference: Path, *, maps: str = "maps") -> tuple[float, int]:
    """Largest difference of any map, and the number of pictures."""
    expected = np.load(reference)
    differences = [
        largest_difference(pose(image[None])[0], wanted)
        for image, wanted in zip(expected["images"], expected[maps], strict=True)
    ]
    return max(differences), len(differences)


def recognise_clips(network: StepNetwork, joints: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Recognise clips: True for each whose class is the most likely one after its last frame, bool (N,).

    Args:
        network: The recognizer.
        joints: Frames of all clips at the network's rate, one after another, (R, V, 3).
        lengths: Number of frames of each clip, (N,).
        labels: Index of each clip's class, (N,).
    """
    features = OnlineFeatures(network.layout)
    return np.array([
        _compute_last_logits(network, features, clip).argmax() == label
        for clip, label in zip(_split_clips(joints, lengths), labels, strict=True)
    ])  # fmt: skip


def _compute_last_logits(network: StepNetwork, features: OnlineFeatures, clip: np.ndarray) -> np.ndarray:
    state, memory, logits = features.start(), network.start(), np.zeros(len(network.labels))
    for joints in clip:
        described, state = features.step(joints[None], state)
        output = network.step(described, memory)
        memory, logits = output.memory, output.logits
    return logits


def _split_clips(rows: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    ends = np.cumsum(lengths)
    yield from (rows[end - length : end] for end, length in zip(ends, lengths, strict=True))
