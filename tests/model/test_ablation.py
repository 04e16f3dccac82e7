"""Every part of the network can be left out, and what is left still streams, learns and exports."""

import dataclasses
import io

import numpy as np
import onnxruntime
import pytest
import torch

from pan_core.model.attention import JointsMean, PoseAttention
from pan_core.model.features import feature_count
from pan_core.model.graph import HumanGraphNetwork
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.recurrent import Memoryless
from pan_core.model.store import load_model, save_model
from pan_core.model.streaming import (
    CLIP_INPUTS,
    CLIP_OUTPUTS,
    STATE_NAMES,
    STEP_INPUTS,
    STEP_OUTPUTS,
    ClipModel,
    StepModel,
)
from pan_core.skeletons import PENN13

SMALL = PanSettings(
    graph_channels=(8, 8), pools=3, pooled_channels=4, joint_heads=2, frame_channels=12, hidden=16, pose_heads=4,
    joint_units=6, pose_units=6, pooling=True,
)  # fmt: skip
WITHOUT = {"pooling": False, "joints_attention": False, "pose_attention": False, "recurrent": False}


@pytest.fixture(params=[*WITHOUT, "all of them"])
def without(request) -> PAN:
    """A network in evaluation mode without one part, or without any of them."""
    torch.manual_seed(0)
    gone = WITHOUT if request.param == "all of them" else {request.param: WITHOUT[request.param]}
    settings = dataclasses.replace(SMALL, **gone)
    return PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=5, actions=3, settings=settings
    ).eval()


def clips(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, 13, feature_count(PENN13), generator=generator)


@torch.inference_mode()
def test_steps_give_the_logits_of_forward_on_every_prefix(without):
    joints, state = clips(2, 9), without.start(2)
    for t in range(9):
        step = without.step(joints[:, t], state)
        state = step.state
        prefix = without(joints[:, : t + 1])
        np.testing.assert_allclose(step.logits, prefix.logits[:, -1], atol=1e-5)
        np.testing.assert_allclose(step.action_logits, prefix.action_logits[:, -1], atol=1e-5)
        np.testing.assert_allclose(step.joints_attention.sum(dim=-1), 1, atol=1e-5)


def test_every_parameter_that_is_left_learns(without):
    output = without(clips(2, 4))
    (output.logits.square().sum() + output.action_logits.square().sum()).backward()
    assert [name for name, value in without.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_a_part_left_out_takes_its_parameters_with_it(without):
    whole = PAN(adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=5, actions=3, settings=SMALL)
    assert sum(p.numel() for p in without.parameters()) < sum(p.numel() for p in whole.parameters())


def session(module: torch.nn.Module, example: tuple, inputs: tuple, outputs: tuple) -> onnxruntime.InferenceSession:
    buffer = io.BytesIO()
    torch.onnx.export(
        module, example, buffer, dynamo=False, opset_version=13, input_names=list(inputs), output_names=list(outputs)
    )
    return onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])


@torch.inference_mode()
def test_it_is_stored_and_exported(without, tmp_path):
    save_model(
        tmp_path / "m", without, labels=list("abcde"), actions=list("xyz"), layout=PENN13, mode="clip", frames=8,
        rate=15.0, preprocessing={},
    )  # fmt: skip
    features, clip = clips(1, 8), ClipModel(load_model(tmp_path / "m").model)
    exported = session(clip, clip.example(frames=8), CLIP_INPUTS, CLIP_OUTPUTS)
    expected = without(features).logits[:, -1]
    np.testing.assert_allclose(exported.run(None, {"features": features.numpy()})[0], expected, atol=1e-5)


@torch.inference_mode()
def test_its_exported_step_agrees_over_a_stream(without):
    step = StepModel(without)
    exported = session(step, step.example(), STEP_INPUTS, STEP_OUTPUTS)
    read = {item.name for item in exported.get_inputs()}
    memory = {name: value.numpy() for name, value in without.start(1)._asdict().items()}
    features = clips(1, 6)
    for t in range(6):
        fed = {"features": features[:, t].numpy(), **memory}
        got = dict(zip(STEP_OUTPUTS, exported.run(None, {n: v for n, v in fed.items() if n in read}), strict=True))
        memory = {name: got[f"next_{name}"] for name in STATE_NAMES}
        np.testing.assert_allclose(got["logits"], without(features[:, : t + 1]).logits[:, -1], atol=1e-5)


def test_without_joints_attention_a_frame_is_the_mean_of_its_joints():
    joints = torch.tensor([[[0.0, 2.0], [4.0, 4.0]]])
    vectors, weights = JointsMean(inputs=2)(joints)
    assert vectors.tolist() == [[2.0, 3.0]]
    assert weights.tolist() == [[[0.5], [0.5]]]


def test_without_pose_attention_the_context_is_the_mean_of_the_frames_so_far():
    attention = PoseAttention(hidden=2, units=1, heads=1, learned=False)
    states = torch.tensor([[[1.0, 0.0], [3.0, 6.0]]])
    context, _, _ = attention(states, attention.start(1, like=states))
    np.testing.assert_allclose(context, [[[1, 0], [2, 3]]])


def test_without_pooling_the_graph_network_is_its_embedding():
    network = HumanGraphNetwork(
        adjacency=torch.zeros(3, 3), inputs=2, channels=(4,), pools=2, pooled_channels=5, pooling=False
    )
    nodes = torch.randn(6, 3, 2)
    expected = torch.relu(nodes @ network.embed[0].weight)  # no bones: the normalised adjacency is the identity
    np.testing.assert_allclose(network.eval()(nodes).detach(), expected.detach(), atol=1e-4)


def test_without_the_gru_a_state_depends_on_its_frame_alone():
    layer, vectors = Memoryless(inputs=3, hidden=4), torch.randn(1, 5, 3)
    changed = vectors.clone()
    changed[:, :4] += 1
    start = torch.zeros(1, 4)
    np.testing.assert_array_equal(layer(vectors, start)[0][:, 4].detach(), layer(changed, start)[0][:, 4].detach())
