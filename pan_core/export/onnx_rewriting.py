"""Rewrite an ONNX network for runtimes that read less of ONNX than ONNX Runtime does."""

import onnx
from onnx import numpy_helper

from pan_core.errors import GateError


def fold_casts(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network with weights in the precision that they are cast to: pnnx and TensorRT 8.2 need those of a convolution as such."""
    graph = network.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            wanted = onnx.helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
            values = numpy_helper.to_array(weights[node.input[0]]).astype(wanted)
            weights[node.output[0]] = numpy_helper.from_array(values, node.output[0])
        else:
            kept.append(node)
    read = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    folded = onnx.helper.make_graph(
        kept, graph.name, graph.input, graph.output, [tensor for name, tensor in weights.items() if name in read]
    )
    return onnx.helper.make_model(folded, opset_imports=network.opset_import, ir_version=network.ir_version)


def take_floats(network: onnx.ModelProto) -> bool:
    """Give a network's picture the type of 32-bit floats if all that reads it casts it to them; returns if it has that type now."""
    picture = network.graph.input[0]
    readers = [node for node in network.graph.node if picture.name in node.input]
    if all(node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT for node in readers):
        picture.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return picture.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def require_floats(network: onnx.ModelProto, name: str) -> None:
    """Refuse a network that takes other numbers than floats, the only ones that ncnn and our process of TensorRT are given.

    Args:
        network: The network.
        name: Its file, for the message.

    Raises:
        GateError: If it does.
    """
    picture = network.graph.input[0]
    if picture.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise GateError(
            f"{name}: calculates with whole numbers from its input {picture.name!r} on, which devices cannot; export the model with an input "
            "of type float32 and declare `dtype: float32`",
            code="pose-model.whole-numbers",
        )
