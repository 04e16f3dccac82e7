"""Write the two networks of a device for its runtime: the recognizer's step, and the pose network up to the stages in use."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from pan_core.export.ncnn_file import write_ncnn
from pan_core.export.onnx_file import check_operators, save_checked, write_onnx
from pan_core.export.targets import Target
from pan_core.files import read_json, write_json
from pan_core.model.streaming import STATE_NAMES, STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.pose.maps import INPUT_NAME, stage_output
from pan_core.pose.network import PoseNetwork
from pan_core.pose.onnx_cut import cut_after
from pan_core.pose.onnx_export import OPSET, DeployedNetwork
from pan_core.runtimes.session import SUFFIXES

SEARCH_SIZE = (368, 432)
"""Height and width of a whole frame: an example of another size than a crop's."""


@dataclass(frozen=True)
class Artifacts:
    """Written networks of a target.

    Attributes:
        step: File of the recognizer.
        pose: File of the pose network.
        operators: Operators or layers of both, sorted.
    """

    step: Path
    pose: Path
    operators: tuple[str, ...]


class PoseStages(nn.Module):
    """Pose network in deployment form that returns the maps of some of its stages.

    Args:
        network: The trained network.
        stages: Numbers of the stages, from 1.
    """

    def __init__(self, network: PoseNetwork, stages: Sequence[int]) -> None:
        super().__init__()
        self.network = DeployedNetwork(network)
        self.stages = tuple(stages)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> per stage (B, 57, H / 8, W / 8)."""
        maps = self.network(images)
        return tuple(maps[stage - 1] for stage in self.stages)


def write_artifacts(
    folder: Path,
    target: Target,
    *,
    step: StepModel,
    description: Mapping[str, object],
    pose: PoseNetwork,
    pose_onnx: Path,
    stages: tuple[int, int],
    crop_size: int,
) -> Artifacts:
    """Write both networks for a target's runtime.

    Args:
        folder: Folder to write.
        target: The device.
        step: The trained recognizer of online mode.
        description: Its labels, skeleton layout and rate, for `step.json`.
        pose: The trained pose network.
        pose_onnx: The pose network as an ONNX file with all of its stages.
        stages: Stage for crops of people, and stage for whole frames.
        crop_size: Side of a crop at the pose network's input.

    Raises:
        GateError: If a written file cannot run on the target's runtime.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = dict(description) | step_description(step)
    if target.runtime == "ncnn":
        operators = write_ncnn(
            step, step.example(), folder / "step.param", inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, precision="fp32",
            description=description,
        )  # fmt: skip
        operators += _write_ncnn_pose(folder, target, pose, stages, crop_size)
    else:
        operators = _write_onnx_step(folder, target, step, description)
        operators += _write_onnx_pose(folder, target, pose_onnx, stages)
    # A Jetson builds its engine from the ONNX file, so the ONNX file is compared here.
    suffix = SUFFIXES["ncnn" if target.runtime == "ncnn" else "onnxruntime"]
    return Artifacts(folder / f"step{suffix}", folder / f"pose{suffix}", tuple(sorted(set(operators))))


def _write_ncnn_pose(
    folder: Path, target: Target, pose: PoseNetwork, stages: tuple[int, int], crop_size: int
) -> list[str]:
    numbers = sorted(set(stages))
    return write_ncnn(
        PoseStages(pose, numbers), (torch.zeros(1, 3, crop_size, crop_size),), folder / "pose.param", inputs=[INPUT_NAME],
        outputs=[stage_output(stage) for stage in numbers], precision=target.precision,
        other=(torch.zeros(1, 3, *SEARCH_SIZE),),
    )  # fmt: skip


def _write_onnx_step(folder: Path, target: Target, step: StepModel, description: Mapping[str, object]) -> list[str]:
    path = folder / "step.onnx"
    write_onnx(step, step.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=target.opset)
    write_json(path.with_suffix(".json"), {"runtime": target.runtime, "precision": "fp32", **description})
    return check_operators(path, opset=target.opset, runtime=target.runtime)


def _write_onnx_pose(folder: Path, target: Target, pose_onnx: Path, stages: tuple[int, int]) -> list[str]:
    look, search = stages
    # One file for each stage: ONNX Runtime and TensorRT calculate all outputs of a file, even if only one is wanted.
    files = {"pose.onnx": look} | ({"pose_search.onnx": search} if search != look else {})
    operators = []
    for name, stage in files.items():
        # Every runtime that reads ONNX reads opset 13.
        save_checked(cut_after(pose_onnx, [stage_output(stage)]), folder / name, opset=OPSET)
        operators += check_operators(folder / name, opset=OPSET, runtime=target.runtime)
    write_json(folder / "pose.json", {"runtime": target.runtime, "precision": target.precision})
    return operators


def structure(folder: Path) -> str:
    """Hash of both networks without the values of their weights: networks with the same hash are equally fast."""
    pose = read_json(folder / "pose.json")
    digest = hashlib.sha256(repr((pose["runtime"], pose["precision"])).encode())
    for path in sorted(folder.iterdir()):
        if path.suffix == SUFFIXES["ncnn"]:
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
