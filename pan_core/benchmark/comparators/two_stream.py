"""Two streams, pictures and optical flow, each a GoogLeNet and LSTMs over its frames (Ng et al., CVPR 2015: "Beyond short snippets").

Five layers of 512 memory cells read the features of each frame; every frame gives a prediction, which counts the more the later it is, in
training and test (section 3.2). The streams' probabilities are averaged. Flow is an image of 8 bits whose third channel is empty. Optical
flow is that of DIS (Kroeger et al., ECCV 2016) instead of TV-L1, and GoogLeNet is torchvision's, which normalises its batches.

Shapes: B clips, T frames, S side, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pan_core.benchmark.picture_clips import View
from pan_core.benchmark.picture_networks import PictureRecipe, import_models

BACKBONE = "googlenet"
HEADS = ("fc.", "aux1.", "aux2.")
RECIPE = PictureRecipe(
    View(frames=30, size=224, short_side=256, spread=True, flow=True),
    epochs=30, batch=8, learning_rate=1e-3, weight_decay=5e-4,
)  # fmt: skip
FEATURES, CELLS, LAYERS = 1024, 512, 5


class Stream(nn.Module):
    """One of the streams.

    Args:
        classes: Number of classes, K.
        cells: Memory cells of each LSTM.
        layers: LSTMs on top of each other.
    """

    def __init__(self, *, classes: int, cells: int, layers: int) -> None:
        super().__init__()
        self.vision = import_models().googlenet(
            weights=None, aux_logits=False, transform_input=False, init_weights=False
        )
        self.vision.fc = nn.Identity()
        self.memory = nn.LSTM(FEATURES, cells, num_layers=layers, batch_first=True)
        self.head = nn.Linear(cells, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, T, K) of pictures (B, 3, T, S, S), 0 to 255."""
        batch, _, frames, *_ = pictures.shape
        features = self.vision(pictures.transpose(1, 2).flatten(0, 1) / 127.5 - 1)
        return self.head(self.memory(features.view(batch, frames, -1))[0])


class TwoStreamLSTM(nn.Module):
    """Both streams.

    Args:
        classes: Number of classes, K.
        cells: Memory cells of each LSTM.
        layers: LSTMs on top of each other.
    """

    def __init__(self, *, classes: int, cells: int = CELLS, layers: int = LAYERS) -> None:
        super().__init__()
        self.spatial, self.temporal = (Stream(classes=classes, cells=cells, layers=layers) for _ in range(2))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, K) of each stream for pictures and flow (B, 6, T, S, S), 0 to 255."""
        return self.spatial(pictures[:, :3]), self.temporal(pictures[:, 3:])

    def loss(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the streams' cross entropies, and scores (B, K)."""
        logits = self(pictures)
        losses = [
            functional.cross_entropy(own.flatten(0, 1), labels.repeat_interleave(own.shape[1]), reduction="none")
            for own in logits
        ]
        gains = weigh_frames(logits[0]).repeat(len(labels))
        return torch.stack([(loss * gains).sum() for loss in losses]).sum() / len(labels), _fuse(*logits).detach()

    def score(self, pictures: Tensor) -> Tensor:
        """Probabilities (B, K)."""
        return _fuse(*self(pictures))


def weigh_frames(logits: Tensor) -> Tensor:
    """Weight of each frame, (T,): rises in equal steps, its sum is 1."""
    gains = torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=torch.float32)
    return gains / gains.sum()


def _fuse(*logits: Tensor) -> Tensor:
    means = [torch.einsum("btk,t->bk", own.float().softmax(dim=-1), weigh_frames(own)) for own in logits]
    return torch.stack(means).mean(dim=0)


def build(classes: int) -> TwoStreamLSTM:
    """The network at its published widths."""
    return TwoStreamLSTM(classes=classes)


def backbones(network: TwoStreamLSTM) -> list[nn.Module]:
    """What begins from weights that were learnt elsewhere."""
    return [network.spatial.vision, network.temporal.vision]
