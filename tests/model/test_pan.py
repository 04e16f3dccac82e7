from dataclasses import replace

import numpy as np
import pytest
import torch

from pan_core.errors import ConfigError
from pan_core.model.features import feature_count
from pan_core.model.norm import AffineNorm
from pan_core.model.pan import PAN, PanSettings, frame_weights
from pan_core.skeletons import COCO17, LAYOUTS, OPENPOSE18, PENN13, SkeletonLayout

SMALL = PanSettings(
    graph_channels=(8, 8), pools=3, pooled_channels=4, joint_heads=2, frame_channels=12, hidden=16, pose_heads=4,
    joint_units=6, pose_units=6, pooling=True,
)  # fmt: skip


def network(layout: SkeletonLayout = PENN13, classes: int = 5, actions: int = 3, settings: PanSettings = SMALL) -> PAN:
    """A network in evaluation mode with random weights and random batch statistics."""
    torch.manual_seed(0)
    model = PAN(
        adjacency=layout.adjacency(),
        features=feature_count(layout),
        classes=classes,
        actions=actions,
        settings=settings,
    )
    model.normalise.running_mean.normal_()
    model.normalise.running_var.uniform_(0.5, 2)
    return model.eval()


def features(layout: SkeletonLayout, *shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, layout.size, feature_count(layout), generator=generator)


@pytest.mark.parametrize(
    "settings", [SMALL, replace(SMALL, forgetting=0.2), replace(SMALL, none=True)], ids=["paper", "forgets", "none"]
)
@torch.inference_mode()
def test_steps_give_the_logits_of_forward_on_every_prefix(settings):
    model, clips = network(settings=settings), features(PENN13, 2, 12)
    state = model.start(2)
    for t in range(12):
        step = model.step(clips[:, t], state)
        state = step.state
        prefix = model(clips[:, : t + 1])
        np.testing.assert_allclose(step.logits, prefix.logits[:, -1], atol=1e-5)
        np.testing.assert_allclose(step.action_logits, prefix.action_logits[:, -1], atol=1e-5)
        np.testing.assert_allclose(step.joints_attention, prefix.joints_attention[:, -1], atol=1e-6)
        everything = torch.ones(2, t + 1, dtype=torch.bool)
        weights = frame_weights(prefix.pose_scores, everything, forgetting=settings.forgetting)
        np.testing.assert_allclose(step.pose_attention, weights[:, -1], atol=1e-6)
        for got, expected in zip(state, prefix.state, strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_input_normalisation_is_batch_normalisation():
    norm = AffineNorm(7).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    values = torch.randn(5, 7, dtype=torch.float64)
    for training in (False, True):
        norm.train(training)
        expected = torch.nn.functional.batch_norm(
            values, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, training=training
        )
        np.testing.assert_allclose(norm(values).detach(), expected.detach(), atol=1e-12)


@torch.inference_mode()
def test_later_frames_change_nothing_before_them():
    model, clips = network(), features(PENN13, 1, 10)
    changed = clips.clone()
    changed[:, 6:] += 3
    np.testing.assert_allclose(model(clips).logits[:, :6], model(changed).logits[:, :6], atol=1e-6)
    assert (model(clips).logits[:, 6:] - model(changed).logits[:, 6:]).abs().max() > 1e-3


@torch.inference_mode()
def test_padding_changes_nothing():
    model, clips = network(), features(PENN13, 2, 8)
    mask = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
    padded = clips.clone()
    padded[1, 5:] = 1e6
    output, alone = model(padded, mask=mask), model(clips[1:, :5])
    np.testing.assert_allclose(output.logits[1, :5], alone.logits[0], atol=1e-5)
    weights = frame_weights(output.pose_scores, mask)
    np.testing.assert_allclose(weights[1, 5:], 0)
    np.testing.assert_allclose(weights.sum(dim=1), 1, atol=1e-6)


def test_padding_does_not_reach_batch_statistics():
    model, clips = network().train(), features(PENN13, 2, 8)
    clips[1, 5:] = 1e6
    model(clips, mask=torch.tensor([[True] * 8, [True] * 5 + [False] * 3]))
    assert model.normalise.running_mean.abs().max() < 10


@torch.inference_mode()
def test_a_stream_may_be_fed_in_parts():
    model, clips = network(), features(PENN13, 2, 9)
    first = model(clips[:, :4])
    rest = model(clips[:, 4:], state=first.state)
    np.testing.assert_allclose(rest.logits, model(clips).logits[:, 4:], atol=1e-5)


def test_every_parameter_learns():
    model = network()
    output = model(features(PENN13, 2, 4))
    (output.logits.square().sum() + output.action_logits.square().sum()).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_the_joints_loss_trains_joints_attention_without_the_class_head():
    model = network()
    model(features(PENN13, 2, 4)).action_logits.square().sum().backward()
    assert model.joints_attention.score.weight.grad.abs().max() > 0
    assert model.class_head.weight.grad is None


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("classes", [15, 101])
def test_default_networks_have_less_than_half_a_million_parameters(layout, classes):
    model = network(layout, classes=classes, actions=classes, settings=PanSettings())
    assert sum(parameter.numel() for parameter in model.parameters()) < 500_000


@pytest.mark.parametrize("layout", [OPENPOSE18, COCO17], ids=lambda layout: layout.name)
def test_output_shapes(layout):
    output = network(layout)(features(layout, 3, 6))
    assert output.logits.shape == (3, 6, 5)
    assert output.action_logits.shape == (3, 6, 3)
    assert output.joints_attention.shape == (3, 6, layout.size)
    np.testing.assert_allclose(output.joints_attention.sum(dim=-1).detach(), 1, atol=1e-5)


def test_every_fault_of_the_settings_is_named():
    with pytest.raises(ConfigError) as caught:
        PanSettings(hidden=10, pose_heads=4, dropout=1.0, pools=0, graph_channels=())
    assert len(caught.value.faults) == 4
    assert "hidden: expected a multiple of pose_heads=4, but got 10" in str(caught.value)


def test_with_none_both_heads_have_one_more_logit():
    model = network(settings=replace(SMALL, none=True))
    output = model(features(PENN13, 3, 6))
    assert (output.logits.shape, output.action_logits.shape) == ((3, 6, 6), (3, 6, 4))
    assert (model.classes, model.actions) == (5, 3)


@pytest.mark.parametrize("forgetting", [-0.1, float("nan"), float("inf")])
def test_pose_attention_cannot_forget_so(forgetting):
    with pytest.raises(ConfigError, match="forgetting"):
        PanSettings(forgetting=forgetting)
