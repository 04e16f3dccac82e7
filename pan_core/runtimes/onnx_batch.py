"""ONNX models that were exported for one picture, made to take any number."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

BATCH = "batch"


def free_batch(model: Path | bytes) -> bytes:
    """The model with its first axis free, as far as that shows in its inputs, outputs and constant shapes.

    Whether it then answers for several pictures as for each is for the caller to try: other operations may have the number
    of pictures in them, too.

    Args:
        model: File, or its content.

    Returns:
        A model; the same one if its first axis is free already.
    """
    proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    if not all(_is_one(value) for value in inputs):
        return proto.SerializeToString()
    shapes = _known_shapes(onnx.shape_inference.infer_shapes(proto).graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape":
            _free_reshape(node, shapes, constants, graph)
        elif node.op_type == "Resize":
            _free_resize(node, shapes, constants, graph)
    for value in (*inputs, *(each for each in graph.output if _is_one(each))):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]
    return proto.SerializeToString()


def _is_one(value: onnx.ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    return bool(dims) and dims[0].dim_value == 1


def _known_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    def find() -> Iterator[tuple[str, tuple[int, ...]]]:
        for value in (*graph.input, *graph.value_info, *graph.output):
            dims = value.type.tensor_type.shape.dim
            if all(dim.HasField("dim_value") for dim in dims):
                yield value.name, tuple(dim.dim_value for dim in dims)

    return dict(find())


def _free_reshape(node: onnx.NodeProto, shapes: dict, constants: dict, graph: onnx.GraphProto) -> None:
    """Shape (1, ...) of something whose first axis is 1 becomes (0, ...), which keeps that axis."""
    tensor, before = constants.get(node.input[1]), shapes.get(node.input[0], ())
    if tensor is None or before[:1] != (1,) or any(each.name == "allowzero" and each.i for each in node.attribute):
        return
    shape = numpy_helper.to_array(tensor)
    if len(shape) and shape[0] == 1:
        node.input[1] = _add(graph, f"{node.name}_shape_{BATCH}", np.array([0, *shape[1:]], np.int64))


def _free_resize(node: onnx.NodeProto, shapes: dict, constants: dict, graph: onnx.GraphProto) -> None:
    """A size, which names the number of pictures, becomes the scales that give it."""
    if len(node.input) < 4 or node.input[3] not in constants or node.input[0] not in shapes:
        return
    sizes, before = numpy_helper.to_array(constants[node.input[3]]), shapes[node.input[0]]
    scales = (sizes / np.array(before)).astype(np.float32)
    # Scales that a float does not hold would give another size.
    if len(before) == len(sizes) and np.array_equal(np.floor(scales * np.float32(before)), sizes):
        node.input[2] = _add(graph, f"{node.name}_scales_{BATCH}", scales)
        del node.input[3]


def _add(graph: onnx.GraphProto, name: str, array: np.ndarray) -> str:
    graph.initializer.append(numpy_helper.from_array(array, name))
    return name
