"""Networks of the user's own become files that every runtime takes, or are refused by name."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from refusals import refused

from pan_core.errors import ConfigError, DataError, GateError
from pan_core.export.artifacts import write_artifacts
from pan_core.export.check import pose_differences
from pan_core.export.ncnn_file import write_ncnn_network
from pan_core.export.onnx_rewriting import fold_casts
from pan_core.export.pose_networks import collect_networks, copy_declaration, input_shape, pose_model
from pan_core.export.reference import drawn_scenes, record_calls
from pan_core.export.targets import target_by_name
from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.model.streaming import StepModel
from pan_core.pose.crops import square_around
from pan_core.pose.declared import open_estimator, read_declaration
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.runtimes.max_error import relative_difference
from pan_core.runtimes.session import open_model
from pan_core.skeletons import OPENPOSE18

SETTINGS = ExtractionSettings(stages=2, search_stages=1, crop_size=96)


class SimCC(torch.nn.Module):
    """A tiny top-down network of random weights, after RTMPose: a distribution over x and one over y for each joint."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 4, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 17, 3, 4, 1)
        )
        self.across, self.down = torch.nn.Linear(12 * 16, 384), torch.nn.Linear(12 * 16, 512)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places = self.body(picture).flatten(2)
        return self.across(places), self.down(places)


def simcc_declaration(folder: Path, *, opset: int = 17) -> Path:
    torch.onnx.export(
        SimCC().eval(), (torch.zeros(1, 3, 256, 192),), folder / "own.onnx", input_names=["input"], opset_version=opset,
        output_names=["simcc_x", "simcc_y"], dynamo=False,
        dynamic_axes={name: {0: "batch"} for name in ("input", "simcc_x", "simcc_y")},
    )  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(
        "model: own.onnx\nsize: [192, 256]\nmin_score: 0.0\nmean: [123.7, 116.3, 103.5]\nstd: [58.4, 57.1, 57.4]\n"
    )
    return path


def people():
    return [(film[2], square_around(joints[2])) for film, joints in drawn_scenes(4, frames=3)]


def test_a_top_down_model_with_the_network_as_finder(tmp_path, pose_model_file):
    path = simcc_declaration(tmp_path)
    path.write_text(path.read_text() + f"finder: {pose_model_file}\n")
    folder = tmp_path / "networks"
    collect_networks(path, SETTINGS, folder)
    assert sorted(each.name for each in folder.iterdir()) == ["declaration.json", "finder.onnx", "pose.onnx"]
    assert input_shape(folder / "pose.onnx") == (1, 3, 256, 192)
    assert [value.name for value in onnx.load(folder / "finder.onnx").graph.output] == ["stage1"]
    (frame, square), *_ = people()
    here, there = (open_estimator(each, **SETTINGS.of_estimator()) for each in (path, pose_model(folder)))
    for answer in ("look", "search"):
        arguments = (frame, [square]) if answer == "look" else (frame,)
        np.testing.assert_array_equal(getattr(here, answer)(*arguments), getattr(there, answer)(*arguments))


@pytest.fixture
def pose_model_file(pose_model) -> Path:
    return pose_model


def test_it_answers_the_same_with_ncnn(tmp_path, pose_model_file):
    path = simcc_declaration(tmp_path)
    path.write_text(path.read_text() + f"finder: {pose_model_file}\n")
    folder = tmp_path / "networks"
    collect_networks(path, SETTINGS, folder)
    calls = record_calls(pose_model(folder), SETTINGS, people(), count=4)
    assert {name: len(made) for name, made in calls.items()} == {"pose": 4, "finder": 1}
    source = folder / "pose.onnx"
    for precision, bound in (("fp32", 1e-5), ("fp16", 5e-3)):
        written = tmp_path / precision / "pose.param"
        written.parent.mkdir()
        write_ncnn_network(onnx.load(source), written, shapes=[input_shape(source)], precision=precision)
        differences = pose_differences(open_model(written), calls["pose"])
        assert set(differences) == {"simcc_x", "simcc_y"}
        assert max(differences.values()) < bound


def test_a_declaration_that_names_no_outputs_names_all_of_them_on_a_device(tmp_path, pose_model_file):
    """Other runtimes may have another order."""
    path = simcc_declaration(tmp_path)
    path.write_text(path.read_text() + f"finder: {pose_model_file}\n")
    collect_networks(path, SETTINGS, tmp_path / "networks")
    copy_declaration(tmp_path / "networks", tmp_path, ".engine")
    written = read_declaration(tmp_path / "declaration.json")
    assert (written.outputs, written.model, written.finder) == (("simcc_x", "simcc_y"), "pose.engine", "finder.engine")
    assert written.mean == (123.7, 116.3, 103.5)


def graph(path: Path, nodes, *, kind=TensorProto.FLOAT, weights=(), extra=(), shape=(1, 3, 16, 16), opset=13) -> Path:
    inputs = [helper.make_tensor_value_info("picture", kind, shape), *extra]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)]
    made = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=7), path)
    return path


def declared(model: Path) -> Path:
    path = model.with_suffix(".yaml")
    path.write_text(f"model: {model.name}\nkind: bottom_up\ndecoding: keypoints\nsize: [16, 16]\n")
    return path


def test_a_second_input_is_refused(tmp_path):
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, (1, 3, 16, 16))
    model = graph(tmp_path / "m.onnx", [helper.make_node("Mul", ["picture", "mask"], ["answer"])], extra=[mask])
    with refused("pose-model.inputs", GateError) as raised:
        collect_networks(declared(model), SETTINGS, tmp_path / "networks")
    assert "mask" in str(raised.value)


def test_a_file_that_is_missing_or_no_declaration_is_refused(tmp_path):
    with refused("pose-model.missing", DataError):
        collect_networks(declared(tmp_path / "m.onnx"), SETTINGS, tmp_path / "networks")
    (tmp_path / "bad.yaml").write_text("model: m.onnx\nsize: 3\n")
    with refused("pose-declaration.invalid", ConfigError):
        collect_networks(tmp_path / "bad.yaml", SETTINGS, tmp_path / "networks")
    assert not (tmp_path / "networks").exists()


def test_whole_numbers_that_are_cast_first_become_floats_and_others_are_refused_for_devices(tmp_path):
    cast = helper.make_node("Cast", ["picture"], ["real"], to=TensorProto.FLOAT)
    halved = [cast, helper.make_node("Mul", ["real", "half"], ["answer"])]
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    model = graph(tmp_path / "m.onnx", halved, kind=TensorProto.INT32, weights=[half])
    path = declared(model)
    path.write_text(path.read_text() + "dtype: int32\n")
    collect_networks(path, SETTINGS, tmp_path / "networks")
    assert read_declaration(tmp_path / "networks" / "declaration.json").dtype == "float32"
    picture = np.arange(768).reshape(1, 3, 16, 16)
    whole = open_model(model).run({"picture": picture.astype(np.int32)}, ["answer"])
    floats = open_model(tmp_path / "networks" / "pose.onnx").run({"picture": picture.astype(np.float32)}, ["answer"])
    np.testing.assert_array_equal(whole, floats)
    added = helper.make_node("Add", ["picture", "picture"], ["twice"])
    tail = helper.make_node("Cast", ["twice"], ["answer"], to=TensorProto.FLOAT)
    path = declared(graph(tmp_path / "n.onnx", [added, tail], kind=TensorProto.INT32))
    path.write_text(path.read_text() + "dtype: int32\n")
    (tmp_path / "other").mkdir()
    with refused("pose-model.whole-numbers", GateError):
        exported_for_a_jetson(tmp_path / "other", path)
    assert read_declaration(tmp_path / "other" / "networks" / "declaration.json").dtype == "int32"


def test_weights_below_the_normal_numbers_of_16_bits_are_kept(tmp_path):
    """pnnx makes them zero, which changed MoveNet's maps by 7 %."""
    weights = np.array([3e-5, -6e-6, 1 / 3], np.float32).astype(np.float16)
    stored = numpy_helper.from_array(weights.reshape(1, 3, 1, 1), "stored")
    nodes = [
        helper.make_node("Cast", ["stored"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["picture", "weights"], ["answer"]),
    ]
    network = fold_casts(onnx.load(graph(tmp_path / "m.onnx", nodes, weights=[stored])))
    assert [node.op_type for node in network.graph.node] == ["Conv"]
    write_ncnn_network(network, tmp_path / "m.param", shapes=[(1, 3, 16, 16)], precision="fp16")
    picture = np.zeros((1, 3, 16, 16), np.float32)
    picture[0, [0, 1], 0, [0, 1]] = 255.0
    (answer,) = open_model(tmp_path / "m.param").run({"picture": picture}, ["answer"])
    expected = np.zeros((1, 1, 16, 16), np.float32)
    expected[0, 0, 0, :2] = 255.0 * weights[:2].astype(np.float32)
    np.testing.assert_allclose(answer, expected, rtol=1e-6)
    assert (tmp_path / "m.bin").stat().st_size == 4 + 8  # the mark, and three halves in whole words


def test_ncnn_reads_a_picture_that_is_padded_with_nothing_before_its_maxima(tmp_path):
    nodes = [
        helper.make_node("Pad", ["picture", "sides", "least"], ["wider"], mode="constant"),
        helper.make_node("MaxPool", ["wider"], ["answer"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    weights = [
        numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1]), "sides"),
        numpy_helper.from_array(np.array(-np.inf, np.float32), "least"),
    ]
    network = onnx.load(graph(tmp_path / "m.onnx", nodes, weights=weights))
    write_ncnn_network(network, tmp_path / "m.param", shapes=[(1, 3, 16, 16)], precision="fp32")
    picture = -np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    answers = [open_model(tmp_path / name).run({"picture": picture}, ["answer"])[0] for name in ("m.onnx", "m.param")]
    np.testing.assert_array_equal(*answers)
    assert answers[0].shape == (1, 3, 8, 8)


def test_an_array_that_is_given_to_ncnn_stays_as_it_is(tmp_path):
    """A network that begins with arithmetic works in place, which ended the process on NumPy's memory."""
    scale = numpy_helper.from_array(np.array(2.0, np.float32), "scale")
    network = onnx.load(
        graph(tmp_path / "m.onnx", [helper.make_node("Div", ["picture", "scale"], ["answer"])], weights=[scale])
    )
    write_ncnn_network(network, tmp_path / "m.param", shapes=[(1, 3, 16, 16)], precision="fp32")
    picture = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    before = picture.copy()
    (answer,) = open_model(tmp_path / "m.param").run({"picture": picture}, ["answer"])
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_allclose(answer, before / 2)


def test_a_difference_is_a_share_of_the_largest_value():
    wanted = [np.array([0.0, 50.0]), np.array([-100.0])]
    assert relative_difference([np.array([1.0, 50.0]), np.array([-100.0])], wanted) == pytest.approx(0.01)
    assert relative_difference([np.array([0.0, 50.0]), np.array([100.0])], wanted) == pytest.approx(2.0)
    for wrong in (np.array([np.nan, 50.0]), np.array([0.0, np.inf]), np.array([0.0])):
        assert relative_difference([wrong, np.array([-100.0])], wanted) == np.inf
    assert relative_difference([np.zeros(3)], [np.zeros(3)]) == 0.0


def test_ncnn_takes_whole_numbers_and_views(tmp_path):
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    model = graph(tmp_path / "m.onnx", [helper.make_node("Mul", ["picture", "half"], ["answer"])], weights=[half])
    write_ncnn_network(onnx.load(model), tmp_path / "m.param", shapes=[(1, 3, 16, 16)], precision="fp32")
    session = open_model(tmp_path / "m.param")
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    for given in (picture.transpose(0, 3, 1, 2), picture.transpose(0, 3, 1, 2).astype(np.int32)):
        (answer,) = session.run({"picture": given}, ["answer"])
        np.testing.assert_array_equal(answer, given / 2)


def test_a_name_of_two_words_is_refused_for_ncnn(tmp_path):
    network = onnx.load(graph(tmp_path / "m.onnx", [helper.make_node("Relu", ["picture"], ["answer"])]))
    network.graph.node[0].output[0] = network.graph.output[0].name = "the answer"
    with refused("ncnn.names", GateError):
        write_ncnn_network(network, tmp_path / "m.param", shapes=[(1, 3, 16, 16)], precision="fp32")
    assert not list(tmp_path.glob("m.param"))


def exported_for_a_jetson(folder: Path, declaration: Path) -> onnx.ModelProto:
    collect_networks(declaration, SETTINGS, folder / "networks")
    torch.manual_seed(0)
    settings = PanSettings(hidden=32, frame_channels=24, graph_channels=(16, 16))
    network = PAN(
        adjacency=OPENPOSE18.adjacency(), features=feature_count(OPENPOSE18), classes=3, actions=3, settings=settings
    )
    write_artifacts(
        folder / "nano", target_by_name("jetson-nano"), step=StepModel(network.eval()), description={}, networks=folder / "networks",
        crop_size=96,
    )  # fmt: skip
    return onnx.load(folder / "nano" / "pose.onnx")


def test_a_newer_opset_becomes_tensorrts_if_it_means_the_same(tmp_path, pose_model_file):
    path = simcc_declaration(tmp_path, opset=17)
    path.write_text(path.read_text() + f"finder: {pose_model_file}\n")
    written = exported_for_a_jetson(tmp_path, path)
    assert written.opset_import[0].version == 13
    calls = record_calls(pose_model(tmp_path / "networks"), SETTINGS, people(), count=2)
    differences = pose_differences(open_model(tmp_path / "nano" / "pose.onnx"), calls["pose"])
    assert max(differences.values()) == 0.0
    script = (tmp_path / "nano" / "declaration.json").read_text()
    assert '"finder.onnx"' in script


def test_an_operator_of_a_newer_opset_is_refused_for_tensorrt(tmp_path):
    scale = numpy_helper.from_array(np.ones(16, np.float32), "scale")
    node = helper.make_node("LayerNormalization", ["picture", "scale"], ["answer"])
    model = graph(tmp_path / "m.onnx", [node], weights=[scale], opset=17)
    with refused("onnx.opset", GateError) as raised:
        exported_for_a_jetson(tmp_path, declared(model))
    assert "opset 13" in str(raised.value)
