"""Actions as transformations of what is before into what is after (Wang, Farhadi and Gupta, CVPR 2016), on VGG-16.

The frames up to z_p are the precondition, those from z_e on the effect. VGG-16's features of the frames of each are averaged and embedded;
an action is a matrix that turns the precondition's embedding into the effect's. The loss is the cosine distance under the true action's
matrix, and for each other action what its distance lacks to a margin (section 4). z_p lies between a third
and half of the clip, z_e between half and two thirds, and both are found by trying all. This is the stream of pictures; the paper adds one of optical flow, and
trains VGG-16 on single frames first, where `--picture-weights vgg16=imagenet` begins with ImageNet.

Shapes: B clips, T frames, S side, E embedding, K classes, Z pairs of z_p and z_e.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pan_core.benchmark.picture_clips import View
from pan_core.benchmark.picture_networks import PictureRecipe, import_models

BACKBONE = "vgg16"
HEADS = ("classifier.6.",)
RECIPE = PictureRecipe(
    View(frames=25, size=224, short_side=256, spread=True), epochs=20, batch=4, learning_rate=1e-3, weight_decay=5e-4
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FEATURES, EMBEDDING = 4096, 512
MARGIN = 0.5


class Transformations(nn.Module):
    """The network.

    Args:
        classes: Number of classes, K.
        vision: Network of single pictures, (N, 3, S, S) -> (N, F); VGG-16 without its last layer if left out.
        features: Its features, F.
        embedding: Length of an embedding, E.
    """

    def __init__(
        self, *, classes: int, vision: Any = None, features: int = FEATURES, embedding: int = EMBEDDING
    ) -> None:
        super().__init__()
        self.vision = vision or cut_vgg16()
        self.before = nn.Linear(features, embedding)
        self.after = nn.Linear(features, embedding)
        # Close to doing nothing, so that an action begins as no change.
        noise = torch.randn(classes, embedding, embedding) / embedding
        self.actions = nn.Parameter(torch.eye(embedding).expand(classes, -1, -1) + noise)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Cosine distances (B, K) of pictures (B, 3, T, S, S), 0 to 255: each action's at its best z_p and z_e."""
        batch, _, frames, *_ = pictures.shape
        flat = (pictures.transpose(1, 2).flatten(0, 1) / 255 - self.get_buffer("mean")) / self.get_buffer("deviation")
        features = self.vision(flat).view(batch, frames, -1)
        pairs = latent_pairs(frames)
        before = torch.stack([self.before(features[:, :first].mean(dim=1)) for first, _ in pairs], dim=1)
        after = torch.stack([self.after(features[:, second:].mean(dim=1)) for _, second in pairs], dim=1)
        changed = torch.einsum("kij,bzj->bkzi", self.actions, before)
        distances = 1 - functional.cosine_similarity(changed.float(), after[:, None].float(), dim=-1)
        return distances.amin(dim=-1)

    def loss(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Distance under the true action and the others' lacks to the margin, mean over clips; and scores (B, K)."""
        distances = self(pictures)
        own = distances.gather(1, labels[:, None])
        lacking = (MARGIN - distances).clamp_min(0).scatter(1, labels[:, None], 0)
        return (own.sum() + lacking.sum()) / len(labels), -distances.detach()

    def score(self, pictures: Tensor) -> Tensor:
        """Scores (B, K): the smallest distance has the largest."""
        return -self(pictures)


def latent_pairs(frames: int) -> list[tuple[int, int]]:
    """Pairs of the precondition's end z_p, from T/3 to T/2, and the effect's start z_e, from T/2 to 2T/3; at least one frame on each side."""
    first = range(max(1, -(-frames // 3)), max(1, frames // 2) + 1)
    second = range(-(-frames // 2), 2 * frames // 3 + 1)
    return [(p, min(e, frames - 1)) for p, e in product(first, second)]


def cut_vgg16() -> nn.Module:
    """VGG-16 up to fc7."""
    network = import_models().vgg16(weights=None)
    del network.classifier[6]
    return network


def build(classes: int) -> Transformations:
    """The network at its published widths."""
    return Transformations(classes=classes)


def backbones(network: Transformations) -> list[nn.Module]:
    """What begins from weights that were learnt elsewhere."""
    return [network.vision]
