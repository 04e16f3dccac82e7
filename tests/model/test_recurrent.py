"""Equations (6) to (9), read literally, as the oracle."""

import math

import numpy as np
import torch

from pan_core.model.recurrent import Recurrent


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def literal_cell(x, h, cell: torch.nn.GRU) -> np.ndarray:
    """One step with the paper's update gate s; torch keeps its gate's weights with the opposite sign."""
    size = len(h)
    w, u = cell.weight_ih_l0.detach().numpy(), cell.weight_hh_l0.detach().numpy()
    b, d = cell.bias_ih_l0.detach().numpy(), cell.bias_hh_l0.detach().numpy()
    new = np.zeros(size)
    for i in range(size):
        r, z, n = i, size + i, 2 * size + i
        reset = sigmoid(sum(w[r, j] * x[j] for j in range(len(x))) + b[r] + sum(u[r] * h) + d[r])
        update = sigmoid(-sum(w[z, j] * x[j] for j in range(len(x))) - b[z] - sum(u[z] * h) - d[z])
        candidate = math.tanh(sum(w[n, j] * x[j] for j in range(len(x))) + b[n] + reset * (sum(u[n] * h) + d[n]))
        new[i] = update * candidate + (1 - update) * h[i]
    return new


def make() -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(inputs=4, hidden=6).double()


def test_clip_and_step_are_equations_6_to_9():
    recurrent, rng = make(), np.random.default_rng(0)
    vectors, hidden = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 6))
    states, last = recurrent(torch.from_numpy(vectors), torch.from_numpy(hidden))
    stepped = torch.from_numpy(hidden)
    for t in range(5):
        hidden = np.array([literal_cell(vectors[b, t], hidden[b], recurrent.cell) for b in range(2)])
        stepped = recurrent.step(torch.from_numpy(vectors[:, t]), stepped)
        np.testing.assert_allclose(states[:, t].detach().numpy(), hidden, atol=1e-9)
        np.testing.assert_allclose(stepped.detach().numpy(), hidden, atol=1e-9)
    np.testing.assert_allclose(last.detach().numpy(), hidden, atol=1e-9)
