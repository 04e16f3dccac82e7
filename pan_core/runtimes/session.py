"""One way to run an exported network, whatever runtime its file is for; a device needs only the one it has."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pan_core.errors import DataError

SUFFIXES = {"onnxruntime": ".onnx", "ncnn": ".param", "tensorrt": ".engine"}
"""Ending of the file that each runtime opens."""


class Session(Protocol):
    """A network that is ready to run.

    Attributes:
        outputs: Names of all outputs.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs."""

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Outputs for some inputs; the first axis of each is the batch."""


def open_model(path: Path, *, threads: int = 1) -> Session:
    """Open an exported network by the runtime that its ending says.

    Args:
        path: A `.onnx`, a `.param` with its `.bin`, or a TensorRT `.engine`.
        threads: Processor cores to use.

    Raises:
        DataError: Where the file is missing, is none of these, or its runtime is not installed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected an exported network; run `dvc repro` to make it")
    try:
        if path.suffix == SUFFIXES["onnxruntime"]:
            from pan_core.runtimes.onnx_session import OnnxSession

            return OnnxSession(path, threads=threads)
        if path.suffix == SUFFIXES["ncnn"]:
            from pan_core.runtimes.ncnn_session import NcnnSession

            return NcnnSession(path, threads=threads)
        if path.suffix == SUFFIXES["tensorrt"]:
            from pan_core.runtimes.tensorrt_session import TensorRtSession

            return TensorRtSession(path)
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path}: its runtime is not installed ({error}); install it with `pip install {error.name}`"
        ) from error
    raise DataError(f"{path}: expected a file that ends in {', '.join(SUFFIXES.values())}")
