"""Sessions of ONNX Runtime, with a fixed number of threads and without log messages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from pan_core.errors import DataError

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"
CUDA_OPTIONS = {
    # With the 10 bits of TF32 the poses would be others than a processor finds.
    "use_tf32": "0",
    # The search that is the default tries every algorithm for each new shape of a batch.
    "cudnn_conv_algo_search": "HEURISTIC",
}


def open_session(
    model: Path | bytes, *, threads: int = 1, provider: str = CPU_PROVIDER
) -> onnxruntime.InferenceSession:
    """Open a session of ONNX Runtime itself.

    One thread by default: small networks gain little from more, and several processes would compete for the cores.

    Args:
        model: File, or its content.
        threads: Cores to use.
        provider: What runs the network; ONNX Runtime quietly takes the processor where it cannot.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else str(model)
    cuda = [(CUDA_PROVIDER, CUDA_OPTIONS)] if provider == CUDA_PROVIDER else []
    return onnxruntime.InferenceSession(content, options, providers=[*cuda, CPU_PROVIDER])


class OnnxSession:
    """`pan_core.runtimes.session.Session` of an ONNX model.

    Args:
        model: File, or its content.
        threads: Cores to use.
        provider: As for `open_session`.

    Raises:
        DataError: If it is no ONNX model that this runtime reads.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1, provider: str = CPU_PROVIDER) -> None:
        try:
            self._session = open_session(model, threads=threads, provider=provider)
        except Exception as error:  # ONNX Runtime has many classes of errors, all in a private module
            name = "the model" if isinstance(model, bytes) else model
            raise DataError(
                f"{name}: not an ONNX model that this runtime reads ({error}); get it again, or run `dvc repro` if a run made it",
                code="network.damaged",
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.inputs = tuple(each.name for each in inputs)
        self.outputs = tuple(each.name for each in outputs)
        self.shapes = {each.name: tuple(each.shape) for each in (*inputs, *outputs)}

    @property
    def provider(self) -> str:
        """What really runs the network."""
        return self._session.get_providers()[0]

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `pan_core.runtimes.session.Session.run`."""
        return self._session.run(list(wanted), dict(feeds))
