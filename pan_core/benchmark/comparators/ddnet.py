"""DD-Net: distances between joints and motion at two speeds (Yang et al., ACM Multimedia Asia 2019), at its published widths.

The distances of all pairs of joints in each frame are divided by their mean over the clip, as in the authors' code; motion is the
difference to the next frame, of every frame and of every second one. The network looks at whole clips, so it has no online mode. It is
trained by the recipe of the other networks, not by its own.

Shapes: B clips, T frames, V joints, D joint features, C channels, P pairs of joints, K classes, A atomic actions.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pan_core.model.pan import PanOutput, PanSettings
from pan_core.training.samples import Samples

PLACES = 2
"""The first two features of a joint: its place relative to the clip's reference, in body sizes."""

FILTERS = 64
UNITS = 128
SLOPE = 0.2
DROPPED_CHANNELS, DROPPED_UNITS = 0.1, 0.5
SMALLEST = 1e-6


def convolve(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution over frames, (B, inputs, T) -> (B, outputs, T), batch normalisation and a leaky ReLU."""
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(outputs),
        nn.LeakyReLU(SLOPE),
    )


def embed(inputs: int, filters: int, *, halve: bool) -> nn.Sequential:
    """Embedding of one of the three inputs; frames are halved if they are not yet."""
    return nn.Sequential(
        convolve(inputs, 2 * filters, 1), nn.Dropout1d(DROPPED_CHANNELS),
        convolve(2 * filters, filters, 3), nn.Dropout1d(DROPPED_CHANNELS),
        convolve(filters, filters, 1), *([nn.MaxPool1d(2)] if halve else []), nn.Dropout1d(DROPPED_CHANNELS),
    )  # fmt: skip


def stack(inputs: int, outputs: int, *, halve: bool) -> nn.Sequential:
    """Two convolutions over 3 frames."""
    return nn.Sequential(
        convolve(inputs, outputs, 3), convolve(outputs, outputs, 3),
        *([nn.MaxPool1d(2)] if halve else []), nn.Dropout1d(DROPPED_CHANNELS),
    )  # fmt: skip


def motion(places: Tensor) -> Tensor:
    """Differences between neighbouring frames (B, T, C), brought back to as many frames: (B, C, T)."""
    steps = (places[:, 1:] - places[:, :-1]).transpose(1, 2)
    return functional.interpolate(steps, size=places.shape[1], mode="linear", align_corners=False)


class DDNet(nn.Module):
    """The network, with PAN's interface.

    Args:
        joints: Number of joints, V.
        classes: Number of clip classes, K.
        actions: Number of atomic actions, A; it says nothing of them.
        filters: Channels of the embeddings; published are 16, 32 and 64.
    """

    def __init__(self, *, joints: int, classes: int, actions: int, filters: int = FILTERS) -> None:
        super().__init__()
        self.joints, self.classes, self.actions = joints, classes, actions
        self.register_buffer("pairs", torch.triu_indices(joints, joints, offset=1), persistent=False)
        self.distances = embed(joints * (joints - 1) // 2, filters, halve=True)
        self.slow = embed(joints * PLACES, filters, halve=True)
        self.fast = embed(joints * PLACES, filters, halve=False)
        self.over_frames = nn.Sequential(
            stack(3 * filters, 2 * filters, halve=True),
            stack(2 * filters, 4 * filters, halve=True),
            stack(4 * filters, 8 * filters, halve=False),
        )
        units = (8 * filters, UNITS, UNITS)
        self.dense = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(SLOPE),
                    nn.Dropout(DROPPED_UNITS),
                )
                for inputs, outputs in pairwise(units)
            )
        )  # fmt: skip
        self.head = nn.Linear(UNITS, classes)

    def start(self, batch: int) -> None:
        """It remembers nothing of earlier frames."""

    def forward(self, features: Tensor, *, mask: Tensor | None = None, state: None = None) -> PanOutput:
        """Run over whole clips of one length, (B, T, V, D), T divisible by 8; every frame gets the logits of its clip.

        Raises:
            ValueError: If a clip is shorter than the others, as in online mode.
        """
        if mask is not None and not mask.all():
            raise ValueError("Expected clips of one length, as in clip mode, but some end before the others")
        batch, frames, joints, _ = features.shape
        places = features[..., :PLACES]
        flat = places.flatten(2)
        values = torch.cat(
            [self.distances(self._measure_pairs(places)), self.slow(motion(flat)), self.fast(motion(flat[:, ::2]))],
            dim=1,
        )
        logits = self.head(self.dense(self.over_frames(values).amax(dim=2)))
        return PanOutput(
            logits=logits.unsqueeze(1).expand(-1, frames, -1),
            action_logits=features.new_zeros(batch, frames, self.actions),
            joints_attention=features.new_full((batch, frames, joints), 1 / joints),
            pose_scores=features.new_zeros(batch, frames, 1),
            state=None,  # type: ignore[arg-type]
        )

    def _measure_pairs(self, places: Tensor) -> Tensor:
        """Distance of each pair of joints as a share over the clip's mean, (B, T, V, 2) -> (B, P, T); 0 is the mean."""
        first, second = self.get_buffer("pairs")
        distances = (places[:, :, first] - places[:, :, second]).square().sum(dim=-1).clamp_min(SMALLEST**2).sqrt()
        mean = distances.mean(dim=(1, 2), keepdim=True)
        return ((distances - mean) / mean).transpose(1, 2)


def build(samples: Samples, settings: PanSettings) -> DDNet:
    """The network at its largest published widths, whatever PAN's are."""
    return DDNet(joints=samples.layout.size, classes=len(samples.classes), actions=len(samples.actions))
