"""Memory that two processes share, in which one lays arrays for the other: several times cheaper than sending them."""

import mmap
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle

import numpy as np

# Of the first byte of an array: what vector instructions like.
ALIGNMENT = 64

Place = tuple[str, tuple[int, ...], int]
"""Type, shape and first byte of an array."""


class SharedArrays:
    """Memory with a file descriptor that another process can be given; the system frees it when both are gone.

    Args:
        size: Bytes.
        handle: Descriptor of memory that exists; this object closes it.
    """

    def __init__(self, size: int, handle: int | None = None) -> None:
        self.size = size
        made = os.memfd_create("pan-arrays") if handle is None else handle
        try:
            if handle is None:
                os.ftruncate(made, size)  # pages come as they are written, like those of any array
            self._memory = np.frombuffer(mmap.mmap(made, size), np.uint8) if size else np.empty(0, np.uint8)
        except BaseException:
            os.close(made)
            raise
        self._handle = made

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def send(self, connection: Connection) -> None:
        """Give it to the process at the other end of a Unix socket, which calls `receive`."""
        send_handle(connection, self._handle, None)

    @classmethod
    def receive(cls, connection: Connection, size: int) -> "SharedArrays":
        """Memory that another process sends."""
        return cls(size, recv_handle(connection))

    def put(self, arrays: Sequence[np.ndarray], *, start: int = 0) -> list[Place] | None:
        """Lay arrays down from a byte on; None, and nothing is written, if they do not fit."""
        places, end = list[Place](), start
        for array in arrays:
            places.append((array.dtype.str, array.shape, end))
            end += aligned(array.nbytes)
        if end > self.size:
            return None
        for array, view in zip(arrays, self.views(places), strict=True):
            view[...] = array
        return places

    def views(self, places: Sequence[Place]) -> list[np.ndarray]:
        """Arrays that were laid down, not copied: they hold until others are laid over them."""
        found = []
        for kind, shape, start in places:
            size = int(np.prod(shape, dtype=int)) * np.dtype(kind).itemsize
            found.append(self._memory[start : start + size].view(kind).reshape(shape))
        return found


def aligned(size: int) -> int:
    """Bytes that an array of so many takes here."""
    return -(-size // ALIGNMENT) * ALIGNMENT
