"""Numeric agreement of exported models with their torch models."""

from pathlib import Path

import numpy as np
import torch

from pan_core.errors import GateError
from pan_core.model.streaming import CLIP_INPUTS, STATE_NAMES, STEP_INPUTS, ClipModel, StepModel
from pan_core.runtimes.max_error import largest_difference
from pan_core.runtimes.onnx_session import open_session


def step_difference(path: Path, model: StepModel, features: np.ndarray) -> float:
    """Largest difference of any output over a stream, relative for values above 1.

    Each side is fed its own memory, so that an error in the recurrent part grows instead of hiding behind a zero state.

    Args:
        path: Exported step.
        model: Torch step.
        features: One stream, shape (T, V, D).
    """
    runtime = open_session(path)
    names = [output.name for output in runtime.get_outputs()]
    memory = tuple(model.example()[1:])
    fed = {name: tensor.numpy() for name, tensor in zip(STATE_NAMES, memory, strict=True)}
    worst = 0.0
    for frame in features.astype(np.float32):
        with torch.inference_mode():
            expected = model(torch.from_numpy(frame[None]), *memory)
        got = runtime.run(None, {STEP_INPUTS[0]: frame[None], **fed})
        worst = max(worst, *(largest_difference(a, b.numpy()) for a, b in zip(got, expected, strict=True)))
        memory = tuple(expected[-len(STATE_NAMES) :])
        fed = {name: got[names.index(f"next_{name}")] for name in STATE_NAMES}
    return worst


def clip_difference(path: Path, model: ClipModel, features: np.ndarray) -> float:
    """Largest difference of any output over some clips, relative for values above 1; features (B, T, V, D)."""
    with torch.inference_mode():
        expected = model(torch.from_numpy(features.astype(np.float32)))
    got = open_session(path).run(None, {CLIP_INPUTS[0]: features.astype(np.float32)})
    return max(largest_difference(a, b.numpy()) for a, b in zip(got, expected, strict=True))


def require_parity(path: Path, difference: float, tolerance: float) -> None:
    """Refuse an exported model that differs from torch's.

    Raises:
        GateError: If the difference is larger than the tolerance, or not a number.
    """
    if not difference <= tolerance:
        raise GateError(
            f"{path}: differs from torch by {difference:.2e}, expected at most {tolerance:.0e}",
            code="parity.out-of-bounds",
        )
