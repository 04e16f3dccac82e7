"""Parity check: compare exported networks with those that they were made from, by the same code at export and on the device.

A reference folder holds inputs of the dataset and the outputs that are expected for them: `steps.npz`, streams of features;
`clips.npz`, skeletons of test clips; and for each network that finds people, by its name, inputs and outputs of its runs on
pictures of people. `pan_core.export.reference` writes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pan_core.errors import GateError
from pan_core.model.online import OnlineFeatures
from pan_core.recognition.step_network import StepNetwork
from pan_core.runtimes.max_error import largest_difference, relative_difference
from pan_core.runtimes.session import Session

Call = dict[str, np.ndarray]
"""Inputs and outputs of one run of a network, by name."""
LEAST_ACCURACY = 0.98
"""Share of torch's accuracy that an exported recognizer must keep."""


@dataclass(frozen=True)
class ParityReport:
    """Parity of exported networks with those that they were made from.

    Attributes:
        step_difference: Largest difference of any output of the recognizer, relative for values above 1.
        steps: Number of compared frames, each with the memory that the exported network itself left before it.
        streams: Lengths of the streams that these frames form.
        pose_difference: Largest difference of any output of the networks that find people, as a share of the output's largest
            value.
        pose_output: Which output that is, as NETWORK.OUTPUT.
        crops: Number of compared runs of these networks.
        accuracy: Share of the test clips that the exported recognizer gets right.
        torch_accuracy: Share of the test clips that torch gets right.
        clips: Number of test clips.
    """

    step_difference: float
    steps: int
    streams: tuple[int, ...]
    pose_difference: float
    pose_output: str
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
                f"{self.pose_output} differs by {self.pose_difference:.4g} of its largest value from the network that it was made "
                f"from, expected at most {pose_tolerance:g}"
            )
        if not self.accuracy >= least:
            faults["accuracy"] = (
                f"recognises {self.accuracy:.4g} of {self.clips} test clips, expected at least {least:.4g}"
            )
        return faults


def check(
    network: StepNetwork, pose: Mapping[str, Session], reference: Path, *, calls: Mapping[str, Sequence[Call]]
) -> ParityReport:
    """Compare an exported recognizer, and exported networks that find people, with those that they were made from.

    Args:
        network: The recognizer.
        pose: Networks that find people, by name.
        reference: Folder of the recognizer's reference.
        calls: Inputs and expected outputs of each of `pose`, such as `read_calls` finds.
    """
    difference, lengths = step_difference(network, reference / "steps.npz")
    found = {name: pose_differences(session, calls[name]) for name, session in pose.items()}
    differences = {f"{name}.{output}": value for name, each in found.items() for output, value in each.items()}
    worst = max(differences, key=lambda name: differences[name])
    clips = np.load(reference / "clips.npz")
    right = recognise_clips(network, clips["joints"], clips["lengths"], clips["labels"])
    return ParityReport(
        step_difference=difference, steps=sum(lengths), streams=tuple(lengths), pose_difference=differences[worst],
        pose_output=worst, crops=sum(len(calls[name]) for name in pose), accuracy=float(right.mean()),
        torch_accuracy=float(clips["right"].mean()), clips=len(right),
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


def pose_differences(session: Session, calls: Sequence[Call]) -> dict[str, float]:
    """Largest difference of each output over some calls, as a share of the largest value that is expected of it."""
    outputs = [name for name in calls[0] if name not in session.inputs]
    answers = [session.run({name: call[name] for name in session.inputs}, outputs) for call in calls]
    return {
        name: relative_difference([answer[at] for answer in answers], [call[name] for call in calls])
        for at, name in enumerate(outputs)
    }


def read_calls(path: Path) -> list[Call]:
    """Inputs and outputs of a network's runs, as `pan_core.export.reference.write_calls` writes them."""
    calls: list[Call] = []
    with np.load(path) as content:
        for key in content.files:
            number, name = key.split("/", 1)
            while len(calls) <= int(number):
                calls.append({})
            calls[int(number)][name] = content[key]
    return calls


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
        _compute_last_logits(network, features, clip)[: len(network.labels)].argmax() == label
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
