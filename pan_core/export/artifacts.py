"""Write the networks of a device for its runtime: the recognizer's step, and those that find people."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from pan_core.errors import GateError
from pan_core.export.ncnn_file import write_ncnn, write_ncnn_network
from pan_core.export.onnx_file import check_operators, save_checked, write_onnx
from pan_core.export.onnx_rewriting import fold_casts, require_floats
from pan_core.export.pose_networks import DECLARATION, ONNX, POSE, copy_declaration, input_shape
from pan_core.export.targets import TENSORRT_OPSET, Target
from pan_core.files import read_json, write_json
from pan_core.model.streaming import STATE_NAMES, STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.runtimes.session import SUFFIXES

NEWER_ATTRIBUTES = ("allowzero", "start")
"""Attributes that later opsets gave to operators; 0 is what the operators did before."""
SEARCH_SIZE = (368, 432)
"""Height and width of a whole frame: an example of another size than a crop's."""


@dataclass(frozen=True)
class Artifacts:
    """Written networks of a target.

    Attributes:
        step: File of the recognizer.
        pose: Files of the networks that find people, by name.
        operators: Operators or layers of all, sorted.
    """

    step: Path
    pose: Mapping[str, Path]
    operators: tuple[str, ...]


def write_artifacts(
    folder: Path,
    target: Target,
    *,
    step: StepModel,
    description: Mapping[str, object],
    networks: Path,
    crop_size: int,
) -> Artifacts:
    """Write all networks for a target's runtime.

    Args:
        folder: Folder to write.
        target: The device.
        step: The trained recognizer of online mode.
        description: Its labels, skeleton layout and rate, for `step.json`.
        networks: Folder of the networks that find people (`pan_core.export.pose_networks`).
        crop_size: Side of a crop at the input of the project's own network.

    Raises:
        GateError: If a network cannot run on the target's runtime.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = dict(description) | step_description(step)
    # A Jetson builds its engine from the ONNX file, so the ONNX file is compared here.
    suffix = file_suffix(target)
    if target.runtime == "ncnn":
        operators = write_ncnn(
            step, step.example(), folder / "step.param", inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, description=description
        )  # fmt: skip
    else:
        operators = _write_onnx_step(folder, target, step, description)
    pose = {path.stem: folder / f"{path.stem}{suffix}" for path in sorted(networks.glob(f"*{ONNX}"))}
    for name, path in pose.items():
        source = networks / f"{name}{ONNX}"
        if target.runtime == "ncnn":
            operators += _write_ncnn_network(source, path, target, crop_size)
        else:
            operators += _write_onnx_network(source, path, target)
    copy_declaration(networks, folder, suffix)
    return Artifacts(folder / f"step{suffix}", pose, tuple(sorted(set(operators))))


def file_suffix(target: Target) -> str:
    """Suffix of a target's networks as they are exported."""
    return SUFFIXES["ncnn"] if target.runtime == "ncnn" else ONNX


def _write_ncnn_network(source: Path, path: Path, target: Target, crop_size: int) -> list[str]:
    network = fold_casts(onnx.load(source))
    require_floats(network, source.name)
    # The project's own network takes pictures of any size.
    shapes = [input_shape(source)] if all(input_shape(source)) else [(1, 3, crop_size, crop_size), (1, 3, *SEARCH_SIZE)]
    return write_ncnn_network(network, path, shapes=shapes, precision=target.precision)


def _write_onnx_network(source: Path, path: Path, target: Target) -> list[str]:
    network = onnx.load(source)
    if target.runtime == "tensorrt":
        network = fold_casts(network)
        require_floats(network, source.name)
        if _opset(network) > TENSORRT_OPSET:
            network = _lower_opset(network, source)
    write_json(path.with_suffix(".json"), {"runtime": target.runtime, "precision": target.precision})
    return save_checked(network.SerializeToString(), path, opset=_opset(network), runtime=target.runtime)


def _opset(network: onnx.ModelProto) -> int:
    return next(one.version for one in network.opset_import if one.domain in ("", "ai.onnx"))


def _lower_opset(network: onnx.ModelProto, source: Path) -> onnx.ModelProto:
    """The network as one of TensorRT's newest opset, in which most operators mean the same; the comparison shows if they do."""
    opset = _opset(network)
    for node in network.graph.node:
        default = [each for each in node.attribute if each.name in NEWER_ATTRIBUTES and not each.i]
        for attribute in default:
            node.attribute.remove(attribute)
    lowered = onnx.helper.make_model(network.graph, opset_imports=[onnx.helper.make_opsetid("", TENSORRT_OPSET)])
    try:
        onnx.checker.check_model(lowered)
    except onnx.checker.ValidationError as error:
        raise GateError(
            f"{source.name}: has opset {opset}, TensorRT 8.2 reads {TENSORRT_OPSET} at most, and not all of it is in that ({error}); export "
            f"the model with opset {TENSORRT_OPSET}",
            code="onnx.opset",
        ) from error
    return lowered


def _write_onnx_step(folder: Path, target: Target, step: StepModel, description: Mapping[str, object]) -> list[str]:
    path = folder / "step.onnx"
    write_onnx(step, step.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=target.opset)
    write_json(path.with_suffix(".json"), {"runtime": target.runtime, "precision": "fp32", **description})
    return check_operators(path, opset=target.opset, runtime=target.runtime)


def structure(folder: Path) -> str:
    """Hash of all networks without the values of their weights: networks with the same hash are equally fast."""
    pose = read_json(folder / f"{POSE}.json")
    digest = hashlib.sha256(repr((pose["runtime"], pose["precision"])).encode())
    for path in sorted(folder.iterdir()):
        if path.suffix == SUFFIXES["ncnn"] or path.name == DECLARATION:
            digest.update(path.read_bytes())
        elif path.suffix == SUFFIXES["onnxruntime"]:
            graph = onnx.load(path).graph
            nodes = [
                (node.op_type, *node.input, *node.output, *sorted(_describe_attribute(each) for each in node.attribute))
                for node in graph.node
            ]
            sizes = [(weights.name, weights.data_type, *weights.dims) for weights in graph.initializer]
            digest.update(repr((nodes, sizes)).encode())
    return digest.hexdigest()


def _describe_attribute(attribute: onnx.AttributeProto) -> str:
    """An attribute of a node, such as its strides; for an attribute that holds weights, only their type and size."""
    weights = attribute.t
    if attribute.type == onnx.AttributeProto.TENSOR and weights.data_type == onnx.TensorProto.FLOAT:
        return repr((attribute.name, weights.data_type, *weights.dims))
    return repr((attribute.name, attribute.SerializeToString(deterministic=True)))


def step_description(step: StepModel) -> dict[str, object]:
    """Shapes of the inputs without the batch, and the state before the first frame."""
    inputs = dict(zip(STEP_INPUTS, step.example(), strict=True))
    return {
        "shapes": {name: list(tensor.shape[1:]) for name, tensor in inputs.items()},
        "start": {name: float(inputs[name].flatten()[0]) for name in STATE_NAMES},
    }
