"""Write a torch module as an ONNX file that says what it is, and read it back to be sure."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

from pan_core.errors import GateError
from pan_core.files import atomic_path

# Oldest format that carries the opset; old runtimes on devices refuse newer ones.
IR_VERSIONS = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8}
# Missing in TensorRT 8.2, the last one for a Jetson Nano.
REFUSED = frozenset({"LayerNormalization", "OneHot", "NonZero", "Mod"})


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
        model = onnx.load(partial)
        model.ir_version = IR_VERSIONS[opset]
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, partial)
        check_operators(partial, opset=opset)


def check_operators(path: Path, *, opset: int) -> list[str]:
    """Operators of a written file.

    Raises:
        GateError: Where the opset is not the one asked for, an operator is refused, or a GRU applies its reset gate
            before the product, which is another function than the one trained.
    """
    model = onnx.load(path)
    found = {item.domain: item.version for item in model.opset_import}
    if found.get("") != opset:
        raise GateError(f"{path}: Expected opset {opset}, but the file says {found}")
    operators = sorted({node.op_type for node in model.graph.node})
    if refused := sorted(REFUSED & set(operators)):
        raise GateError(f"{path}: operators {refused} are missing in TensorRT 8.2; express them otherwise")
    for node in model.graph.node:
        reset = {attribute.name: attribute.i for attribute in node.attribute}.get("linear_before_reset", 0)
        if node.op_type == "GRU" and reset != 1:
            raise GateError(f"{path}: node {node.name} has linear_before_reset={reset}, expected 1")
    return operators
