"""Joints in, scores out, frame by frame; and the exported networks."""

import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pan_core.model.features import PoseFeatures, feature_count
from pan_core.model.online import OnlineFeatures
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.streaming import (
    CLIP_INPUTS,
    CLIP_OUTPUTS,
    STATE_NAMES,
    STEP_INPUTS,
    STEP_OUTPUTS,
    ClipModel,
    StepModel,
)
from pan_core.skeletons import OPENPOSE18, PENN13

OPSET = 13
NOT_IN_TENSORRT_8_2 = {"LayerNormalization", "OneHot", "NonZero", "Mod", "Einsum", "CumSum"}


def network(layout=PENN13) -> PAN:
    torch.manual_seed(0)
    model = PAN(
        adjacency=layout.adjacency(), features=feature_count(layout), classes=6, actions=4, settings=PanSettings()
    )
    model.normalise.running_mean.normal_()
    return model.eval()


def walk(layout, clips: int, frames: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    places = rng.normal(200, 50, (clips, 1, layout.size, 2))
    places = places + np.cumsum(rng.normal(0, 3, (clips, frames, layout.size, 2)), axis=1)
    joints = np.concatenate([places, rng.uniform(0.1, 1, (clips, frames, layout.size, 1))], -1).astype(np.float32)
    joints[rng.random((clips, frames, layout.size)) < 0.2] = [np.nan, np.nan, 0]
    return joints


@torch.inference_mode()
@pytest.mark.parametrize("layout", [PENN13, OPENPOSE18], ids=lambda layout: layout.name)
def test_a_stream_of_joints_gives_the_logits_of_every_prefix(layout):
    """Features and network together: the identity that a device relies on."""
    model, joints = network(layout), walk(layout, 2, 25)
    describe, stream, step = PoseFeatures(layout, mode="online"), OnlineFeatures(layout), StepModel(model)
    seen, memory = stream.start(2), tuple(model.start(2))
    for t in range(25):
        features, seen = stream.step(joints[:, t], seen)
        logits, actions, _, _, *memory = step(torch.from_numpy(features), *memory)
        prefix = model(torch.from_numpy(describe(joints[:, : t + 1])))
        np.testing.assert_allclose(logits, prefix.logits[:, -1], atol=1e-5)
        np.testing.assert_allclose(actions, prefix.action_logits[:, -1], atol=1e-5)


@torch.inference_mode()
def test_the_memory_of_a_long_stream_has_one_size_and_stays_finite():
    model = network()
    step, memory = StepModel(model), tuple(model.start(1))
    shapes = [tensor.shape for tensor in memory]
    frames = torch.randn(50, 1, 13, feature_count(PENN13))
    for t in range(1000):
        outputs = step(frames[t % 50], *memory)
        memory = outputs[-len(STATE_NAMES) :]
    assert [tensor.shape for tensor in memory] == shapes
    assert all(torch.isfinite(tensor).all() for tensor in outputs)


def export(module, example, inputs, outputs) -> tuple[onnx.ModelProto, onnxruntime.InferenceSession]:
    buffer = io.BytesIO()
    torch.onnx.export(
        module, example, buffer, dynamo=False, opset_version=OPSET, input_names=list(inputs),
        output_names=list(outputs),
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
    assert not module.network.training
    return onnx.load_from_string(buffer.getvalue()), session


def assert_deployable(graph: onnx.ModelProto) -> None:
    operators = {node.op_type for node in graph.graph.node}
    assert not operators & NOT_IN_TENSORRT_8_2
    for node in graph.graph.node:
        if node.op_type == "GRU":
            attributes = {attribute.name: attribute.i for attribute in node.attribute}
            assert attributes.get("linear_before_reset") == 1
    onnx.checker.check_model(graph)


@torch.inference_mode()
def test_exported_step_agrees_with_a_memory_that_is_not_zero():
    model = network()
    step = StepModel(model)
    graph, session = export(step, step.example(), STEP_INPUTS, STEP_OUTPUTS)
    assert_deployable(graph)
    memory = [tensor.numpy() for tensor in model.start(1)]
    own = [torch.from_numpy(value) for value in memory]
    for t in range(12):
        features = torch.randn(1, 13, feature_count(PENN13), generator=torch.Generator().manual_seed(t))
        feeds = dict(zip(STEP_INPUTS, [features.numpy(), *memory], strict=True))
        got = session.run(list(STEP_OUTPUTS), feeds)
        expected = step(features, *own)
        for name, one, other in zip(STEP_OUTPUTS, got, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=f"{name} at frame {t}")
        memory, own = got[-len(STATE_NAMES) :], list(expected[-len(STATE_NAMES) :])
    assert np.abs(memory[0]).max() > 0.1


@torch.inference_mode()
def test_exported_clip_agrees():
    model = network()
    clip = ClipModel(model)
    graph, session = export(clip, clip.example(frames=16), CLIP_INPUTS, CLIP_OUTPUTS)
    assert_deployable(graph)
    assert "GRU" in {node.op_type for node in graph.graph.node}
    features = torch.randn(1, 16, 13, feature_count(PENN13))
    for name, one, other in zip(CLIP_OUTPUTS, session.run(None, {"features": features.numpy()}), clip(features),
                                strict=True):  # fmt: skip
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)


@torch.inference_mode()
def test_clip_model_is_forward_at_the_last_frame():
    model, features = network(), torch.randn(3, 10, 13, feature_count(PENN13))
    logits, actions, joint_weights, pose_weights = ClipModel(model)(features)
    output = model(features)
    np.testing.assert_allclose(logits, output.logits[:, -1], atol=1e-5)
    np.testing.assert_allclose(actions, output.action_logits, atol=1e-5)
    np.testing.assert_allclose(joint_weights, output.joints_attention, atol=1e-6)
    np.testing.assert_allclose(pose_weights.sum(dim=1), 1, atol=1e-5)
