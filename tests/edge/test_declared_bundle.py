"""Declared networks go to devices through the gates that the project's own passes."""

import json
import shutil
import subprocess
from dataclasses import asdict

import onnx
import pytest
from refusals import refused
from without_torch import ABSENT, run_without_torch

from pan_core.edge.bundle_manifest import BundleManifest
from pan_core.edge.bundled import open_bundle
from pan_core.edge.roofline import count_layers, fit, predict_ms
from pan_core.errors import ConfigError, DataError
from pan_core.export.check import pose_differences
from pan_core.export.onnx_rewriting import fold_casts
from pan_core.export.pck import scene_pck
from pan_core.export.pose_networks import pose_model
from pan_core.export.targets import read_targets
from pan_core.files import read_json, write_json
from pan_core.params.load import load_params
from pan_core.pose.declared import open_estimator, read_declaration
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pretrained import DECLARATIONS, NETWORKS
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.runtimes.session import open_model
from pan_core.skeletons import COCO17, LAYOUTS
from pan_core.workspace.devices import predictions

MOVENET = DECLARATIONS["movenet"]
BY_PNNX = {"movenet_lightning": 554.3e6, "movenet_thunder": 2.476e9, "nanodet": 4.204e9}
"""Operations that pnnx prints when it converts the networks."""


@pytest.fixture(scope="module")
def host(made, tmp_path_factory):
    return made.bundle("host", tmp_path_factory.mktemp("movenet") / "host", model=MOVENET)


@pytest.fixture(scope="module")
def pi(made, tmp_path_factory):
    return made.bundle("raspberry-pi-5", tmp_path_factory.mktemp("movenet") / "pi", model=MOVENET)


def test_a_bundle_has_every_network_and_the_declaration(host, pi):
    for bundle, suffix in ((host, ".onnx"), (pi, ".param")):
        manifest = BundleManifest.read(bundle)
        assert manifest.content["models"] == {name: f"models/{name}{suffix}" for name in ("step", "detector", "pose")}
        assert manifest.pose_model == bundle / "models" / "declaration.json"
        declared = read_declaration(manifest.pose_model)
        assert (declared.path, declared.detector_path) == (manifest.model("pose"), manifest.model("detector"))
        assert (declared.size, declared.decoding, declared.skeleton) == ((192, 192), "movenet", COCO17)
        assert not (bundle / "pan_core" / "pose" / "declaration_file.py").exists()


def test_runs_without_yaml_pydantic_and_torch_and_says_what_the_workstation_says(made, host, person_video, tmp_path):
    done = run_without_torch(host, "run", str(person_video), "--out", "device", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    extractor = PoseExtractor(MOVENET, settings=open_bundle(host).extractor.settings)
    expected = asdict(Recognizer(TorchNetwork(made.model), extractor, "small").predict(person_video))
    got = json.loads((tmp_path / "device" / "person_timeline.json").read_text())
    assert got["confidence"] == pytest.approx(expected["confidence"], abs=2e-4)
    spans = [
        [(each["label"], each["start_s"], each["end_s"]) for each in found["people"][0]["segments"]]
        for found in (got, expected)
    ]
    assert spans[0] == spans[1]
    assert spans[0]


def test_a_pis_bundle_checks_itself_with_ncnn_alone(pi, tmp_path):
    done = run_without_torch(pi, "check", "--any-device", folder=tmp_path, absent=(*ABSENT, "onnxruntime"))
    assert done.returncode == 0, done.stderr
    assert "of 4 test clips" in done.stdout


def test_half_precision_costs_movenet_nothing_as_its_weights_are_of_16_bits(made, pi):
    """The published weights have 16 bits; only the order of sums differs, so the bound of single precision holds on this machine."""
    found = open_bundle(pi, any_device=True).check()
    assert 0 < found.pose_difference < 1e-4
    assert found.crops == 4  # three looks and a search
    exported = made.exported("raspberry-pi-5", model=MOVENET)
    weights = sum(NETWORKS[name].stat().st_size for name in ("movenet_lightning", "nanodet"))
    assert sum(path.stat().st_size for path in exported.glob("*.bin")) < weights + 1.3e6


def test_joints_are_those_of_the_source_in_crops_and_in_whole_frames(made, pi):
    settings = open_bundle(pi, any_device=True).extractor.settings
    found = scene_pck(pose_model(made.exported("raspberry-pi-5", model=MOVENET), ".param"), settings, scenes=1)
    assert found == scene_pck(MOVENET, settings, scenes=1)
    assert min(found.looks, found.searches) > 0.9


@pytest.mark.parametrize(("name", "output"), [("pose", "maps"), ("detector", "scores")])
def test_one_wrong_filter_of_a_network_is_caught(made, tmp_path, name, output):
    model = onnx.load(made.exported("host", model=MOVENET) / f"{name}.onnx")
    filters = max(model.graph.initializer, key=lambda weights: len(weights.dims) == 4 and weights.dims[0])
    values = onnx.numpy_helper.to_array(filters).copy()
    values[0] *= -1
    filters.CopyFrom(onnx.numpy_helper.from_array(values, filters.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    differences = pose_differences(open_model(tmp_path / "wrong.onnx"), made.recorded(MOVENET)[name])
    assert max(differences.values()) > 1e-3
    assert output in differences


def test_a_jetson_builds_networks_of_one_size_without_shapes(made, tmp_path):
    bundle = made.bundle("jetson-nano", tmp_path / "nano", model=MOVENET)
    script = (bundle / "build_engines.sh").read_text()
    assert "\nbuild detector --fp16 --workspace=512\nbuild pose --fp16 --workspace=512\n" in script
    assert subprocess.run(["sh", "-n", str(bundle / "build_engines.sh")], check=False).returncode == 0
    declared = read_declaration(bundle / "models" / "declaration.json")
    assert (declared.model, declared.detector) == ("pose.engine", "detector.engine")
    with refused("engine.not-built", DataError):
        open_bundle(bundle, any_device=True)
    # TensorRT 8.2 needs the weights of a convolution as such, not behind a cast.
    assert "Cast" not in {node.op_type for node in onnx.load(bundle / "models" / "pose.onnx").graph.node}


@pytest.mark.parametrize("name", sorted(BY_PNNX))
def test_operations_are_those_that_pnnx_counts(name):
    model = onnx.load(NETWORKS[name])
    shape = [side.dim_value or 416 for side in model.graph.input[0].type.tensor_type.shape.dim]
    layers = count_layers(fold_casts(model).SerializeToString(), {model.graph.input[0].name: shape})
    operations = sum(layer.operations for layer in layers if layer.name == "Conv")
    assert operations == pytest.approx(BY_PNNX[name], rel=0.03)


def test_a_declaration_in_json_is_only_what_a_bundle_has(host, tmp_path):
    content = read_json(host / "models" / "declaration.json")
    for changed in (content | {"colour": "red"}, {name: content[name] for name in content if name != "size"}):
        write_json(tmp_path / "own.json", changed)
        with refused("pose-declaration.invalid", ConfigError):
            read_declaration(tmp_path / "own.json")
    spelt_out = content | {"layout": LAYOUTS["coco17"].as_dict()}
    write_json(tmp_path / "own.json", spelt_out)
    assert read_declaration(tmp_path / "own.json").skeleton.joints == COCO17.joints


def test_a_bundle_without_its_detector_is_refused(host, tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("declaration.json", "pose.onnx"):
        (tmp_path / "models" / name).write_bytes((host / "models" / name).read_bytes())
    with refused("network.missing", DataError):
        open_estimator(tmp_path / "models" / "declaration.json")


def test_a_search_is_predicted_as_a_detection_and_a_look(made, tmp_path, monkeypatch):
    params, host = load_params(), made.exported("host", model=MOVENET)
    exported = tmp_path / "models" / "exported"
    shutil.copytree(made.networks(MOVENET), exported / "pose")
    for name in ("step.onnx", "step.json"):
        shutil.copy2(host / name, exported)
    (tmp_path / "edge").mkdir()
    shutil.copy2("edge/targets.yaml", tmp_path / "edge")
    monkeypatch.chdir(tmp_path)
    found = predictions(params)["raspberry-pi-5"]
    target = read_targets()["raspberry-pi-5"]
    detector = count_layers(
        fold_casts(onnx.load(NETWORKS["nanodet"])).SerializeToString(), {"images": (1, 3, 416, 416)}
    )
    alone = predict_ms(detector, target.peaks, number_bytes=2, share=fit().share)
    assert found["search"] == pytest.approx(alone + found["crop"])
    settings = ExtractionSettings(**read_json(exported / "step.json")["preprocessing"]["pose"])
    amortised = found["crop"] / settings.look_every + found["search"] / settings.search_every + found["step"]
    assert found["frame"] == pytest.approx(amortised)
    shutil.rmtree(exported / "pose")
    with refused("export.missing", DataError):
        predictions(params)
