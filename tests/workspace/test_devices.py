"""Devices of a workspace in which the pipeline has run: predicted at first, measured once a result is imported."""

import json
from dataclasses import asdict

import pytest

from pan_core.edge.result import DEVICE, write_result
from pan_core.pose.extraction_settings import ExtractionSettings

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]  # the whole pipeline runs first


def latency(p90):
    return {"p50_ms": 0.8 * p90, "p90_ms": p90, "p99_ms": 1.5 * p90, "mean_ms": 0.9 * p90, "count": 1024}


def device_result(folder, **changes):
    """What a Raspberry Pi 5 would write of the networks of this workspace."""
    exported = folder / "models" / "exported"
    gates = json.loads((exported / "targets" / "raspberry-pi-5" / "gates.json").read_text())
    told = json.loads((exported / "step.json").read_text())
    settings = json.loads(json.dumps(asdict(ExtractionSettings(**told["preprocessing"]["pose"]))))
    return {
        "format": "pan-latency-1", "kind": DEVICE, "target": "raspberry-pi-5", "structure": gates["structure"], "labels": told["labels"], "preprocessing": settings,
        "profile": {"name": "full", "runs": 5, "frames": 1024, "seconds": 60.0, "warmup": 30}, "threads": 4, "slowed": "",
        "video": {"sha256": "", "own": True}, "people": 1000, "steps": 1000,
        "measured_at": "2026-11-26T12:00:00Z", "frame": latency(35.0), "memory_mb": 300.0, "fps": 28.0, "bundle": "",
        "device": {"model": "Raspberry Pi 5 Model B Rev 1.0", "machine": "aarch64", "processor": ""},
        "parts": {"pan": latency(0.6)}, "camera": {"fps": 25.0, "frames": 5200, "dropped": 80},
        "runs": [latency(value) for value in (34.8, 35.0, 35.1, 35.3, 34.9)],
    } | changes  # fmt: skip


def test_from_prediction_to_measurement(finished):
    workspace, _ = finished
    workspace.set({"export.targets": ["host", "raspberry-pi-5"]})
    status, output = workspace.run("pan", "run")
    assert status == 0, output[-4000:]
    assert "raspberry-pi-5: not measured; predicted: " in output
    report = json.loads((workspace.folder / "reports" / "latency.json").read_text())
    assert report["devices"]["raspberry-pi-5"]["kind"] == "predicted"
    assert not report["devices"]["raspberry-pi-5"]["keeps"]
    assert report["raspberry-pi-5_predicted_fps"] > 0

    path = workspace.folder / "result.json"
    write_result(path, device_result(workspace.folder, labels=["Sitting"]))
    status, output = workspace.run("pan", "edge", "import", "result.json")
    assert status == 1
    assert "Sitting" in output
    kept = workspace.folder / "edge" / "results" / "raspberry-pi-5.json"
    assert not kept.exists()

    write_result(path, device_result(workspace.folder))
    status, output = workspace.run("pan", "edge", "import", "result.json")
    assert status == 0, output
    assert "the budget is kept" in output
    try:
        status, output = workspace.run("pan", "stage", "latency")
        assert status == 0, output
        report = json.loads((workspace.folder / "reports" / "latency.json").read_text())
        assert report["devices"]["raspberry-pi-5"]["kind"] == DEVICE
        assert report["raspberry-pi-5_measured_fps"] == 28.0
    finally:
        kept.unlink()
        assert workspace.run("dvc", "repro", "latency")[0] == 0


def test_bundles_of_what_was_exported(finished):
    workspace, _ = finished
    status, output = workspace.run("pan", "edge", "bundle")
    assert status == 0, output
    assert "pan-penn_action" in output
    assert (workspace.folder / "dist" / "host" / "manifest.json").is_file()
    assert (workspace.folder / "dist" / "raspberry-pi-5" / "models" / "pose.param").is_file()
    status, output = workspace.run("pan", "edge", "bundle", "--target", "jetson-nano")
    assert status == 1
    assert "export.targets" in output
