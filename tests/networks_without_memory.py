"""A process that lacks memory: a network whose GPU has none left, and arrays that cannot be shared."""

from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from pan_core.runtimes import network_server
from pan_core.runtimes.onnx_session import OnnxSession
from pan_core.runtimes.shared_arrays import SharedArrays

MOST_SHARED = 1_000_000


def open_without_memory(model: Path | bytes, /, *, threads: int = 1) -> "WithoutMemory":
    """Open a network that can be described and not run."""
    return WithoutMemory(model, threads=threads)


class WithoutMemory(OnnxSession):
    """It fails in the words of ONNX Runtime's CUDA provider."""

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        raise ValueError("bfc_arena.cc:358 Failed to allocate memory for requested buffer of size 1073741824")


class SmallArrays(SharedArrays):
    """Shared memory of at most `MOST_SHARED` bytes, at the end that is given it."""

    @classmethod
    def receive(cls, connection: Connection, size: int) -> SharedArrays:
        received = SharedArrays.receive(connection, size)
        if size > MOST_SHARED:
            raise MemoryError(f"{size} bytes")
        return received


def share_little() -> str:
    """Let this process share little memory from now on; returns that nothing else is amiss."""
    network_server.SharedArrays = SmallArrays  # type: ignore[misc]
    return ""
