"""Start of the strict head: its first layers by least squares, so that it needs little training.

The first layer of each branch is linear up to its ReLU. The teacher's reads 864 channels, the student's the last 384 of them, so
what the student should add up from those is a linear regression. All that follows has the teacher's shape and weights.

Shape letters: B pictures, h x w cells, N = B h w, C = 384 channels of the last layer, H = 64 channels that a first layer writes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from pan_core.pose.maps import MAP_CHANNELS
from pan_core.pose.network import LAST_CHANNELS, PoseNetwork, SeparableConv

# Ridge, as a share of a channel's mean square: some channels are nearly empty.
RIDGE = 1e-4


class LeastSquares:
    """Linear regression with a constant, from sums over batches of rows.

    Args:
        inputs: Values in a row that is read.
        outputs: Values in a row that is predicted.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self._squares = torch.zeros(inputs + 1, inputs + 1, dtype=torch.float64)
        self._products = torch.zeros(inputs + 1, outputs, dtype=torch.float64)

    def add(self, rows: Tensor, wanted: Tensor) -> None:
        """Count some more rows, (N, inputs) and (N, outputs)."""
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        self._squares += (rows.T @ rows).double()
        self._products += (rows.T @ wanted).double()

    def solve(self) -> tuple[Tensor, Tensor]:
        """Weights (outputs, inputs) and constant (outputs,)."""
        ridge = RIDGE * self._squares.diagonal()[:-1].mean()
        damped = self._squares + torch.diag(torch.cat([ridge.expand(len(self._squares) - 1), ridge.new_zeros(1)]))
        solution = torch.linalg.solve(damped, self._products).float()
        return solution[:-1].T, solution[-1]


def start_strict_head(student: PoseNetwork, teacher: PoseNetwork, features: Iterable[Tensor]) -> None:
    """Fit the first layer of each of the student's branches to the teacher's, in place.

    The depthwise weights stay the teacher's. The pointwise weights and the bias minimise the squared error before the ReLU.

    Args:
        student: Network with the strict head, its other weights the teacher's.
        teacher: Network with the head on 864 channels and at least as many stages.
        features: Batches of what the teacher's backbone returns, (B, 864, h, w).
    """
    layers: list[tuple[SeparableConv, SeparableConv, int]] = [
        (getattr(own, branch)[0], getattr(given, branch)[0], 0 if number == 0 else MAP_CHANNELS)
        for number, (own, given) in enumerate(zip(student.stages, teacher.stages, strict=False))
        for branch in ("affinity", "confidence")
    ]
    fits = [LeastSquares(LAST_CHANNELS, given.pointwise.out_channels) for _, given, _ in layers]
    with torch.no_grad():
        for batch in features:
            for fitted, (_, given, maps) in zip(fits, layers, strict=True):
                fitted.add(*_contribution(given, batch, maps))
        for fitted, (own, given, maps) in zip(fits, layers, strict=True):
            weight, constant = fitted.solve()
            own.pointwise.weight[:, maps:, 0, 0] = weight
            assert own.pointwise.bias is not None and given.pointwise.bias is not None
            own.pointwise.bias.copy_(given.pointwise.bias + constant)


def _contribution(layer: SeparableConv, features: Tensor, maps: int) -> tuple[Tensor, Tensor]:
    """What the layer's last features are after their depthwise convolution (N, C), and what all of them add (N, H)."""
    kernels = layer.depthwise.weight[maps:]
    spread = functional.conv2d(features, kernels, padding=kernels.shape[-1] // 2, groups=len(kernels))
    added = functional.conv2d(spread, layer.pointwise.weight[:, maps:])
    return spread[:, -LAST_CHANNELS:].permute(0, 2, 3, 1).flatten(0, 2), added.permute(0, 2, 3, 1).flatten(0, 2)
