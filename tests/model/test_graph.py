"""Equations (1) to (5) in loops, float64, as the oracle."""

import math

import numpy as np
import torch

from pan_core.model.graph import GraphLayer, HumanGraphNetwork, normalise_adjacency
from pan_core.skeletons import PENN13


def slow_normalise(adjacency: np.ndarray) -> np.ndarray:
    size = len(adjacency)
    looped = [[float(adjacency[i][j]) + (i == j) for j in range(size)] for i in range(size)]
    degree = [sum(row) for row in looped]
    return np.array(
        [[looped[i][j] / (math.sqrt(degree[i]) * math.sqrt(degree[j])) for j in range(size)] for i in range(size)]
    )


def slow_layer(nodes, adjacency, weight, bias, rectify=True):
    """H' = relu(A H W + b), with A normalised already."""
    size, outputs = len(nodes), len(bias)
    result = np.zeros((size, outputs))
    for i in range(size):
        for c in range(outputs):
            value = float(bias[c])
            for j in range(size):
                for d in range(nodes.shape[1]):
                    value += adjacency[i][j] * nodes[j, d] * weight[d, c]
            result[i, c] = max(value, 0.0) if rectify else value
    return result


def slow_norm(nodes: np.ndarray, norm: torch.nn.BatchNorm1d) -> np.ndarray:
    """Batch normalisation in evaluation, every channel of every joint by itself, then relu."""
    mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    result, width = np.zeros_like(nodes), nodes.shape[1]
    for joint in range(len(nodes)):
        for channel in range(width):
            i = joint * width + channel
            scaled = (nodes[joint, channel] - mean[i]) / math.sqrt(variance[i] + norm.eps)
            result[joint, channel] = max(0.0, scaled * weight[i] + bias[i])
    return result


def weights_of(layer: GraphLayer):
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def randomise(module: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5


def test_two_joined_nodes_by_thought():
    """Both degrees are 2 with the self loop, so every entry is 1 / 2."""
    np.testing.assert_allclose(normalise_adjacency(torch.tensor([[0.0, 1], [1, 0]])), 0.5, atol=1e-6)


def test_normalisation_of_a_layout():
    adjacency = PENN13.adjacency()
    result = normalise_adjacency(torch.from_numpy(adjacency).double()).numpy()
    np.testing.assert_allclose(result, slow_normalise(adjacency), atol=1e-12)


def test_normalisation_of_weighted_graphs_in_a_batch():
    graphs = np.random.default_rng(0).random((3, 4, 4))
    graphs += graphs.transpose(0, 2, 1)
    result = normalise_adjacency(torch.from_numpy(graphs)).numpy()
    for graph, got in zip(graphs, result, strict=True):
        np.testing.assert_allclose(got, slow_normalise(graph), atol=1e-12)


def test_graph_layer_is_equation_1():
    rng = np.random.default_rng(1)
    layer = GraphLayer(inputs=5, outputs=4).double()
    randomise(layer, 1)
    nodes, adjacency = rng.normal(size=(3, 13, 5)), PENN13.adjacency()
    result = layer(torch.from_numpy(nodes), normalise_adjacency(torch.from_numpy(adjacency).double()))
    for frame in range(3):
        expected = slow_layer(nodes[frame], slow_normalise(adjacency), *weights_of(layer))
        np.testing.assert_allclose(result[frame].detach().numpy(), expected, atol=1e-9)


def test_human_graph_network_is_equations_2_to_5():
    adjacency = PENN13.adjacency()
    network = HumanGraphNetwork(
        adjacency=torch.from_numpy(adjacency), inputs=4, channels=(6, 5), pools=3, pooled_channels=2
    ).double()
    randomise(network, 2)
    for norm in network.norms:
        norm.running_mean.copy_(torch.randn(len(norm.running_mean), generator=torch.Generator().manual_seed(3)))
        norm.running_var.uniform_(0.5, 2)
    network.eval()
    nodes = np.random.default_rng(2).normal(size=(2, 13, 4))
    result = network(torch.from_numpy(nodes)).detach().numpy()
    fixed = slow_normalise(adjacency)
    for frame in range(2):
        embedded = nodes[frame]
        for layer, norm in zip(network.embed, network.norms, strict=True):
            embedded = slow_norm(slow_layer(embedded, fixed, *weights_of(layer), rectify=False), norm)
        raw = slow_layer(nodes[frame], fixed, *weights_of(network.pool), rectify=False)
        assignment = np.array([[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in raw])
        pooled, links = np.zeros((3, 5)), np.zeros((3, 3))
        for p in range(3):
            for c in range(5):
                pooled[p, c] = sum(assignment[v, p] * embedded[v, c] for v in range(13))
            for q in range(3):
                links[p, q] = sum(
                    assignment[v, p] * adjacency[v, u] * assignment[u, q] for v in range(13) for u in range(13)
                )
        parts = slow_layer(pooled, slow_normalise(links), *weights_of(network.coarse))
        expected = np.concatenate([embedded, assignment @ parts], axis=1)
        np.testing.assert_allclose(result[frame], expected, atol=1e-6)
