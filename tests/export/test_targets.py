"""Targets are read whole or refused with every fault."""

from refusals import refused

from pan_core.errors import ConfigError, DataError
from pan_core.export.targets import read_targets, target_by_name


def test_the_projects_own_targets():
    targets = read_targets()
    assert {"jetson-nano", "raspberry-pi-4", "raspberry-pi-5", "host"} <= set(targets)
    nano = targets["jetson-nano"]
    assert (nano.runtime, nano.precision, nano.opset, nano.budget.fps) == ("tensorrt", "fp16", 13, 20)
    assert [targets[name].budget.fps for name in ("raspberry-pi-5", "raspberry-pi-4")] == [25, 10]


def test_a_jetsons_file_is_single_precision_and_its_engine_is_not():
    targets = read_targets()
    bounds = {name: (targets[name].file_tolerance, targets[name].pose_tolerance) for name in targets}
    assert bounds["jetson-nano"] == (1e-4, 0.1)
    assert bounds["raspberry-pi-5"] == (0.1, 0.1)
    assert bounds["host"] == (1e-4, 1e-4)


def test_every_fault_is_told_at_once(tmp_path):
    path = tmp_path / "targets.yaml"
    path.write_text(
        "a: {runtime: tensorrt, precision: fp16, opset: 17, memory_mb: 1}\n"
        "b: {runtime: tflite, precision: fp32, memory_mb: 1}\n"
        "c: {runtime: ncnn, precision: fp16, memory_mb: 1, budget: {fps: -1, step_ms: 1}, colour: red}\n"
    )
    with refused("targets.faults", ConfigError) as raised:
        read_targets(path)
    assert set(raised.value.names) == {"a", "b.runtime", "c.budget.fps", "c.colour"}
    (opset,) = (fault for fault in raised.value.faults if fault.startswith("a:"))
    assert "TensorRT 8.2 reads opset 13 at most, but got 17" in opset


def test_a_name_that_is_nearly_right():
    with refused("target.unknown", DataError) as raised:
        target_by_name("raspberry-pi5")
    assert "did you mean 'raspberry-pi-5'?" in str(raised.value)


def test_no_mapping(tmp_path):
    path = tmp_path / "targets.yaml"
    path.write_text("- host\n")
    with refused("targets.no-mapping", ConfigError):
        read_targets(path)
