"""Exported recognizers compute what torch computes, and a wrong one is caught."""

import numpy as np
import onnx
import pytest
import torch
from refusals import refused

from pan_core.errors import GateError
from pan_core.export.onnx_file import check_operators, write_onnx
from pan_core.export.parity import clip_difference, require_parity, step_difference
from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.streaming import CLIP_INPUTS, CLIP_OUTPUTS, STEP_INPUTS, STEP_OUTPUTS, ClipModel, StepModel
from pan_core.skeletons import PENN13


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    settings = PanSettings(hidden=32, frame_channels=24, graph_channels=(16, 16))
    return PAN(
        adjacency=PENN13.adjacency(), features=feature_count(PENN13), classes=5, actions=4, settings=settings
    ).eval()


def features(*shape):
    return np.random.default_rng(0).normal(size=(*shape, PENN13.size, feature_count(PENN13))).astype(np.float32)


def export_step(network, path, opset=13):
    model = StepModel(network)
    write_onnx(model, model.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=opset)
    return model


@pytest.mark.parametrize("opset", [13, 17])
def test_step_agrees_with_torch_over_a_stream(network, tmp_path, opset):
    model = export_step(network, tmp_path / "step.onnx", opset)
    assert step_difference(tmp_path / "step.onnx", model, features(50)) < 1e-4
    assert onnx.load(tmp_path / "step.onnx").opset_import[0].version == opset


def test_clip_model_agrees_with_torch(network, tmp_path):
    model = ClipModel(network)
    write_onnx(model, model.example(32), tmp_path / "clip.onnx", inputs=CLIP_INPUTS, outputs=CLIP_OUTPUTS, opset=17)
    assert clip_difference(tmp_path / "clip.onnx", model, features(3, 32)) < 1e-4


def test_weights_of_another_network_are_caught(network, tmp_path):
    export_step(network, tmp_path / "step.onnx")
    torch.manual_seed(1)
    other = PAN(
        adjacency=PENN13.adjacency(), features=network.features, classes=5, actions=4, settings=network.settings
    )
    difference = step_difference(tmp_path / "step.onnx", StepModel(other), features(10))
    with refused("parity.out-of-bounds", GateError):
        require_parity(tmp_path / "step.onnx", difference, 1e-4)


def test_nan_is_no_agreement(tmp_path):
    with refused("parity.out-of-bounds", GateError):
        require_parity(tmp_path / "step.onnx", float("nan"), 1e-4)


def test_a_network_that_answers_nan_is_caught(network, tmp_path):
    model = export_step(network, tmp_path / "step.onnx")
    broken = onnx.load(tmp_path / "step.onnx")
    for weights in broken.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT:
            nan = np.full(tuple(weights.dims), np.nan, np.float32)
            weights.CopyFrom(onnx.numpy_helper.from_array(nan, weights.name))
    onnx.save(broken, tmp_path / "step.onnx")
    assert step_difference(tmp_path / "step.onnx", model, features(3)) == float("inf")


def graph_with(path, node):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, None)], [value("y", 1, None)])
    opset = onnx.helper.make_opsetid("", 13)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=7), path)
    return path


@pytest.mark.parametrize("operator", ["NonZero", "Mod", "OneHot"])
def test_an_operator_that_a_jetson_lacks_is_refused(tmp_path, operator):
    path = graph_with(tmp_path / "bad.onnx", onnx.helper.make_node(operator, ["x"], ["y"]))
    with refused("onnx.missing-operators", GateError) as raised:
        check_operators(path, opset=13)
    assert f"['{operator}']" in str(raised.value)


def test_a_reset_gate_on_the_wrong_side_is_refused(tmp_path):
    path = graph_with(tmp_path / "gru.onnx", onnx.helper.make_node("GRU", ["x", "x", "x"], ["y"], hidden_size=4))
    with refused("onnx.reset-gate", GateError):
        check_operators(path, opset=13)


def test_another_opset_than_asked_for_is_refused(network, tmp_path):
    export_step(network, tmp_path / "step.onnx", 17)
    with refused("onnx.opset", GateError):
        check_operators(tmp_path / "step.onnx", opset=13)
