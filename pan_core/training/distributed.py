"""Training of one network by several processes, as `torchrun` starts them.

The result is that of one process with the same batches. Every process draws and varies the whole batch, which is
cheap, and runs the network on its own clips only:

- Batch normalisation takes its statistics from the clips of all processes, and channels are dropped as one process
  would drop them: `Replicas.prepare` puts layers that do so in the place of the usual ones.
- Logits are gathered before the loss. They are small, and a loss of the whole batch weighs clips and frames as one
  process does, however they are shared out. Its gradient passes through a process's own clips alone, so that
  the sum over the processes is the gradient of the whole.

A script that calls `fit` is started by `torchrun --nproc-per-node N script.py`; every process gets the same result.
The first one keeps the checkpoint and the log.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as processes
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from pan_core.errors import ConfigError
from pan_core.model.pan import ClipDropout


class Replicas:
    """The processes that train one network; a single one where torchrun did not start this process.

    Args:
        rank: Number of this process.
        size: Number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.batch = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    @property
    def rows(self) -> slice:
        """This process's clips of a batch."""
        return slice(self.batch * self.rank // self.size, self.batch * (self.rank + 1) // self.size)

    def prepare(self, network: nn.Module) -> None:
        """Put layers that see the whole batch in the place of those that see one process's clips."""
        if self.size == 1:
            return
        for parent in list(network.modules()):
            for name, layer in parent.named_children():
                if isinstance(layer, ClipDropout):
                    setattr(parent, name, _SharedDropout(layer.share, self))
                elif isinstance(layer, _BatchNorm):
                    setattr(parent, name, _SharedNorm(layer))

    def share(self, *values: Tensor) -> tuple[Tensor, ...]:
        """This process's clips of a batch, out of tensors (B, ...).

        Raises:
            ConfigError: Where the batch has fewer clips than there are processes.
        """
        self.batch = len(values[0])
        if self.batch < self.size:
            raise ConfigError("training", [f"batch: expected a clip for each of {self.size} processes or more"])
        return tuple(value[self.rows] for value in values)

    def gather(self, own: Tensor) -> Tensor:
        """Values of all clips of the batch, (B, ...), with a gradient at this process's own."""
        if self.size == 1:
            return own
        rows = self.rows
        everything = own.new_zeros(self.batch, *own.shape[1:])
        everything[rows] = own.detach()
        processes.all_reduce(everything)
        return torch.cat([everything[: rows.start], own, everything[rows.stop :]])

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients of all processes, in one exchange."""
        gradients = [value.grad for value in network.parameters() if value.grad is not None]
        if self.size == 1 or not gradients:
            return
        summed = torch.cat([gradient.flatten() for gradient in gradients])
        processes.all_reduce(summed)
        for gradient, part in zip(gradients, summed.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


@contextmanager
def joined(device: torch.device) -> Iterator[Replicas]:
    """Join the processes that torchrun started; a group that the caller has opened is used and left open."""
    started = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not processes.is_initialized()
    if started:
        processes.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        alone = not processes.is_initialized()
        yield Replicas() if alone else Replicas(processes.get_rank(), processes.get_world_size())
    finally:
        if started:
            processes.destroy_process_group()


class _SharedDropout(ClipDropout):
    """Drops what one process with the whole batch would drop: all processes draw the same numbers."""

    def __init__(self, share: float, replicas: Replicas) -> None:
        super().__init__(share)
        self.replicas = replicas

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return values
        drawn = torch.rand(self.replicas.batch, 1, values.shape[2], device=values.device)
        return values * ((drawn[self.replicas.rows] >= self.share) / (1 - self.share))


class _SharedNorm(nn.Module):
    """Batch normalisation over the clips of all processes, on any device; weights and statistics are the layer's."""

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__()
        self.eps, self.momentum = layer.eps, layer.momentum if layer.momentum is not None else 0.1
        self.weight, self.bias = layer.weight, layer.bias
        for name, value in layer.named_buffers(recurse=False):
            self.register_buffer(name, value)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise channels, (F, C, ...)."""
        others = [dim for dim in range(values.dim()) if dim != 1]
        shape = [1, -1, *[1] * (values.dim() - 2)]
        count = all_reduce(values.new_full((1,), values.numel() / values.shape[1]))
        mean = all_reduce(values.sum(dim=others)) / count
        centred = values - mean.view(shape)
        variance = all_reduce(centred.square().sum(dim=others)) / count
        with torch.no_grad():
            self.get_buffer("running_mean").lerp_(mean, self.momentum)
            self.get_buffer("running_var").lerp_(variance * count / (count - 1), self.momentum)
            self.get_buffer("num_batches_tracked").add_(1)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return centred * scale.view(shape) + self.bias.view(shape)
