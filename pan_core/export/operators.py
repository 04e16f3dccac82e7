"""Operators of each runtime: a network with another operator is refused here, not on the device."""

from collections.abc import Iterable, Mapping

# From docs/operators.md of onnx-tensorrt for TensorRT 8.4, the oldest at hand, without operators that may be newer than 8.2.
# That document lists Reciprocal as missing, but the parser's source has had it since TensorRT 4.
TENSORRT_8_2 = frozenset({
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "AveragePool",
    "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "ConvTranspose", "Cos", "Cosh", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout", "Einsum", "Elu",
    "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm",
    "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GRU", "HardSigmoid",
    "Identity", "If", "ImageScaler", "InstanceNormalization", "LRN", "LSTM", "LeakyRelu", "Less", "LessOrEqual",
    "Log", "LogSoftmax", "Loop", "LpNormalization", "LpPool", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mul",
    "Neg", "Not", "Or", "PRelu", "Pad", "ParametricSoftplus", "Pow", "QuantizeLinear", "RNN", "RandomUniform",
    "RandomUniformLike", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape",
    "Resize", "ScaledTanh", "Scan", "ScatterElements", "ScatterND", "Selu", "Shape", "Sigmoid", "Sin", "Sinh",
    "Size", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tan", "Tanh", "ThresholdedRelu", "Tile", "TopK", "Transpose", "Unsqueeze", "Upsample", "Where",
})  # fmt: skip
OPERATORS: Mapping[str, frozenset[str] | None] = {"tensorrt": TENSORRT_8_2, "onnxruntime": None, "ncnn": None}
"""By runtime; None for a runtime that runs on this machine: it refuses unknown operators when it reads the file."""


def missing_operators(operators: Iterable[str], runtime: str) -> list[str]:
    """Operators that a runtime lacks, sorted."""
    known = OPERATORS[runtime]
    return [] if known is None else sorted(set(operators) - known)
