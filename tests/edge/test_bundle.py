"""A bundle is whole or refused, runs without torch, and says what the workstation says."""

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from refusals import refused
from without_torch import ABSENT, run_without_torch

from pan_core.edge.bundle import MOST_BYTES, write_bundle
from pan_core.edge.bundle_manifest import BundleManifest, is_device
from pan_core.edge.bundled import open_bundle
from pan_core.edge.gates import read_gates, write_gates
from pan_core.edge.result import content_hash
from pan_core.errors import DataError, GateError
from pan_core.export.artifacts import structure
from pan_core.export.check import pose_differences, read_calls
from pan_core.files import read_json, sha256_of, write_json
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.recognition.event_rules import RULES_FILE, Rule, write_rules
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.runtimes.session import open_model

BUNDLED = ExtractionSettings(stages=2, search_stages=2, crop_size=160)
"""Settings of the bundles of this root."""

IMPORT_ALL = """
from importlib import import_module
for name in sys.argv[3:]:
    import_module(name)
assert not set(sys.argv[1].split(",")) & {name.partition(".")[0] for name in sys.modules}
"""
WORKSTATION = ("torch", "scipy", "pandas")
"""Libraries that no module of a bundle imports, late imports included."""
DEVICE_PACKAGES = {
    "edge", "evaluation", "export", "live", "model", "pose", "pose.pretrained", "recognition", "runtimes", "viewer",
}  # fmt: skip


def copied(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def test_manifest_names_every_file_and_what_made_it(host_bundle):
    manifest = json.loads((host_bundle / "manifest.json").read_text())
    on_disk = {str(path.relative_to(host_bundle)) for path in host_bundle.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == on_disk - {"manifest.json"}
    assert all(sha256_of(host_bundle / name) == digest for name, digest in manifest["files"].items())
    assert manifest["labels"] == ["Clapping", "Running", "Waving"]
    assert manifest["preprocessing"]["stages"] == 2
    assert len(manifest["layout"]["joints"]) == 18
    assert {"torch", "onnxruntime", "pan"} <= set(manifest["versions"])


@pytest.mark.parametrize("target", ["host", "raspberry-pi-5", "jetson-nano"])
def test_small_enough_to_send(made, tmp_path, target):
    bundle = made.bundle(target, tmp_path / target)
    assert sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) < MOST_BYTES
    assert os.access(bundle / "pan-edge", os.X_OK)
    assert os.access(bundle / "install.sh", os.X_OK)
    assert (bundle / "build_engines.sh").is_file() == (target == "jetson-nano")
    for script in bundle.glob("*.sh"):
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
        assert "@" not in script.read_text().replace("@HERE@", "").replace("@SOURCE@", "").replace(
            "@USER@", ""
        ).replace('"$@"', "")


def test_engines_of_a_jetson_are_built_for_the_shapes_that_are_fed(made, tmp_path):
    script = (made.bundle("jetson-nano", tmp_path / "nano") / "build_engines.sh").read_text()
    assert "--fp16" in script
    # So the bound is that of half precision, although the ONNX file is held to a closer one when it is exported.
    assert read_json(tmp_path / "nano" / "manifest.json")["tolerances"] == {"step": 1e-4, "pose": 0.1}
    assert "--minShapes=features:1x18x33,hidden:1x32,maximum:1x8,numerator:1x32,denominator:1x8" in script


def test_runs_without_torch_and_says_what_the_workstation_says(made, host_bundle, person_video, tmp_path):
    done = run_without_torch(host_bundle, "run", str(person_video), "--out", "device", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    recognizer = Recognizer(TorchNetwork(made.model), open_bundle(host_bundle).extractor, "small")
    expected = asdict(recognizer.predict(person_video))
    got = json.loads((tmp_path / "device" / "person_timeline.json").read_text())
    assert got["label"] == expected["label"]
    assert got["confidence"] == pytest.approx(expected["confidence"], abs=2e-4)
    assert len(got["people"]) == len(expected["people"]) == 1
    for mine, theirs in zip(got["people"][0]["segments"], expected["people"][0]["segments"], strict=True):
        assert (mine["label"], mine["start_s"], mine["end_s"]) == (theirs["label"], theirs["start_s"], theirs["end_s"])
        assert mine["confidence"] == pytest.approx(theirs["confidence"], abs=2e-4)


def modules_of(bundle):
    """Files of the bundle's own package, by the name of the module."""
    paths = [path.relative_to(bundle) for path in sorted(bundle.glob("pan_core/**/*.py"))]
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): bundle / path for path in paths}


def test_every_module_of_a_bundle_can_be_imported_without_torch_scipy_and_pandas(host_bundle, tmp_path):
    names = modules_of(host_bundle)
    assert {"pan_core.edge.app", "pan_core.live.decoder", "pan_core.runtimes.tensorrt_worker"} <= set(names)
    done = run_without_torch(host_bundle, *names, folder=tmp_path, absent=WORKSTATION, program=IMPORT_ALL)
    assert done.returncode == 0, done.stderr


def test_no_late_import_of_a_bundle_needs_torch_scipy_or_pandas(host_bundle):
    for name, file in modules_of(host_bundle).items():
        for node in ast.walk(ast.parse(file.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not [each for each in imported if each.partition(".")[0] in WORKSTATION], name


def test_what_only_a_workstation_does_stays_there(host_bundle):
    modules = modules_of(host_bundle)
    packages = {name for name, file in modules.items() if file.name == "__init__.py"}
    assert packages == {"pan_core", *(f"pan_core.{name}" for name in DEVICE_PACKAGES)}
    of_evaluation = {name for name in modules if name.startswith("pan_core.evaluation.")}
    assert of_evaluation == {"pan_core.evaluation.latency"}


def test_checks_itself_without_torch(host_bundle, tmp_path):
    done = run_without_torch(host_bundle, "check", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of 4 test clips" in done.stdout


def test_frames_are_searched_by_another_stage_without_torch(made, tmp_path):
    """Nothing there can cut a file: each stage has one of its own, and the gates look at both."""
    bundle = made.bundle("host", tmp_path / "host", search=1)
    assert (bundle / "models" / "pose_search.onnx").is_file()
    done = run_without_torch(bundle, "check", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    calls = {name: read_calls(bundle / "reference" / f"{name}.npz") for name in ("pose", "pose_search")}
    search = open_model(BundleManifest.read(bundle).model("pose_search"))
    assert pose_differences(search, calls["pose_search"])["stage1"] < 1e-4
    answers = [call | {"stage1": call["stage2"]} for call in calls["pose"]]
    assert (
        pose_differences(search, [{name: call[name] for name in ("images", "stage1")} for call in answers])["stage1"]
        > 1e-2
    )


def test_only_what_passed_the_gates_is_packed(made, tmp_path):
    exported = shutil.copytree(made.exported("host"), tmp_path / "exported")
    target = made.target("host")
    read_gates(exported, target)
    with refused("gates.other-settings", DataError) as raised:
        read_gates(exported, target.model_copy(update={"opset": 13}))
    assert set(faults_by_name(raised.value)) == {"opset"}
    with (exported / "pose.onnx").open("ab") as model:
        model.write(b"\0")
    with refused("gates.changed-files", DataError) as raised:
        read_gates(exported, target)
    assert set(faults_by_name(raised.value)) == {"pose.onnx"}


def test_a_pis_bundle_needs_no_other_runtime_than_its_own(made, tmp_path):
    bundle = made.bundle("raspberry-pi-5", tmp_path / "pi")
    done = run_without_torch(bundle, "check", "--any-device", folder=tmp_path, absent=(*ABSENT, "onnxruntime"))
    assert done.returncode == 0, done.stderr


def test_the_pis_networks_answer_as_torch_does(made, tmp_path):
    bundle = made.bundle("raspberry-pi-5", tmp_path / "pi")
    found = open_bundle(bundle, any_device=True).check()
    assert found.step_difference < 1e-4
    assert 1e-5 < found.pose_difference < 0.1  # weights in half precision
    assert found.accuracy == found.torch_accuracy


def test_one_byte_changed_is_told_by_name(host_bundle, tmp_path):
    bundle = copied(host_bundle, tmp_path)
    model = bundle / "models" / "pose.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    (bundle / "reference" / "clips.npz").unlink()
    with refused("bundle.changed-files", DataError) as raised:
        BundleManifest.read(bundle)
    faults = faults_by_name(raised.value)
    assert set(faults) == {"models/pose.onnx", "reference/clips.npz"}
    assert faults["models/pose.onnx"].startswith("changed")
    assert faults["reference/clips.npz"] == "missing"


def faults_by_name(error):
    """Names of the files or settings that a message lists, each with what is wrong with it."""
    lines = [line.removeprefix("  - ") for line in str(error).splitlines() if line.startswith("  - ")]
    return dict(line.split(": ", 1) for line in lines)


def repacked(bundle, change):
    """The bundle with another manifest."""
    manifest = read_json(bundle / "manifest.json")
    change(manifest)
    manifest["sha256"] = content_hash(manifest)
    write_json(bundle / "manifest.json", manifest)


def test_a_manifest_changed_by_hand_is_refused(host_bundle, tmp_path):
    bundle = copied(host_bundle, tmp_path)
    manifest = read_json(bundle / "manifest.json")
    manifest["tolerances"]["pose"] = 1.0
    write_json(bundle / "manifest.json", manifest)
    with refused("bundle.changed-manifest", DataError):
        BundleManifest.read(bundle)


def test_files_of_another_bundle_are_refused_and_those_made_there_are_not(host_bundle, tmp_path):
    bundle = copied(host_bundle, tmp_path)
    for made_there in ("result.json", "events.jsonl", "models/pose.engine", ".venv/a.py", "pan_core/__pycache__/a.pyc"):
        (bundle / made_there).parent.mkdir(exist_ok=True)
        (bundle / made_there).touch()
    BundleManifest.read(bundle)
    for stranger in ("pan_core/old.py", "numpy.py"):
        (bundle / stranger).touch()
    with refused("bundle.changed-files", DataError) as raised:
        BundleManifest.read(bundle)
    assert set(faults_by_name(raised.value)) == {"pan_core/old.py", "numpy.py"}


def test_an_engine_of_another_file_is_refused(made, tmp_path):
    """The script itself builds, with a stand-in for trtexec."""
    bundle = made.bundle("jetson-nano", tmp_path / "nano")
    trtexec = tmp_path / "trtexec"
    trtexec.write_text('#!/bin/sh\nfor one; do case $one in --saveEngine=*) : > "${one#*=}" ;; esac; done\n')
    trtexec.chmod(0o755)
    subprocess.run(
        [str(bundle / "build_engines.sh")], env=os.environ | {"TRTEXEC": str(trtexec)}, check=True, capture_output=True
    )
    manifest = BundleManifest.read(bundle)
    assert [manifest.model(name).name for name in ("step", "pose")] == ["step.engine", "pose.engine"]
    note = bundle / "models" / "pose.engine.source"
    note.write_text("0" * 64)
    with refused("engine.other-source", DataError):
        manifest.model("pose")
    note.unlink()
    with refused("engine.unknown-source", DataError):
        manifest.model("pose")


@pytest.mark.parametrize(
    ("model", "is_it"),
    [("Raspberry Pi 5 Model B Rev 1.0", True), ("Raspberry Pi 500 Rev 1.0", False), ("Raspberry Pi 4 Model B", False)],
)
def test_a_board_is_known_by_whole_words(model, is_it):
    assert is_device("Raspberry Pi 5", model) == is_it


def test_another_label_set_is_refused(host_bundle, tmp_path):
    bundle = copied(host_bundle, tmp_path)
    repacked(bundle, lambda manifest: manifest.update(labels=["Sitting", "Running", "Waving"]))
    with refused("bundle.other-recognizer", DataError) as raised:
        BundleManifest.read(bundle)
    assert "labels" in str(raised.value)


def test_a_bundle_of_another_version_is_refused(host_bundle, tmp_path):
    bundle = copied(host_bundle, tmp_path)
    repacked(bundle, lambda manifest: manifest.update(format="pan-edge-0"))
    with refused("bundle.format", DataError):
        BundleManifest.read(bundle)


def test_no_bundle(tmp_path):
    with refused("bundle.missing", DataError):
        BundleManifest.read(tmp_path)


def test_a_bundle_for_another_device_is_refused(made, tmp_path):
    bundle = made.bundle("raspberry-pi-4", tmp_path / "pi4")
    done = subprocess.run([str(bundle / "pan-edge"), "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert "made for raspberry-pi-4 (Raspberry Pi 4)" in done.stderr


def test_engines_that_were_not_built_are_told(made, tmp_path):
    bundle = made.bundle("jetson-nano", tmp_path / "nano")
    with refused("engine.not-built", DataError) as raised:
        open_bundle(bundle, any_device=True)
    assert "./build_engines.sh" in str(raised.value)


def test_too_large_a_bundle_is_refused(made, tmp_path, monkeypatch):
    monkeypatch.setattr("pan_core.edge.bundle.MOST_BYTES", 1_000_000)
    with refused("bundle.too-large", GateError):
        made.bundle("host", tmp_path / "large")
    assert not (tmp_path / "large").exists()


def test_a_live_source_is_watched_on_the_device(host_bundle, person_video, tmp_path):
    """A folder of videos goes the way of a camera: its decoder is a process of the bundle's own package."""
    (tmp_path / "videos").mkdir()
    shutil.copy2(person_video, tmp_path / "videos")
    done = subprocess.run(
        [str(host_bundle / "pan-edge"), "run", "videos", "--events", "events.jsonl"], cwd=tmp_path, capture_output=True,
        text=True, timeout=120, check=False, env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "recognizer: small" in done.stdout
    assert "without fitted thresholds" in done.stdout
    assert "videos: ended" in done.stdout


def test_rules_of_events_go_to_the_device_and_belong_to_its_recognizer(made, tmp_path, monkeypatch):
    """They lie beside the exported network, so the gates and the manifest have their hash."""
    exported = tmp_path / "exported"
    shutil.copytree(made.exported("host"), exported)
    rules = {"Waving": Rule(threshold=0.8, release=0.5, minimum_s=0.2)}
    write_rules(exported, rules)
    with refused("gates.changed-files", DataError):
        write_host_bundle(made, exported, tmp_path / "refused")
    write_gates(exported, made.target("host"), {"structure": structure(exported)})
    write_host_bundle(made, exported, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").recognizer.rules == rules
    (tmp_path / "bundle" / "models" / RULES_FILE).write_text("{}")
    with refused("bundle.changed-files", DataError):
        open_bundle(tmp_path / "bundle")


def write_host_bundle(made, exported, folder):
    write_bundle(
        folder, made.target("host"), exported=exported, reference=made.reference_for(BUNDLED.search_stages),
        settings=asdict(BUNDLED), step_tolerance=1e-4, recognizer="small", mlflow_run_id="none",
    )  # fmt: skip
