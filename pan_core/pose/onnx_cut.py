"""The exported pose network without what lies behind the stages that are used."""

from collections.abc import Sequence
from pathlib import Path

import onnx


def cut_after(path: Path, outputs: Sequence[str]) -> bytes:
    """The model with some of its outputs, and only the nodes that they need.

    Args:
        path: An ONNX model that has them.
        outputs: Names of outputs.
    """
    model = onnx.load(path)
    graph = model.graph
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
