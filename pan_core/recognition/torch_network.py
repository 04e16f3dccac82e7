"""A stored recognizer run by torch."""

import numpy as np
import torch

from pan_core.errors import DataError
from pan_core.model.pan import PanState
from pan_core.model.store import LoadedModel
from pan_core.recognition.step_network import Memory, StepResult
from pan_core.skeletons import SkeletonLayout


class TorchNetwork:
    """The step of a stored recognizer.

    Args:
        recognizer: A recognizer of online mode.

    Raises:
        DataError: If it is of clip mode.
    """

    def __init__(self, recognizer: LoadedModel) -> None:
        if recognizer.mode != "online":
            raise DataError(
                f"Expected a recognizer of online mode, but got one of {recognizer.mode} mode, which must know the "
                "whole clip; give the folder of the online one",
                code="recognizer.clip-mode",
            )
        self._model = recognizer.model
        self.labels: tuple[str, ...] = recognizer.labels
        self.actions: tuple[str, ...] = recognizer.actions
        self.layout: SkeletonLayout = recognizer.layout
        self.rate: float = recognizer.rate

    @torch.inference_mode()
    def start(self) -> Memory:
        """State before the first frame."""
        return {name: value.numpy() for name, value in self._model.start(1)._asdict().items()}

    @torch.inference_mode()
    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        """Run over one frame; see `StepNetwork.step`."""
        state = PanState(**{name: torch.from_numpy(value) for name, value in memory.items()})
        output = self._model.step(torch.from_numpy(features), state)
        return StepResult(
            output.logits[0].numpy(),
            output.action_logits[0].numpy(),
            output.joints_attention[0].numpy(),
            {name: value.numpy() for name, value in output.state._asdict().items()},
            float(output.pose_attention[0]),
        )
