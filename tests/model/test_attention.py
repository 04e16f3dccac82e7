"""Equations (10) to (15) in loops as the oracle, and the running form of pose attention."""

import math

import numpy as np
import pytest
import torch

from pan_core.model.attention import JointsAttention, PoseAttention


def slow_scores(items: np.ndarray, attention: torch.nn.Module) -> np.ndarray:
    """e = v^T tanh(W x + b) of every item and head, (items, N)."""
    w, b = attention.project.weight.detach().numpy(), attention.project.bias.detach().numpy()
    v = attention.score.weight.detach().numpy()
    result = np.zeros((len(items), len(v)))
    for i, item in enumerate(items):
        units = [math.tanh(sum(w[u, c] * item[c] for c in range(len(item))) + b[u]) for u in range(len(w))]
        for head in range(len(v)):
            result[i, head] = sum(v[head, u] * units[u] for u in range(len(w)))
    return result


def slow_softmax(scores: np.ndarray) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def test_joints_attention_is_equations_13_to_15():
    torch.manual_seed(0)
    attention = JointsAttention(inputs=4, units=3, heads=2).double()
    joints = np.random.default_rng(0).normal(size=(3, 5, 4))
    vectors, weights = attention(torch.from_numpy(joints))
    for frame in range(3):
        scores = slow_scores(joints[frame], attention)
        for head in range(2):
            expected = slow_softmax(scores[:, head])
            np.testing.assert_allclose(weights[frame, :, head].detach().numpy(), expected, atol=1e-9)
            mean = [sum(expected[v] * joints[frame, v, c] for v in range(5)) for c in range(4)]
            np.testing.assert_allclose(vectors[frame, 4 * head : 4 * head + 4].detach().numpy(), mean, atol=1e-9)


def pose_attention(heads: int = 2) -> PoseAttention:
    torch.manual_seed(1)
    return PoseAttention(hidden=6, units=3, heads=heads).double()


def slow_context(states: np.ndarray, attention: PoseAttention) -> np.ndarray:
    """Context after the last of the states, (H,), equations (10) to (12)."""
    scores, width = slow_scores(states, attention), 6 // attention.heads
    context = np.zeros(6)
    for head in range(attention.heads):
        weights = slow_softmax(scores[:, head])
        for unit in range(head * width, (head + 1) * width):
            context[unit] = sum(weights[t] * states[t, unit] for t in range(len(states)))
    return context


def test_pose_attention_is_equations_10_to_12_at_every_frame():
    attention, states = pose_attention(), np.random.default_rng(1).normal(size=(2, 7, 6))
    context, _, _ = attention(torch.from_numpy(states), attention.start(2, like=torch.zeros(1).double()))
    past = attention.start(2, like=torch.zeros(1).double())
    for t in range(7):
        stepped, past, share = attention.step(torch.from_numpy(states[:, t]), past)
        for clip in range(2):
            expected = slow_context(states[clip, : t + 1], attention)
            np.testing.assert_allclose(context[clip, t].detach().numpy(), expected, atol=1e-9)
            np.testing.assert_allclose(stepped[clip].detach().numpy(), expected, atol=1e-9)
            weights = slow_softmax(slow_scores(states[clip, : t + 1], attention)[:, 1])
            assert share[clip, 1].item() == pytest.approx(weights[-1], abs=1e-9)
    whole, _ = attention.whole(torch.from_numpy(states))
    np.testing.assert_allclose(whole.detach().numpy(), context[:, -1].detach().numpy(), atol=1e-9)


def test_memory_carries_over_from_one_part_of_a_clip_to_the_next():
    attention, states = pose_attention(), torch.from_numpy(np.random.default_rng(2).normal(size=(2, 9, 6)))
    start = attention.start(2, like=states)
    whole, end, _ = attention(states, start)
    _, middle, _ = attention(states[:, :4], start)
    rest, last, _ = attention(states[:, 4:], middle)
    np.testing.assert_allclose(rest.detach(), whole[:, 4:].detach(), atol=1e-12)
    for got, expected in zip(last, end, strict=True):
        np.testing.assert_allclose(got.detach(), expected.detach(), atol=1e-12)


def test_scores_far_apart_stay_finite_in_single_precision():
    """A head that loves late frames: earlier prefixes must not underflow to 0 / 0."""
    attention = PoseAttention(hidden=2, units=1, heads=1)
    with torch.no_grad():
        attention.project.weight.copy_(torch.tensor([[1.0, 0.0]]))
        attention.project.bias.zero_()
        attention.score.weight.fill_(500.0)
    states = torch.tensor([[[-3.0, 1.0], [0.0, 2.0], [3.0, 4.0]]], requires_grad=True)
    context, _, _ = attention(states, attention.start(1, like=states))
    np.testing.assert_allclose(context[0, :, 1].detach(), [1, 2, 4], rtol=1e-6)
    context.sum().backward()
    assert torch.isfinite(states.grad).all()


def test_gradient_of_the_running_form_is_that_of_a_softmax_over_the_clip():
    attention = pose_attention()
    states = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 5, 6))).requires_grad_()
    wanted = torch.arange(6.0).double()
    running, _, _ = attention(states, attention.start(2, like=states))
    (one,) = torch.autograd.grad((running[:, -1] * wanted).sum(), states)
    (other,) = torch.autograd.grad((attention.whole(states)[0] * wanted).sum(), states)
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_heads_must_divide_the_hidden_units():
    with pytest.raises(ValueError) as caught:
        pose_attention(heads=4)
    assert {"hidden=6", "heads=4"} <= set(str(caught.value).split())


FORGETTING = 0.3


def forgetful(forgetting: float = FORGETTING) -> PoseAttention:
    torch.manual_seed(1)
    return PoseAttention(hidden=6, units=3, heads=2, forgetting=forgetting).double()


def slow_forgetting(states: np.ndarray, attention: PoseAttention) -> np.ndarray:
    """As `slow_context`, but a frame that is n frames old has exp(-n d) times its weight before they are made to sum to 1."""
    scores, context = slow_scores(states, attention), np.zeros(6)
    ages = np.arange(len(states))[::-1]
    for head in range(2):
        weights = [math.exp(scores[t, head]) * math.exp(-attention.forgetting * ages[t]) for t in range(len(states))]
        for unit in range(3 * head, 3 * head + 3):
            context[unit] = sum(weights[t] * states[t, unit] for t in range(len(states))) / sum(weights)
    return context


def test_pose_attention_that_forgets_is_its_definition_in_every_form():
    attention, states = forgetful(), np.random.default_rng(1).normal(size=(2, 7, 6))
    start = attention.start(2, like=torch.zeros(1).double())
    context, end, _ = attention(torch.from_numpy(states), start)
    past = start
    for t in range(7):
        stepped, past, _ = attention.step(torch.from_numpy(states[:, t]), past)
        for clip in range(2):
            expected = slow_forgetting(states[clip, : t + 1], attention)
            np.testing.assert_allclose(context[clip, t].detach().numpy(), expected, atol=1e-9)
            np.testing.assert_allclose(stepped[clip].detach().numpy(), expected, atol=1e-9)
    whole, _ = attention.whole(torch.from_numpy(states))
    np.testing.assert_allclose(whole.detach().numpy(), context[:, -1].detach().numpy(), atol=1e-9)
    for got, expected in zip(past, end, strict=True):
        np.testing.assert_allclose(got.detach(), expected.detach(), atol=1e-9)


@pytest.mark.parametrize("forgetting", [1e-3, 0.05, 2.0, 50.0])
def test_steps_and_forward_agree_in_single_precision_over_a_long_stream(forgetting):
    """Longer than what is taken in at once, also when a single frame forgets everything."""
    attention = forgetful(forgetting).float()
    states = torch.from_numpy(np.random.default_rng(5).normal(size=(1, 1500, 6))).float()
    past = attention.start(1, like=states)
    with torch.inference_mode():
        context, end, _ = attention(states, past)
        for t in range(states.shape[1]):
            stepped, past, _ = attention.step(states[:, t], past)
            np.testing.assert_allclose(stepped, context[:, t], atol=1e-5)
    assert all(torch.isfinite(value).all() for value in end)


def test_what_is_long_ago_weighs_nothing():
    """Two pasts that differ in their first frames only: the contexts are the same after twenty half-lives."""
    attention = forgetful(math.log(2) / 10)
    states = torch.from_numpy(np.random.default_rng(6).normal(size=(2, 200 + 50, 6)))
    states[1, 50:] = states[0, 50:]
    with torch.inference_mode():
        context, _, _ = attention(states, attention.start(2, like=states))
        forever, _, _ = forgetful(0.0)(states, attention.start(2, like=states))
    assert (context[0, -1] - context[1, -1]).abs().max() < 1e-4
    assert (forever[0, -1] - forever[1, -1]).abs().max() > 1e-2
