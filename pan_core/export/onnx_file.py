"""Write a torch module as an ONNX file, and check the written file."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

from pan_core.errors import GateError
from pan_core.export.operators import missing_operators
from pan_core.files import atomic_path

# Oldest file format with each opset; old runtimes on devices refuse newer formats.
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
    """Export with the TorchScript exporter, which supports the opsets of old runtimes, and check the file.

    Args:
        module: Module in evaluation mode.
        example: Inputs for tracing, batch first.
        path: File to write.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        opset: ONNX operator set.

    Raises:
        GateError: If the file has another opset than asked for, or an operator that a target lacks.
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


def save_checked(model: bytes, path: Path, *, opset: int, runtime: str = "tensorrt") -> list[str]:
    """Check a model, and write it in the oldest file format with its opset; returns its operators.

    Raises:
        GateError: See `check_operators`.
    """
    loaded = onnx.load_model_from_string(model)
    loaded.ir_version = IR_VERSIONS.get(opset, loaded.ir_version)
    onnx.checker.check_model(loaded, full_check=True)
    onnx.save(loaded, path)
    return check_operators(path, opset=opset, runtime=runtime)


def check_operators(path: Path, *, opset: int, runtime: str = "tensorrt") -> list[str]:
    """Check a written file; returns its operators.

    Args:
        path: The file.
        opset: Expected operator set.
        runtime: Runtime that must have all operators.

    Raises:
        GateError: If the opset or the file format is another one, the runtime lacks an operator, or a GRU applies its reset
            gate before the product, which is another function than the trained one.
    """
    model = onnx.load(path)
    operators = sorted({node.op_type for node in model.graph.node})
    if faults := list(_find_faults(model, operators, opset, runtime)):
        raise GateError(
            f"{path}: cannot run on a target: {'; '.join(fault for _, fault in faults)}", code=f"onnx.{faults[0][0]}"
        )
    return operators


def _find_faults(model: onnx.ModelProto, operators: list[str], opset: int, runtime: str) -> Iterator[tuple[str, str]]:
    """Kind of each fault, and what is wrong."""
    found = {item.domain: item.version for item in model.opset_import}
    if found.get("", found.get("ai.onnx")) != opset:
        yield "opset", f"Expected opset {opset}, but got {found}"
    if model.ir_version > IR_VERSIONS.get(opset, model.ir_version):
        yield (
            "ir-version",
            f"Expected ir_version {IR_VERSIONS[opset]} at most, as runtimes of that opset read, but got {model.ir_version}",
        )
    if missing := missing_operators(operators, runtime):
        yield "missing-operators", f"operators {missing} are missing in the target's {runtime}; use others"
    for node in model.graph.node:
        reset = {attribute.name: attribute.i for attribute in node.attribute}.get("linear_before_reset", 0)
        if node.op_type == "GRU" and reset != 1:
            yield "reset-gate", f"node {node.name} has linear_before_reset={reset}, expected 1"
