"""ST-GCN: spatial temporal graph convolutions (Yan, Xiong and Lin, AAAI 2018), spatial configuration partitioning.

Nine blocks of 64, 128 and 256 channels; a temporal kernel of 9 frames; the first block of each width but the narrowest
halves the frames. The network looks at whole clips, so it has no online mode.

Shapes: B clips, T frames, V joints, D joint features, C channels, P partitions, K classes, A atomic actions.
"""

import numpy as np
import torch
from torch import Tensor, nn

from pan_core.model.pan import PanOutput, PanSettings
from pan_core.skeletons import SkeletonLayout
from pan_core.training.samples import Samples

PLACES = 2
"""The first two features of a joint: its place relative to the clip's reference, in body sizes."""

WIDTHS = (64, 64, 64, 128, 128, 128, 256, 256, 256)
KERNEL = 9
DROPOUT = 0.5


def partitions(layout: SkeletonLayout) -> np.ndarray:
    """Neighbours of each joint in three groups: as far from the body's root as it, nearer, and farther (section 3.3).

    Returns:
        Shape (3, V, V), float32: how much joint j (column) adds to joint i (row). The rows of all groups together
        sum to 1, the joint itself belonging to the first group.
    """
    linked = layout.adjacency() + np.eye(layout.size, dtype=np.float32)
    away = _measure_distances(linked > 0, layout.root)
    weights = linked / linked.sum(axis=1, keepdims=True)
    step = np.sign(away[None, :] - away[:, None])
    return np.stack([np.where(step == sign, weights, 0) for sign in (0, -1, 1)]).astype(np.float32)


def _measure_distances(linked: np.ndarray, root: tuple[int, ...]) -> np.ndarray:
    """Bones between each joint and the nearest root joint, (V,); V where no bones lead there."""
    reached = np.isin(np.arange(len(linked)), root)
    away = np.where(reached, 0, len(linked))
    for distance in range(1, len(linked)):
        new = linked[:, reached].any(axis=1) & ~reached
        away[new] = distance
        reached |= new
    return away


class Block(nn.Module):
    """A graph convolution over joints, a convolution over frames, and a shortcut around both.

    Args:
        graph: Partitioned neighbours, (P, V, V).
        inputs: Channels in.
        outputs: Channels out.
        stride: Frames per frame of the output.
        shortcut: Whether the input is added to the output.
    """

    def __init__(self, *, graph: Tensor, inputs: int, outputs: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.register_buffer("graph", graph, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(graph))
        self.spread = nn.Conv2d(inputs, len(graph) * outputs, 1)
        self.over_frames = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (KERNEL, 1), (stride, 1), ((KERNEL - 1) // 2, 0)),
            nn.BatchNorm2d(outputs),
            nn.Dropout(DROPOUT),
        )
        self.around: nn.Module | None = None
        if shortcut:
            same = inputs == outputs and stride == 1
            self.around = (
                nn.Identity()
                if same
                else nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))
            )

    def forward(self, values: Tensor) -> Tensor:
        """Run over clips, (B, inputs, T, V) -> (B, outputs, T / stride, V)."""
        batch, _, frames, joints = values.shape
        graph = self.get_buffer("graph") * self.importance
        spread = self.spread(values).view(batch, len(graph), -1, frames, joints)
        gathered = torch.einsum("bpctj,pij->bcti", spread, graph).contiguous()
        result = self.over_frames(gathered)
        return torch.relu(result if self.around is None else result + self.around(values))


class STGCN(nn.Module):
    """The network, with PAN's interface.

    Args:
        layout: Skeleton layout.
        classes: Number of clip classes, K.
        actions: Number of atomic actions, A; it says nothing of them.
    """

    def __init__(self, *, layout: SkeletonLayout, classes: int, actions: int) -> None:
        super().__init__()
        self.joints, self.classes, self.actions = layout.size, classes, actions
        graph = torch.from_numpy(partitions(layout))
        self.normalise = nn.BatchNorm1d(layout.size * PLACES)
        widths = (PLACES, *WIDTHS)
        self.blocks = nn.Sequential(
            *(
                Block(graph=graph, inputs=inputs, outputs=outputs, stride=2 if number > 0 and outputs > inputs else 1,
                      shortcut=number > 0)
                for number, (inputs, outputs) in enumerate(zip(widths, WIDTHS, strict=False))
            )
        )  # fmt: skip
        self.head = nn.Linear(WIDTHS[-1], classes)

    def start(self, batch: int) -> None:
        """It remembers nothing of earlier frames."""

    def forward(self, features: Tensor, *, mask: Tensor | None = None, state: None = None) -> PanOutput:
        """Run over whole clips of one length, (B, T, V, D); every frame gets the logits of its clip.

        Raises:
            ValueError: Where a clip is shorter than the others, as in online mode.
        """
        if mask is not None and not mask.all():
            raise ValueError("Expected clips of one length, as in clip mode, but some end before the others")
        batch, frames, joints, _ = features.shape
        places = features[..., :PLACES].permute(0, 2, 3, 1).reshape(batch, joints * PLACES, frames)
        places = self.normalise(places).view(batch, joints, PLACES, frames).permute(0, 2, 3, 1)
        pooled = self.blocks(places.contiguous()).mean(dim=(2, 3))
        return PanOutput(
            logits=self.head(pooled).unsqueeze(1).expand(-1, frames, -1),
            action_logits=features.new_zeros(batch, frames, self.actions),
            joints_attention=features.new_full((batch, frames, joints), 1 / joints),
            pose_scores=features.new_zeros(batch, frames, 1),
            state=None,  # type: ignore[arg-type]
        )


def build(samples: Samples, settings: PanSettings) -> STGCN:
    """The network at its published widths, whatever PAN's are."""
    return STGCN(layout=samples.layout, classes=len(samples.classes), actions=len(samples.actions))
