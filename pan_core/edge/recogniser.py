"""The exported one-frame step as a device runs it: features in NumPy, the network in ONNX Runtime, no torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pan_core.errors import DataError
from pan_core.files import read_json
from pan_core.model.online import OnlineFeatures, OnlineState
from pan_core.onnx_session import open_session
from pan_core.skeletons import SkeletonLayout

MEMORY = "next_"


@dataclass(frozen=True)
class StreamState:
    """Memory of one stream: that of the features and that of the network, by input name."""

    features: OnlineState
    network: dict[str, np.ndarray]


class StepRecogniser:
    """One frame in, class and action probabilities out.

    Args:
        model: Exported step; `model.json` beside it under the same name says how to feed it.
        threads: Processor cores to use.

    Raises:
        DataError: Where a file is missing or the network reads another number of joints than the layout has.
    """

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        if not model.is_file():
            raise DataError(f"{model}: no such exported recogniser; run `dvc repro export`")
        description = read_json(model.with_suffix(".json"))
        self.labels, self.actions = tuple(description["labels"]), tuple(description["actions"])
        self.layout = SkeletonLayout.from_dict(description["layout"])
        self.rate = float(description["rate"])
        self._start = description["start"]
        self._session = open_session(model, threads=threads)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._features = OnlineFeatures(self.layout)
        first = self._session.get_inputs()[0]
        expected = [self.layout.size, self._features.feature_size]
        if first.shape[1:] != expected:
            raise DataError(f"{model}: Expected input {first.name!r} of shape (B, {expected}), but got {first.shape}")

    def start(self) -> StreamState:
        """State before the first frame; the network's start values stand in the description."""
        memory = {
            item.name: np.full([1, *item.shape[1:]], self._start[item.name], dtype=np.float32)
            for item in self._session.get_inputs()[1:]
        }
        return StreamState(self._features.start(), memory)

    def step(self, joints: np.ndarray, state: StreamState) -> tuple[np.ndarray, np.ndarray, StreamState]:
        """Recognise the next frame.

        Args:
            joints: Pose (V, 3): x, y in pixels and score; missing joints have score 0.
            state: What `start` or the last step returned.

        Returns:
            Class probabilities (K,), action probabilities (A,), state after the frame.
        """
        features, described = self._features.step(joints[None].astype(np.float32), state.features)
        values = self._session.run(None, {self._session.get_inputs()[0].name: features, **state.network})
        got = dict(zip(self._outputs, values, strict=True))
        network = {name.removeprefix(MEMORY): value for name, value in got.items() if name.startswith(MEMORY)}
        return _softmax(got["logits"][0]), _softmax(got["action_logits"][0]), StreamState(described, network)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
