"""Run an exported network with the runtime that its file is for; a device needs only its own runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pan_core.errors import DataError

SUFFIXES = {"onnxruntime": ".onnx", "ncnn": ".param", "tensorrt": ".engine"}
"""Suffix of the file that each runtime opens."""


class Session(Protocol):
    """A network that is ready to run."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all inputs."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs."""

    @property
    def shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Shapes of the inputs and outputs that the file states; a name, or None, stands for a length that varies."""

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Run the network.

        Args:
            feeds: Inputs by name, batch first.
            wanted: Names of the outputs to return.

        Returns:
            The wanted outputs, batch first.
        """


class Opener(Protocol):
    """Where networks are opened: `open_model` on this machine's processor, others elsewhere."""

    def __call__(self, model: Path | bytes, /, *, threads: int = 1) -> Session:
        """See `open_model`."""


def may_have_shape(session: Session, name: str, expected: Sequence[int]) -> bool:
    """Whether an input or output can have a shape: lengths that vary, and shapes that the file does not state, fit any."""
    shape = session.shapes.get(name)
    if shape is None:
        return True
    fixed = [side if isinstance(side, int) and side > 0 else None for side in shape]
    return len(fixed) == len(expected) and all(
        side in (None, wanted) for side, wanted in zip(fixed, expected, strict=True)
    )


def open_model(path: Path | bytes, /, *, threads: int = 1) -> Session:
    """Open an exported network with the runtime of its suffix.

    Args:
        path: A `.onnx`, a `.param` with its `.bin`, or a TensorRT `.engine`; or the content of a `.onnx`.
        threads: Processor cores to use.

    Raises:
        DataError: If the file is missing or is none of these, or its runtime is not installed.
    """
    if isinstance(path, bytes):
        from pan_core.runtimes.onnx_session import OnnxSession  # late: optional

        return OnnxSession(path, threads=threads)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file, expected a network; `dvc repro` makes those of a run", code="network.missing"
        )
    try:
        if path.suffix == SUFFIXES["onnxruntime"]:
            from pan_core.runtimes.onnx_session import OnnxSession  # late: optional

            return OnnxSession(path, threads=threads)
        if path.suffix == SUFFIXES["ncnn"]:
            from pan_core.runtimes.ncnn_session import NcnnSession  # late: optional

            return NcnnSession(path, threads=threads)
        if path.suffix == SUFFIXES["tensorrt"]:
            from pan_core.runtimes.tensorrt_session import TensorRtSession  # late: only engines need it

            return TensorRtSession(path)
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path}: its runtime is not installed ({error}); install it with `pip install {error.name}`",
            code="network.no-runtime",
        ) from error
    raise DataError(f"{path}: expected a file that ends in {', '.join(SUFFIXES.values())}", code="network.suffix")
