"""The exported one-frame step, run by ONNX Runtime, ncnn or TensorRT."""

from pathlib import Path

import numpy as np

from pan_core.errors import DataError
from pan_core.files import read_json
from pan_core.model.features import feature_count
from pan_core.recognition.step_network import SCORES, Memory, StepResult
from pan_core.runtimes.session import open_model
from pan_core.skeletons import SkeletonLayout

FEATURES, SHARE, NEXT = "features", "pose_attention", "next_"


class ExportedNetwork:
    """An exported step.

    Args:
        model: The file; a `.json` of the same name beside it says how to feed it.
        threads: Processor cores to use.

    Raises:
        DataError: If a file is missing or the network reads another number of joints than the layout has.
    """

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        if not model.is_file():
            raise DataError(f"{model}: no such exported recognizer; run `dvc repro export`", code="exported.missing")
        description = read_json(model.with_suffix(".json"))
        self.labels: tuple[str, ...] = tuple(description["labels"])
        self.actions: tuple[str, ...] = tuple(description["actions"])
        self.layout: SkeletonLayout = SkeletonLayout.from_dict(description["layout"])
        self.rate = float(description["rate"])
        self._start: dict[str, float] = description["start"]
        self._shapes: dict[str, list[int]] = description["shapes"]
        expected, got = [self.layout.size, feature_count(self.layout)], self._shapes[FEATURES]
        if got != expected:
            raise DataError(
                f"{model}: Expected input {FEATURES!r} of shape (B, {expected}), but got (B, {got})",
                code="exported.shape",
            )
        self._session = open_model(model, threads=threads)
        self._outputs = [*SCORES, SHARE, *(f"{NEXT}{name}" for name in self._start)]

    def start(self) -> Memory:
        """State before the first frame; the network's start values stand in the description."""
        return {name: np.full([1, *self._shapes[name]], value, dtype=np.float32) for name, value in self._start.items()}

    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        """Run over one frame; see `StepNetwork.step`."""
        got = self._session.run({FEATURES: features, **memory}, self._outputs)
        # ncnn leaves out axes of length 1.
        logits, actions, joints, share = (value.reshape(-1) for value in got[: len(SCORES) + 1])
        after = {
            name: value.reshape(1, *self._shapes[name])
            for name, value in zip(self._start, got[len(SCORES) + 1 :], strict=True)
        }
        return StepResult(logits, actions, joints, after, float(share[0]))
