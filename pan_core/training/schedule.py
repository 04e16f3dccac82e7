"""Order of the clips, learning rate and averaged weights over a training.

All three are functions of seed, epoch and step, so that a training which was interrupted goes on exactly.
"""

import math

import numpy as np
import torch
from torch import nn

BUCKET = 8
"""Batches among which clips are sorted by length, so that little is padded and batches stay mixed."""


def epoch_rng(seed: int, epoch: int) -> np.random.Generator:
    """Source of all chance of one epoch."""
    return np.random.default_rng([seed, epoch])


def epoch_batches(lengths: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of clip indices, each clip once, in random order; clips of similar length stand together.

    Args:
        lengths: Frames of the clips, (N,).
        size: Clips a batch. What remains is spread over the batches, as a last batch of one or two clips would
            spoil batch statistics.
        rng: Source of all chance.
    """
    order = rng.permutation(len(lengths))
    chunk = BUCKET * size
    order = np.concatenate(
        [part[np.argsort(lengths[part], kind="stable")] for part in np.split(order, range(chunk, len(order), chunk))]
    )
    batches = np.array_split(order, max(1, len(order) // size))
    return [batches[index] for index in rng.permutation(len(batches))]


def batches_per_epoch(clips: int, size: int) -> int:
    """Number of batches that `epoch_batches` makes."""
    return max(1, clips // size)


def epochs_needed(clips: int, size: int, *, epochs: int, least_steps: int) -> int:
    """Passes over the clips: `epochs`, or as many more as `least_steps` steps take."""
    return max(epochs, math.ceil(least_steps / batches_per_epoch(clips, size)))


def one_cycle(step: int, total: int, *, peak: float, warm_up: float) -> float:
    """Learning rate that rises to `peak` and falls to almost nothing, by cosines (Smith and Topin, 2018).

    Args:
        step: Steps done, 0 to total - 1.
        total: Steps of the training.
        peak: Largest learning rate.
        warm_up: Share of the steps that rise.
    """
    rise = max(1.0, warm_up * total)
    if step < rise:
        return peak * (0.04 + 0.96 * (1 - math.cos(math.pi * step / rise)) / 2)
    fall = (step - rise) / max(1.0, total - rise)
    return peak * (1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * min(1.0, fall))) / 2)


class WeightAverage:
    """Exponential moving average of a network's weights and batch statistics.

    Args:
        network: The network that is trained.
        horizon: Steps over which the average reaches back; shorter while fewer steps were taken.
    """

    def __init__(self, network: nn.Module, *, horizon: float) -> None:
        self.horizon = max(1.0, horizon)
        self.steps = 0
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = 1 / min(self.horizon, (self.steps + 9) / 10)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, share)
            else:
                self.average[name].copy_(value)
