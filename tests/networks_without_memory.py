"""A network whose GPU has no memory left, to be opened in another process."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pan_core.runtimes.onnx_session import OnnxSession


def open_without_memory(model: Path | bytes, /, *, threads: int = 1) -> "WithoutMemory":
    """Open a network that can be described and not run."""
    return WithoutMemory(model, threads=threads)


class WithoutMemory(OnnxSession):
    """It fails in the words of ONNX Runtime's CUDA provider."""

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        raise ValueError("bfc_arena.cc:358 Failed to allocate memory for requested buffer of size 1073741824")
