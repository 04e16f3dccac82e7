"""Networks that are silently wrong do not pass: each of these loads, runs, and gives numbers of the right shape."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from refusals import refused
from torch.nn import functional

from pan_core.errors import GateError
from pan_core.export.artifacts import structure
from pan_core.export.check import ParityReport, check, pose_differences, step_difference
from pan_core.export.ncnn_file import check_layers, write_ncnn
from pan_core.export.pck import ScenePck, require_pck
from pan_core.model.streaming import STEP_INPUTS, STEP_OUTPUTS, StepModel
from pan_core.pose.onnx_export import DeployedNetwork
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.runtimes.session import open_model

TOLERANCES = {"step_tolerance": 1e-4, "pose_tolerance": 1e-4}
GOOD = ParityReport(
    step_difference=0.0, steps=200, streams=(200,), pose_difference=0.0, pose_output="pose.stage2", crops=200, accuracy=1.0, torch_accuracy=1.0, clips=100
)  # fmt: skip


@pytest.fixture(scope="module")
def host(made):
    return made.exported("host")


def report_on(made, step, pose):
    return check(ExportedNetwork(step), {"pose": open_model(pose)}, made.reference, calls=made.calls())


class SecondStage(torch.nn.Module):
    """The pose network in deployment form with the maps of its second stage."""

    def __init__(self, network):
        super().__init__()
        self.network = DeployedNetwork(network).eval()

    def forward(self, images):
        return self.network(images)[1]


def export_pose(module, path, size=160):
    torch.onnx.export(
        module, (torch.zeros(1, 3, size, size),), path, input_names=["images"], output_names=["stage2"], opset_version=13,
        dynamic_axes={"images": {0: "b"}, "stage2": {0: "b"}}, dynamo=False,
    )  # fmt: skip
    return path


def test_what_was_exported_passes(made, host):
    report = report_on(made, host / "step.onnx", host / "pose.onnx")
    report.require(**TOLERANCES)
    assert not report.find_faults(**TOLERANCES)
    assert report.steps == 60
    assert {4, 12} <= set(report.streams)
    assert max(report.streams) > 12


def test_symmetric_padding_at_stride_two_is_caught(made, host, tmp_path, monkeypatch):
    """Padding of one on every side keeps all shapes; the trained network pads at the bottom and on the right only."""
    pad = functional.pad
    monkeypatch.setattr(
        functional,
        "pad",
        lambda tensor, sides, *rest: pad(tensor, (1, 0, 1, 0) if sides == (0, 1, 0, 1) else sides, *rest),
    )
    broken = export_pose(SecondStage(made.pose), tmp_path / "pose.onnx")
    monkeypatch.undo()
    report = report_on(made, host / "step.onnx", broken)
    assert list(report.find_faults(**TOLERANCES)) == ["pose_difference"]
    with refused("parity.out-of-bounds", GateError):
        report.require(**TOLERANCES)
    # Half precision has a wide bound; it must not let this through either.
    assert pose_differences(open_model(broken), made.calls()["pose"])["stage2"] > 0.1


def test_a_reset_gate_before_the_product_is_caught(made, host, tmp_path, monkeypatch):
    """`linear_before_reset=0`: equal in the first frame, where the state is 0, and close to equal in the next few."""
    cell = made.model.model.recurrent

    def wrong(vector, hidden):
        weight = cell.cell.get_parameter
        from_input = functional.linear(vector, weight("weight_ih_l0"), weight("bias_ih_l0"))
        from_state = functional.linear(hidden, weight("weight_hh_l0"), weight("bias_hh_l0"))
        reset_x, keep_x, candidate_x = from_input.split(cell.hidden, dim=-1)
        reset_h, keep_h, _ = from_state.split(cell.hidden, dim=-1)
        reset, keep = torch.sigmoid(reset_x + reset_h), torch.sigmoid(keep_x + keep_h)
        matrix, bias = weight("weight_hh_l0")[2 * cell.hidden :], weight("bias_hh_l0")[2 * cell.hidden :]
        candidate = torch.tanh(candidate_x + functional.linear(reset * hidden, matrix, bias))
        return candidate + keep * (hidden - candidate)

    monkeypatch.setattr(cell, "step", wrong)
    step = StepModel(made.model.model)
    torch.onnx.export(
        step, step.example(), tmp_path / "step.onnx", input_names=list(STEP_INPUTS), output_names=list(STEP_OUTPUTS),
        opset_version=13, dynamo=False,
    )  # fmt: skip
    monkeypatch.undo()
    (tmp_path / "step.json").write_bytes((host / "step.json").read_bytes())
    report = report_on(made, tmp_path / "step.onnx", host / "pose.onnx")
    assert "step_difference" in report.find_faults(**TOLERANCES)
    with refused("parity.out-of-bounds", GateError):
        report.require(**TOLERANCES)


class Crops(CalibrationDataReader):
    def __init__(self, calls):
        self.rows = iter([{"images": call["images"]} for call in calls])

    def get_next(self):
        return next(self.rows, None)


def test_int8_with_one_scale_a_tensor_is_caught(made, host, tmp_path):
    quantize_static(
        host / "pose.onnx", tmp_path / "pose.onnx", Crops(made.calls()["pose"]), quant_format=QuantFormat.QDQ, per_channel=False,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    assert (
        pose_differences(open_model(tmp_path / "pose.onnx"), made.calls()["pose"])["stage2"] > 0.1
    )  # of maps that reach 1; the bound of half precision, the widest that any target has


def test_a_network_of_other_weights_is_caught(made, host, tmp_path):
    model = onnx.load(host / "step.onnx")
    first = next(weights for weights in model.graph.initializer if len(weights.dims) == 2)
    values = onnx.numpy_helper.to_array(first).copy()
    values[0] *= 1.05
    first.CopyFrom(onnx.numpy_helper.from_array(values, first.name))
    onnx.save(model, tmp_path / "step.onnx")
    (tmp_path / "step.json").write_bytes((host / "step.json").read_bytes())
    assert step_difference(ExportedNetwork(tmp_path / "step.onnx"), made.reference / "steps.npz")[0] > 1e-4


def test_not_a_number_is_no_small_difference(made, host, tmp_path):
    model = onnx.load(host / "step.onnx")
    last = model.graph.initializer[0]
    values = np.full(tuple(last.dims), np.nan, np.float32)
    last.CopyFrom(onnx.numpy_helper.from_array(values, last.name))
    onnx.save(model, tmp_path / "step.onnx")
    (tmp_path / "step.json").write_bytes((host / "step.json").read_bytes())
    report = report_on(made, tmp_path / "step.onnx", host / "pose.onnx")
    assert report.step_difference == np.inf
    assert "step_difference" in report.find_faults(**TOLERANCES)
    with refused("parity.out-of-bounds", GateError):
        report.require(**TOLERANCES)


@pytest.mark.parametrize("field", ["step_difference", "pose_difference", "accuracy"])
def test_a_figure_that_is_not_a_number_is_out_of_bounds(field):
    report = replace(GOOD, **{field: float("nan")})
    assert list(report.find_faults(**TOLERANCES)) == [field]


def test_accuracy_below_98_percent_of_torchs_is_refused():
    replace(GOOD, accuracy=0.88, torch_accuracy=0.89).require(**TOLERANCES)
    report = replace(GOOD, accuracy=0.87, torch_accuracy=0.89)
    with refused("parity.out-of-bounds", GateError) as raised:
        report.require(**TOLERANCES)
    assert list(report.find_faults(**TOLERANCES)) == ["accuracy"]
    assert "0.8722" in str(raised.value)


def test_joints_may_be_lost_by_one_point(tmp_path):
    made_from = ScenePck(looks=0.934, searches=0.8)
    require_pck(tmp_path / "pose.param", ScenePck(0.925, 0.791), made_from)
    for worse in (ScenePck(0.92, 0.8), ScenePck(0.934, 0.78), ScenePck(float("nan"), 0.8)):
        with refused("pck.too-low", GateError):
            require_pck(tmp_path / "pose.param", worse, made_from)


def test_an_operator_that_pnnx_leaves_untranslated_is_refused(tmp_path):
    class Sorted(torch.nn.Module):
        def forward(self, x):
            return torch.sort(x, dim=-1).values

    with pytest.raises(GateError) as raised:
        write_ncnn(
            Sorted().eval(),
            (torch.zeros(1, 8),),
            tmp_path / "sorted.param",
            inputs=["x"],
            outputs=["y"],
        )
    assert raised.value.code in ("ncnn.untranslated-layers", "ncnn.failed-conversion", "ncnn.unreadable")
    assert not list(tmp_path.glob("sorted.*"))


def test_ncnn_weights_of_another_file_are_refused(made, tmp_path):
    pi = made.exported("raspberry-pi-5")
    (tmp_path / "pose.param").write_bytes((pi / "pose.param").read_bytes())
    (tmp_path / "pose.bin").write_bytes((pi / "pose.bin").read_bytes()[:1000])
    with refused("ncnn.unreadable", GateError):
        check_layers(tmp_path / "pose.param")


def test_structure_is_that_of_the_network_not_of_its_weights(made, host, tmp_path):
    model = onnx.load(host / "step.onnx")
    weights = model.graph.initializer[0]
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) + np.float32(1), weights.name))
    onnx.save(model, tmp_path / "step.onnx")
    onnx.save(onnx.load(host / "pose.onnx"), tmp_path / "pose.onnx")
    (tmp_path / "pose.json").write_bytes((host / "pose.json").read_bytes())
    assert structure(tmp_path) == structure(host)
    pose = onnx.load(host / "pose.onnx")
    strides = next(each for node in pose.graph.node for each in node.attribute if each.name == "strides")
    strides.ints[:] = [3, 3]
    onnx.save(pose, tmp_path / "pose.onnx")
    assert structure(tmp_path) != structure(host)
    onnx.save(onnx.load(host / "pose.onnx"), tmp_path / "pose.onnx")
    model.graph.node[0].op_type = "Other"
    onnx.save(model, tmp_path / "step.onnx")
    assert structure(tmp_path) != structure(host)
