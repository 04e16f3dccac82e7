"""Weights of an ONNX model in 16 bits, which halves the file; it calculates with 32 as before."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pan_core.errors import DataError

# Smaller arrays stay as they are: halving them saves nothing.
LEAST_HALVED = 256


def halve_weights(graph: onnx.GraphProto, *, exact: bool = True) -> None:
    """Store the weights in 16 bits, with a cast that every runtime does once; in place.

    Args:
        graph: Of a model with weights of 32 bits.
        exact: Whether the weights must have been published in 16 bits, so that nothing is rounded.

    Raises:
        DataError: If a weight would be rounded although it must not be, or is too large for 16 bits.
    """
    kept, casts = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < LEAST_HALVED:
            kept.append(tensor)
            continue
        name = f"{tensor.name}_16"
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.isfinite(half).all() or (exact and not np.array_equal(half.astype(np.float32), array)):
            raise DataError(f"{tensor.name}: weights that 16 bits do not hold", code="pretrained.weights")
        kept.append(numpy_helper.from_array(half, name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    for field, items in ((graph.initializer, kept), (graph.node, nodes)):
        del field[:]
        field.extend(items)
