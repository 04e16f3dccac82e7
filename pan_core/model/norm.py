"""Batch normalisation as devices like it, and dropout as recurrent layers need it."""

import torch
from torch import Tensor, nn


class AffineNorm(nn.BatchNorm1d):
    """Batch normalisation that is a plain multiplication and addition in evaluation, which every engine can do.

    Its statistics follow the last few batches only. A training of few steps ends with statistics of the weights that
    it ends with, and in a longer one the average over weights and statistics smooths them anyway.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=0.3)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise channels: (F, C) -> (F, C), in evaluation mode (..., C) -> (..., C)."""
        if self.training:
            return super().forward(values)
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (values * scale).add_(self.bias - mean * scale)


class ClipDropout(nn.Module):
    """Dropout of whole channels of a clip, the same at all its frames, so that the GRU cannot average it away.

    Args:
        share: Share of the channels that is dropped in training.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Drop channels, (B, T, C) -> (B, T, C); in evaluation mode the values pass, whatever their shape."""
        if not self.training or self.share == 0:
            return values
        kept = torch.rand(values.shape[0], 1, values.shape[2], device=values.device) >= self.share
        return values * (kept / (1 - self.share))
