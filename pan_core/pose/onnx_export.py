"""Pose network as ONNX, rearranged so that it runs nearly twice as fast with the same result.

Two rearrangements, both exact but for rounding. A convolution that reads [L, S, features] is linear, so it is the
sum of one over the features and one over the maps; 864 and 64 (padded from 57) channels fill a processor's vector
registers, 921 do not. And a 1x1 depthwise convolution only scales channels, so it is folded into the pointwise
convolution behind it.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pan_core.files import atomic_path
from pan_core.pose.maps import AFFINITY_MAPS, CONFIDENCE_MAPS, INPUT_NAME, MAP_CHANNELS, stage_output
from pan_core.pose.network import PoseNetwork, PoseStage, SeparableConv

# TensorRT 8.2, the last one on a Jetson Nano, reads no newer opset.
OPSET = 13
PADDED_CHANNELS = 64


class DeployedBranch(nn.Module):
    """A branch of a stage in deployment form.

    Args:
        branch: The trained branch.
        first: Whether it belongs to stage 1 and reads the features alone.
        outputs: Channels written; those past the trained ones are zero.
    """

    def __init__(self, branch: nn.Sequential, *, first: bool, outputs: int) -> None:
        super().__init__()
        layers = [layer for layer in branch if isinstance(layer, SeparableConv)]
        entry = layers[0]
        maps = 0 if first else MAP_CHANNELS
        depthwise, pointwise = entry.depthwise.weight, entry.pointwise.weight
        self.from_features = _make_separable(depthwise[maps:], pointwise[:, maps:], entry.pointwise.bias)
        self.from_maps = None
        if not first:
            padding = PADDED_CHANNELS - MAP_CHANNELS
            self.from_maps = _make_separable(
                functional.pad(depthwise[:maps], (0, 0, 0, 0, 0, 0, 0, padding)),
                functional.pad(pointwise[:, :maps], (0, 0, 0, 0, 0, padding)),
                None,
            )
        self.middle = nn.Sequential(layers[1], layers[2])
        self.fourth = _fold(layers[3], outputs=layers[3].pointwise.out_channels)
        self.fifth = _fold(layers[4], outputs=outputs)

    def forward(self, features: Tensor, maps: Tensor | None) -> Tensor:
        """Features (B, 864, h, w) and padded maps (B, 64, h, w) -> (B, outputs, h, w)."""
        hidden = self.from_features(features)
        if self.from_maps is not None:
            hidden = hidden + self.from_maps(maps)
        hidden = functional.relu(self.fourth(self.middle(functional.relu(hidden))))
        return self.fifth(hidden)


class DeployedNetwork(nn.Module):
    """The trained network in deployment form; returns per stage S and L joined, (B, 57, h, w).

    Args:
        network: Network with its weights.
    """

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.affinity = nn.ModuleList()
        self.confidence = nn.ModuleList()
        padded = PADDED_CHANNELS - AFFINITY_MAPS
        for number, stage in enumerate(network.stages):
            assert isinstance(stage, PoseStage)
            self.affinity.append(DeployedBranch(stage.affinity, first=number == 0, outputs=AFFINITY_MAPS))
            self.confidence.append(DeployedBranch(stage.confidence, first=number == 0, outputs=padded))

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W), BGR 0..255 -> per stage [S 19, L 38] as (B, 57, H / 8, W / 8)."""
        features = self.backbone(images)
        maps, outputs = None, []
        for affinity_branch, confidence_branch in zip(self.affinity, self.confidence, strict=True):
            affinity, confidence = affinity_branch(features, maps), confidence_branch(features, maps)
            maps = torch.cat([affinity, confidence], dim=1)
            outputs.append(torch.cat([confidence[:, :CONFIDENCE_MAPS], affinity], dim=1))
        return outputs


def export_network(network: PoseNetwork, path: Path) -> None:
    """Write the network as one ONNX file with dynamic batch, height and width.

    The input `images` is (B, 3, H, W) float32, BGR 0..255, sides multiples of 8. The outputs `stage1`, `stage2`, ...
    are (B, 57, H / 8, W / 8), S before L. `pan_core.pose.inference` cuts the file after the stage it needs.

    Args:
        network: Trained network.
        path: Target; it appears whole or not at all.
    """
    names = [stage_output(number) for number in range(1, len(network.stages) + 1)]
    axes = {name: {0: "batch", 2: f"{name}_h", 3: f"{name}_w"} for name in names}
    axes[INPUT_NAME] = {0: "batch", 2: "height", 3: "width"}
    with atomic_path(path) as partial, torch.no_grad(), warnings.catch_warnings():
        # The newer exporter starts at opset 18, so this one is needed although it announces its retirement.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            DeployedNetwork(network).eval(),
            (torch.zeros(1, 3, 64, 64),),
            str(partial),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=names,
            dynamic_axes=axes,
        )


def _make_separable(depthwise: Tensor, pointwise: Tensor, bias: Tensor | None) -> nn.Sequential:
    channels = depthwise.shape[0]
    first = nn.Conv2d(channels, channels, depthwise.shape[-1], padding=1, groups=channels, bias=False)
    second = nn.Conv2d(channels, pointwise.shape[0], 1, bias=bias is not None)
    first.weight = nn.Parameter(depthwise.detach().clone(), requires_grad=False)
    second.weight = nn.Parameter(pointwise.detach().clone(), requires_grad=False)
    if bias is not None:
        second.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return nn.Sequential(first, second)


def _fold(layer: SeparableConv, *, outputs: int) -> nn.Conv2d:
    assert layer.depthwise.kernel_size == (1, 1)
    weight = layer.pointwise.weight * layer.depthwise.weight.reshape(1, -1, 1, 1)
    assert layer.pointwise.bias is not None
    extra = outputs - weight.shape[0]
    folded = nn.Conv2d(weight.shape[1], outputs, 1)
    folded.weight = nn.Parameter(functional.pad(weight.detach(), (0, 0, 0, 0, 0, 0, 0, extra)), requires_grad=False)
    folded.bias = nn.Parameter(functional.pad(layer.pointwise.bias.detach(), (0, extra)), requires_grad=False)
    return folded
