"""Gradient times attention against finite differences, and the picture of it."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from refusals import refused

from pan_core.errors import DataError
from pan_core.evaluation.explanation import explanation_picture
from pan_core.evaluation.relevance import relevance_of
from pan_core.model.pan import PAN, PanSettings
from pan_core.skeletons import PENN13

SMALL = PanSettings(
    graph_channels=(8,), pools=2, pooled_channels=4, joint_heads=2, frame_channels=16, hidden=16, pose_heads=2,
    joint_units=8, pose_units=8,
)  # fmt: skip
FRAMES, FEATURES, CLASSES = 6, 5, 4


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PAN(adjacency=PENN13.adjacency(), features=FEATURES, classes=CLASSES, actions=2, settings=SMALL).eval()


@pytest.fixture
def features():
    return torch.randn(1, FRAMES, 13, FEATURES, generator=torch.Generator().manual_seed(1))


def test_relevance_is_the_change_of_the_logit_with_the_attention(network, features):
    """One joint at one frame gets 0.1 % more and less attention, which is written into the network's own sum."""
    network, features = network.double(), features.double()
    logits, attention, frames, relevance = relevance_of(network, features)
    best, step = int(logits.argmax()), 1e-3
    for frame, joint in ((0, 3), (2, 0), (5, 12)):
        found = []
        for sign in (1, -1):

            def more(_module, inputs, output, sign=sign, frame=frame, joint=joint):
                weights = output[1].clone()
                weights[frame, joint] *= 1 + sign * step
                return torch.matmul(weights.transpose(1, 2), inputs[0]).flatten(1), weights

            hook = network.joints_attention.register_forward_hook(more)
            with torch.inference_mode():
                changed = network(features).logits[0, -1]
            hook.remove()
            found.append(float(changed[best] - changed.mean()))
        assert relevance[frame, joint] == pytest.approx((found[0] - found[1]) / (2 * step), rel=1e-4, abs=1e-9)
    assert attention.shape == relevance.shape == (FRAMES, 13)
    assert frames.sum() == pytest.approx(1)
    np.testing.assert_allclose(attention.sum(axis=1), 1)


def registered(layer) -> dict[str, list]:
    """What is registered with a layer, hooks among it."""
    return {name: list(value) for name, value in vars(layer).items() if isinstance(value, dict)}


def test_the_network_is_left_as_it_was(network, features):
    before = registered(network.joints_attention)
    relevance_of(network, features)
    assert registered(network.joints_attention) == before
    assert all(weights.grad is None for weights in network.parameters())


def test_the_picture_says_who_decided(explanation):
    picture = explanation_picture(explanation)
    assert re.findall(r"left wrist (\d+) %", picture.alt) == ["100"]
    assert re.findall(r"frame (\d+)", picture.alt) == ["7", "3"], "the decisive frame, then the most attended one"
    assert picture.svg.lstrip().startswith("<?xml")


def test_a_clip_that_nothing_speaks_for_is_drawn(explanation):
    empty = dataclasses.replace(explanation, relevance=np.zeros((12, 13)))
    assert "Wave" in explanation_picture(empty).alt


def test_without_joints_attention_there_is_nothing_to_explain(features):
    without = dataclasses.replace(SMALL, joints_attention=False)
    network = PAN(adjacency=PENN13.adjacency(), features=FEATURES, classes=CLASSES, actions=2, settings=without).eval()
    with refused("relevance.no-attention", DataError):
        relevance_of(network, features)
