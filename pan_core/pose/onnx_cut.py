"""The exported pose network without what lies behind the stages that are used."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from pan_core.errors import DataError


def cut_after(path: Path, outputs: Sequence[str]) -> bytes:
    """The model with some of its outputs, and only the nodes that they need.

    Args:
        path: An ONNX model that has them.
        outputs: Names of outputs.

    Raises:
        DataError: If it is no ONNX model, or lacks an output.
    """
    model = _load(path)
    graph = model.graph
    given = [value.name for value in graph.output]
    if missing := [name for name in outputs if name not in given]:
        raise DataError(f"{path}: Expected an output {missing[0]!r}, but got {given}", code="pose-model.no-output")
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    wanted = [value for value in graph.output if value.name in outputs]
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    cut = onnx.helper.make_graph(kept[::-1], graph.name, list(graph.input), wanted, weights)
    return onnx.helper.make_model(
        cut, opset_imports=model.opset_import, ir_version=model.ir_version
    ).SerializeToString()


def output_names(path: Path) -> list[str]:
    """Names of a model's outputs.

    Raises:
        DataError: If it is no ONNX model.
    """
    return [value.name for value in _load(path).graph.output]


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except DecodeError as error:
        raise DataError(
            f"{path}: not an ONNX model ({error}); get it again, or run `dvc repro` if a run made it",
            code="network.damaged",
        ) from error
