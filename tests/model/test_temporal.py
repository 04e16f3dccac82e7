"""Causal convolutions against a literal reading of their definition."""

import numpy as np
import pytest
import torch

from pan_core.model.temporal import TemporalLayers


def layers(*dilations: int) -> TemporalLayers:
    """Layers over 3 channels in evaluation mode, with random weights and batch statistics."""
    torch.manual_seed(0)
    temporal = TemporalLayers(channels=3, dilations=dilations).double()
    for norm in temporal.norms:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return temporal.eval()


def slow_layer(vectors: np.ndarray, weight: np.ndarray, norm: torch.nn.BatchNorm1d, dilation: int) -> np.ndarray:
    """v(t) + relu(norm(W [v(t - 2d), v(t - d), v(t)])) of one clip (T, C); what came before its start is 0."""
    mean, spread = norm.running_mean.numpy(), np.sqrt(norm.running_var.numpy() + norm.eps)
    result = np.zeros_like(vectors)
    for t in range(len(vectors)):
        taps = [t - 2 * dilation, t - dilation, t]
        window = np.concatenate([vectors[tap] if tap >= 0 else np.zeros(3) for tap in taps])
        result[t] = vectors[t] + np.maximum((weight @ window - mean) / spread, 0)
    return result


@torch.inference_mode()
def test_layers_follow_their_definition():
    temporal, vectors = layers(1, 2), np.random.default_rng(0).normal(size=(2, 9, 3))
    got, _ = temporal(torch.from_numpy(vectors), temporal.start(2, like=torch.from_numpy(vectors)))
    for clip in range(2):
        expected = vectors[clip]
        for layer, norm, dilation in zip(temporal.layers, temporal.norms, (1, 2), strict=True):
            expected = slow_layer(expected, layer.weight.numpy(), norm, dilation)
        np.testing.assert_allclose(got[clip], expected, atol=1e-12)


@torch.inference_mode()
@pytest.mark.parametrize("part", [1, 3])
def test_frames_in_parts_are_frames_at_once(part):
    temporal, vectors = layers(1, 4), torch.randn(2, 15, 3, dtype=torch.float64)
    whole, end = temporal(vectors, temporal.start(2, like=vectors))
    recent, parts = temporal.start(2, like=vectors), []
    for start in range(0, 15, part):
        values, recent = temporal(vectors[:, start : start + part], recent)
        parts.append(values)
    np.testing.assert_allclose(torch.cat(parts, dim=1), whole, atol=1e-12)
    np.testing.assert_allclose(recent, end, atol=1e-12)


def test_frames_after_the_end_of_a_clip_do_not_reach_batch_statistics():
    temporal, vectors = layers(1).train(), torch.randn(2, 6, 3, dtype=torch.float64)
    vectors[1, 4:] = 1e6
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    got, _ = temporal(vectors, temporal.start(2, like=vectors), mask=mask)
    assert temporal.norms[0].running_mean.abs().max() < 10
    assert got[mask].abs().max() < 100


def test_no_dilations_change_nothing():
    temporal, vectors = layers(), torch.randn(2, 5, 3)
    got, recent = temporal(vectors, temporal.start(2, like=vectors))
    np.testing.assert_array_equal(got, vectors)
    assert recent.shape == (2, 0, 3)
