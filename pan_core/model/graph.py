"""Graph layers over the joints: equations (1) to (5).

Shapes: F frames of any clips, V joints, P pooled nodes, C channels; `...` stands for any leading axes.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pan_core.model.norm import AffineNorm


def normalise_adjacency(adjacency: Tensor) -> Tensor:
    """Symmetric normalisation with self loops, D^-1/2 (A + I) D^-1/2 of equation (1).

    Args:
        adjacency: Shape (..., V, V), entries >= 0.

    Returns:
        Shape (..., V, V).
    """
    looped = adjacency + torch.eye(adjacency.shape[-1], dtype=adjacency.dtype, device=adjacency.device)
    scale = looped.sum(dim=-1).rsqrt()
    return scale.unsqueeze(-1) * looped * scale.unsqueeze(-2)


class GraphLayer(nn.Module):
    """One graph layer, equation (1): H' = relu(D^-1/2 (A + I) D^-1/2 H W + b).

    Args:
        inputs: Channels of H.
        outputs: Channels of H'.
        rectify: Whether relu is applied; an assignment of nodes to pools reads the values before it.
    """

    def __init__(self, *, inputs: int, outputs: int, rectify: bool = True) -> None:
        super().__init__()
        self.rectify = rectify
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weight, gain=nn.init.calculate_gain("relu") if rectify else 1.0)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Pass messages between neighbours.

        Args:
            nodes: Shape (F, V, inputs).
            adjacency: Already normalised, (V, V) for one graph or (F, V, V) for a graph per frame.

        Returns:
            Shape (F, V, outputs).
        """
        mixed = torch.matmul(adjacency, torch.matmul(nodes, self.weight)).add_(self.bias)
        return mixed.relu_() if self.rectify else mixed


class HumanGraphNetwork(nn.Module):
    """Embeds joints with their neighbours and with the body parts that they belong to, equations (2) to (5).

    Z = GNN_embed(A, X); S = softmax(GNN_pool(A, X)) assigns every joint softly to P body parts; X' = S^T Z and
    A' = S^T A S are the pooled graph, on which one more layer runs. Joints attention works over joints, so the
    pooled nodes are handed back to their joints, S X', and stand beside Z.

    Every embedding layer is normalised over the batch before its relu, each channel of each joint by itself. The
    weights of a layer are the same for all joints; this is what tells a wrist from an ankle.

    Args:
        adjacency: Bones as 0/1, (V, V), without self loops.
        inputs: Features of a joint, D.
        channels: Widths of the embedding layers, one layer each.
        pools: Number of body parts, P.
        pooled_channels: Channels of a pooled node.
        pooling: False for an ablation: the embedding Z alone.
    """

    adjacency: Tensor
    normalised: Tensor

    def __init__(
        self,
        *,
        adjacency: Tensor,
        inputs: int,
        channels: Sequence[int],
        pools: int,
        pooled_channels: int,
        pooling: bool = True,
    ) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency.float(), persistent=False)
        self.register_buffer("normalised", normalise_adjacency(adjacency.float()), persistent=False)
        widths = [inputs, *channels]
        self.embed = nn.ModuleList(
            GraphLayer(inputs=before, outputs=after, rectify=False) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(AffineNorm(len(adjacency) * width) for width in channels)
        self.pooling = pooling
        self.outputs = widths[-1]
        if pooling:
            self.pool = GraphLayer(inputs=inputs, outputs=pools, rectify=False)
            self.coarse = GraphLayer(inputs=widths[-1], outputs=pooled_channels)
            self.outputs += pooled_channels

    def forward(self, nodes: Tensor) -> Tensor:
        """Embed joints, (F, V, D) -> (F, V, outputs)."""
        embedded = nodes
        for layer, norm in zip(self.embed, self.norms, strict=True):
            mixed = layer(embedded, self.normalised)
            embedded = norm(mixed.flatten(1)).relu_().view(mixed.shape)
        if not self.pooling:
            return embedded
        assignment = torch.softmax(self.pool(nodes, self.normalised), dim=-1)  # (F, V, P)
        gather = assignment.transpose(1, 2)
        pooled = torch.matmul(gather, embedded)  # (F, P, C)
        links = torch.matmul(gather, torch.matmul(self.adjacency, assignment))  # (F, P, P)
        parts = self.coarse(pooled, normalise_adjacency(links))
        return torch.cat([embedded, torch.matmul(assignment, parts)], dim=-1)
