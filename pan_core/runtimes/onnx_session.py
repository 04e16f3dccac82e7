"""ONNX Runtime on the processor, with a fixed number of threads and no chatter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from pan_core.errors import DataError


def open_session(model: Path | bytes, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session for one model.

    One thread by default: small networks gain little from more, and several processes would fight for the cores.

    Args:
        model: File, or its content.
        threads: Cores to use.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxSession:
    """`pan_core.runtimes.session.Session` of an ONNX model.

    Args:
        model: File, or its content.
        threads: Cores to use.

    Raises:
        DataError: Where it is no ONNX model.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        try:
            self._session = open_session(model, threads=threads)
        except Exception as error:  # each fault has a class of its own, in a module that is not public
            name = "the model" if isinstance(model, bytes) else model
            raise DataError(
                f"{name}: not an ONNX model that this runtime reads ({error}); run `dvc repro` to make it"
            ) from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Outputs for some inputs, batch first."""
        return self._session.run(list(wanted), dict(feeds))
