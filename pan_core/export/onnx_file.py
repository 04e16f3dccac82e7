"""Write a torch module as an ONNX file that says what it is, and read it back to be sure."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

from pan_core.errors import GateError
from pan_core.export.operators import refused
from pan_core.files import atomic_path

# Oldest format that carries the opset; old runtimes on devices refuse newer ones.
IR_VERSIONS = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8}


def write_onnx(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    opset: int,
) -> None:
    """Export by the TorchScript exporter, which reaches the opsets of old runtimes, and check what was written.

    Args:
        module: Module in evaluation mode.
        example: Inputs for tracing, batch first.
        path: File to write.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        opset: ONNX operator set.

    Raises:
        GateError: Where the file has another opset than asked for, or an operator that a target lacks.
    """
    with atomic_path(path) as partial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            torch.onnx.export(
                module, example, partial, input_names=list(inputs), output_names=list(outputs), opset_version=opset,
                dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)}, dynamo=False,
            )  # fmt: skip
        save_checked(partial.read_bytes(), partial, opset=opset)


def save_checked(model: bytes, path: Path, *, opset: int) -> None:
    """Write a model in the oldest format that carries its opset, once it is known to be sound.

    Raises:
        GateError: As for `check_operators`.
    """
    loaded = onnx.load_model_from_string(model)
    loaded.ir_version = IR_VERSIONS[opset]
    onnx.checker.check_model(loaded, full_check=True)
    onnx.save(loaded, path)
    check_operators(path, opset=opset)


def check_operators(path: Path, *, opset: int, runtime: str = "tensorrt") -> list[str]:
    """Operators of a written file.

    Args:
        path: The file.
        opset: The operator set that it must have.
        runtime: Whose table the operators must be in.

    Raises:
        GateError: Where opset or format are not those asked for, an operator is missing in the runtime, or a GRU applies
            its reset gate before the product, which is another function than the one trained.
    """
    model = onnx.load(path)
    operators = sorted({node.op_type for node in model.graph.node})
    if faults := list(_faults(model, operators, opset, runtime)):
        raise GateError(f"{path}: cannot go to a target as it is: {'; '.join(faults)}")
    return operators


def _faults(model: onnx.ModelProto, operators: list[str], opset: int, runtime: str) -> Iterator[str]:
    found = {item.domain: item.version for item in model.opset_import}
    if found.get("") != opset:
        yield f"Expected opset {opset}, but the file says {found}"
    if model.ir_version > IR_VERSIONS[opset]:
        yield f"Expected ir_version {IR_VERSIONS[opset]} at most, which runtimes of that opset read, but got {model.ir_version}"
    if missing := refused(operators, runtime):
        yield f"operators {missing} are missing in the target's {runtime}; express them otherwise"
    for node in model.graph.node:
        reset = {attribute.name: attribute.i for attribute in node.attribute}.get("linear_before_reset", 0)
        if node.op_type == "GRU" and reset != 1:
            yield f"node {node.name} has linear_before_reset={reset}, expected 1"
