"""C3D: convolutions over 16 neighbouring frames (Tran et al., ICCV 2015), section 3.3.

Eight convolutions of 3 x 3 x 3, five poolings, two layers of 4,096 units and softmax. The published figure on UCF101 is that of a linear
SVM on fc6 of a network that learnt Sports-1M; here the network itself is trained to the end. Layers bear the published names, so that
weights learnt on Sports-1M (`--picture-weights c3d=FILE`) can be loaded.

Shapes: B clips, T frames, S side, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pan_core.benchmark.picture_clips import View
from pan_core.benchmark.picture_networks import PictureRecipe

BACKBONE = "c3d"
HEADS = ("fc8.",)
RECIPE = PictureRecipe(
    View(frames=16, size=112, short_side=128, spread=False, windows=10),
    epochs=16, batch=30, learning_rate=3e-3, weight_decay=5e-4,
)  # fmt: skip
MEAN = (104.0, 117.0, 128.0)
CHANNELS, UNITS = (64, 128, 256, 512, 512), 4096


class C3D(nn.Module):
    """The network.

    Args:
        classes: Number of classes, K.
        size: Side of the pictures, S.
        channels: Of the five groups of convolutions.
        units: Of fc6 and fc7.
    """

    def __init__(
        self, *, classes: int, size: int = RECIPE.view.size, channels: tuple[int, ...] = CHANNELS, units: int = UNITS
    ) -> None:
        super().__init__()
        first, second, third, fourth, fifth = channels
        self.conv1 = nn.Conv3d(3, first, 3, padding=1)
        self.conv2 = nn.Conv3d(first, second, 3, padding=1)
        self.conv3a = nn.Conv3d(second, third, 3, padding=1)
        self.conv3b = nn.Conv3d(third, third, 3, padding=1)
        self.conv4a = nn.Conv3d(third, fourth, 3, padding=1)
        self.conv4b = nn.Conv3d(fourth, fourth, 3, padding=1)
        self.conv5a = nn.Conv3d(fourth, fifth, 3, padding=1)
        self.conv5b = nn.Conv3d(fifth, fifth, 3, padding=1)
        side = (size // 16 + 1) // 2
        self.fc6 = nn.Linear(fifth * side * side, units)
        self.fc7 = nn.Linear(units, units)
        self.fc8 = nn.Linear(units, classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, 3, 16, S, S), 0 to 255."""
        values = pictures - self.get_buffer("mean")
        values = functional.max_pool3d(self.conv1(values).relu(), (1, 2, 2))
        values = functional.max_pool3d(self.conv2(values).relu(), 2)
        values = functional.max_pool3d(self.conv3b(self.conv3a(values).relu()).relu(), 2)
        values = functional.max_pool3d(self.conv4b(self.conv4a(values).relu()).relu(), 2)
        # Caffe rounds up: 7 x 7 places become 4 x 4.
        values = functional.max_pool3d(self.conv5b(self.conv5a(values).relu()).relu(), 2, ceil_mode=True)
        values = functional.dropout(self.fc6(values.flatten(1)).relu(), 0.5, self.training)
        values = functional.dropout(self.fc7(values).relu(), 0.5, self.training)
        return self.fc8(values)

    def loss(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy, and scores (B, K)."""
        logits = self(pictures)
        return functional.cross_entropy(logits, labels), logits

    def score(self, pictures: Tensor) -> Tensor:
        """Probabilities (B, K)."""
        return self(pictures).softmax(dim=-1)


def build(classes: int) -> C3D:
    """The network at its published widths."""
    return C3D(classes=classes)


def backbones(network: C3D) -> list[nn.Module]:
    """What begins from weights that were learnt elsewhere."""
    return [network]
