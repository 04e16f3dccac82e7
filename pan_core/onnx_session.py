"""ONNX Runtime on the processor, with a fixed number of threads and no chatter."""

from pathlib import Path

import onnxruntime


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
