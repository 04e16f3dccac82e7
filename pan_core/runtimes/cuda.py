"""Networks on a GPU by ONNX Runtime's CUDA provider, or the reason why there is none."""

import io
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from pan_core.errors import ConfigError, DataError
from pan_core.runtimes.batching import BatchingSession
from pan_core.runtimes.session import Session

_log = logging.getLogger(__name__)

AUTO, CPU, CUDA = "auto", "cpu", "cuda"
ADVICE = "docs/pose.md says what to install"
# NVIDIA's driver, and that of Windows below Linux.
GPU_FILES = (("/dev", "nvidia[0-9]*"), ("/dev", "dxg"))


def choose_device(wanted: str, find_fault: Callable[[], str] | None = None) -> str:
    """Where networks run: "cpu" or "cuda". `auto` that takes the processor is one line of log, a warning if there is a GPU.

    Args:
        wanted: "auto", "cpu" or "cuda".
        find_fault: Looks for the reason why CUDA cannot be used; by default `cuda_fault`.

    Raises:
        ConfigError: If "cuda" is wanted and cannot be used.
    """
    if wanted == CPU:
        return CPU
    fault = (find_fault or cuda_fault)()
    if not fault:
        return CUDA
    if wanted == CUDA:
        raise ConfigError(
            "pose extraction",
            [f"device: 'cuda', but {fault}; {ADVICE}, or take 'auto' or 'cpu'"],
            code="device.missing",
        )
    _log.log(logging.WARNING if has_gpu() else logging.INFO, "poses are found on the processor: %s; %s", fault, ADVICE)
    return CPU


def require_device(wanted: str) -> None:
    """Refuse "cuda" if the package that is installed cannot use a GPU, before hours of other work.

    Raises:
        ConfigError: As `choose_device`.
    """
    if wanted == CUDA:
        choose_device(wanted, missing_provider)


def has_gpu() -> bool:
    """Whether the system shows an NVIDIA GPU, whatever can use it."""
    return any(True for folder, pattern in GPU_FILES for _ in Path(folder).glob(pattern))


def missing_provider() -> str:
    """Fault if the package that is installed cannot use a GPU, empty otherwise; nothing is loaded to find out."""
    import onnxruntime  # late: start-up

    from pan_core.runtimes.onnx_session import CUDA_PROVIDER  # late: start-up

    found = onnxruntime.get_available_providers()
    if CUDA_PROVIDER in found:
        return ""
    return f"this ONNX Runtime has no CUDA provider (it has {', '.join(found)})"


def cuda_fault() -> str:
    """Why networks cannot run on a GPU here, empty if they can; loads CUDA into this process."""
    if fault := missing_provider():
        return fault
    import onnx  # late: optional
    import onnxruntime  # late: start-up

    from pan_core.runtimes.onnx_session import CUDA_PROVIDER, OnnxSession  # late: start-up

    printed = io.StringIO()
    with redirect_stdout(printed):
        onnxruntime.preload_dlls()  # from the packages nvidia-*, where they are installed
    onnxruntime.set_default_logger_severity(4)  # what it would write is in the fault returned here
    try:
        value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "probe", [value], [result])
        opset = [onnx.helper.make_opsetid("", 13)]
        probe = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
        if OnnxSession(probe, provider=CUDA_PROVIDER).provider == CUDA_PROVIDER:
            return ""
    except DataError as error:
        return f"ONNX Runtime's CUDA provider does not start ({' '.join(str(error).split())})"
    finally:
        onnxruntime.set_default_logger_severity(2)
    if not has_gpu():
        return "there is no NVIDIA GPU here, or its driver is missing"
    reason = printed.getvalue().partition("\n")[0] or "is the driver new enough for it?"
    return f"ONNX Runtime's CUDA provider does not start ({reason})"


def open_on_cuda(model: Path | bytes, /, *, threads: int = 1) -> Session:
    """Open an ONNX model on the GPU; requests that come together run as one batch.

    Raises:
        DataError: If it is no ONNX model that this runtime reads.
        ConfigError: If it cannot run there.
    """
    from pan_core.runtimes.onnx_session import CUDA_PROVIDER  # late: start-up

    return open_batching(model, threads=threads, provider=CUDA_PROVIDER)


def open_batching(model: Path | bytes, /, *, threads: int = 1, provider: str = "CPUExecutionProvider") -> Session:
    """The same on any provider of ONNX Runtime."""
    from pan_core.runtimes.onnx_batch import free_batch  # late: optional
    from pan_core.runtimes.onnx_session import OnnxSession  # late: start-up

    try:
        freed: Path | bytes = free_batch(model)
    except Exception:  # of many classes; ONNX Runtime says what is wrong with it, or runs it one by one
        freed = model
    session = OnnxSession(freed, threads=threads, provider=provider)
    name = "a part of the network" if isinstance(model, bytes) else str(model)
    if session.provider != provider:
        raise ConfigError(
            "pose extraction",
            [f"device: 'cuda', but {name} runs by {session.provider} only; take 'cpu'"],
            code="device.missing",
        )
    return BatchingSession(session, name=name)
