"""The exported one-frame step, run by ONNX Runtime."""

from pathlib import Path

import numpy as np

from pan_core.errors import DataError
from pan_core.files import read_json
from pan_core.model.features import feature_count
from pan_core.onnx_session import open_session
from pan_core.recognition.network import Memory, StepOutput
from pan_core.skeletons import SkeletonLayout

NEXT = "next_"


class OnnxNetwork:
    """An exported step.

    Args:
        model: The file; a `.json` of the same name beside it says how to feed it.
        threads: Processor cores to use.

    Raises:
        DataError: Where a file is missing or the network reads another number of joints than the layout has.
    """

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        if not model.is_file():
            raise DataError(f"{model}: no such exported recogniser; run `dvc repro export`")
        description = read_json(model.with_suffix(".json"))
        self.labels: tuple[str, ...] = tuple(description["labels"])
        self.actions: tuple[str, ...] = tuple(description["actions"])
        self.layout: SkeletonLayout = SkeletonLayout.from_dict(description["layout"])
        self.rate = float(description["rate"])
        self._start = description["start"]
        self._session = open_session(model, threads=threads)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._features, *self._memory = self._session.get_inputs()
        expected = [self.layout.size, feature_count(self.layout)]
        if self._features.shape[1:] != expected:
            raise DataError(
                f"{model}: Expected input {self._features.name!r} of shape (B, {expected}), but got {self._features.shape}"
            )

    def start(self) -> Memory:
        """State before the first frame; the network's start values stand in the description."""
        return {
            item.name: np.full([1, *item.shape[1:]], self._start[item.name], dtype=np.float32) for item in self._memory
        }

    def step(self, features: np.ndarray, memory: Memory) -> StepOutput:
        """Run over one frame; see `StepNetwork.step`."""
        values = self._session.run(None, {self._features.name: features, **memory})
        got = dict(zip(self._outputs, values, strict=True))
        after = {name.removeprefix(NEXT): value for name, value in got.items() if name.startswith(NEXT)}
        return StepOutput(got["logits"][0], got["action_logits"][0], got["joints_attention"][0], after)
