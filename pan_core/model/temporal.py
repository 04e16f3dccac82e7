"""Causal convolutions over frame vectors, between joints attention and the GRU.

Not in the paper: the GRU alone learns short movements slowly from a few hundred clips. Each layer adds
relu(norm(W [v(t - 2d), v(t - d), v(t)])) to v(t), so it looks back by 2d frames and never ahead, and a stream only
remembers the last frame vectors of each layer.

Shapes: B clips, T frames, C channels of a frame vector, R frame vectors remembered by all layers together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pan_core.model.norm import AffineNorm

KERNEL = 3
"""Frames that one layer reads."""


class TemporalLayers(nn.Module):
    """Residual causal convolutions, one a dilation.

    Args:
        channels: Channels of a frame vector, C.
        dilations: Frames between the frames that each layer reads; empty for none.
    """

    def __init__(self, *, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.channels = channels
        self.reaches = [(KERNEL - 1) * dilation for dilation in dilations]
        self.dilations = list(dilations)
        self.layers = nn.ModuleList(nn.Linear(KERNEL * channels, channels, bias=False) for _ in dilations)
        self.norms = nn.ModuleList(AffineNorm(channels) for _ in dilations)

    def start(self, batch: int, *, like: Tensor) -> Tensor:
        """Memory before the first frame: zeros (B, R, C), on the device and of the type of `like`."""
        return like.new_zeros(batch, sum(self.reaches), self.channels)

    def forward(self, vectors: Tensor, recent: Tensor, *, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over frames; a stream calls it with one.

        Args:
            vectors: Frame vectors, (B, T, C).
            recent: Inputs of the layers at the frames before, (B, R, C).
            mask: Which frames belong to their clip, bool (B, T); others do not count in batch statistics. None for
                all.

        Returns:
            Frame vectors (B, T, C), and the memory after the last frame.
        """
        if not self.reaches:
            return vectors, recent
        kept = []
        for layer, norm, dilation, past in zip(
            self.layers, self.norms, self.dilations, recent.split(self.reaches, dim=1), strict=True
        ):
            frames = vectors.shape[1]
            known = torch.cat([past, vectors], dim=1)
            kept.append(known[:, -past.shape[1] :])
            window = torch.cat([known[:, tap * dilation : tap * dilation + frames] for tap in range(KERNEL)], dim=-1)
            vectors = vectors + torch.relu(_normalise(norm, layer(window), mask))
        return vectors, torch.cat(kept, dim=1)


def _normalise(norm: nn.Module, values: Tensor, mask: Tensor | None) -> Tensor:
    """Normalise (B, T, C); in training only the frames of the clips are counted and computed, the rest becomes 0."""
    if not norm.training:
        return norm(values)
    if mask is None:
        return norm(values.flatten(0, 1)).view(values.shape)
    return torch.zeros_like(values).masked_scatter(mask.unsqueeze(-1), norm(values[mask]))
