"""Stage export: the clip model and the one-frame step as ONNX, and both networks of every target, each equal to torch."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.edge.gates import write_gates
from pan_core.export.artifacts import Artifacts, step_description, structure, write_artifacts
from pan_core.export.check import ParityReport, check
from pan_core.export.onnx_file import check_operators, write_onnx
from pan_core.export.parity import clip_difference, require_parity, step_difference
from pan_core.export.pck import require_pck, scene_pck
from pan_core.export.reference import keep_crops, real_crops, write_clips, write_crops, write_steps
from pan_core.export.targets import Target, target_by_name
from pan_core.files import read_json, replace_folder, sha256_of, write_json
from pan_core.model.features import PoseFeatures
from pan_core.model.store import LoadedModel, load_model
from pan_core.model.streaming import CLIP_INPUTS, CLIP_OUTPUTS, STEP_INPUTS, STEP_OUTPUTS, ClipModel, StepModel
from pan_core.params.load import Params
from pan_core.pose.archive import fetch_archive
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.inference import pose_sessions
from pan_core.pose.weights import load_network
from pan_core.progress import progress_bar
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.tracking.tracker import Run
from pan_core.training.samples import Samples
from pan_core.workspace import paths
from pan_core.workspace.own_network import require_own_network
from pan_core.workspace.result_keys import exported_key
from pan_core.workspace.training_data import read_training_data

PARITY_CLIPS = 20
BUNDLED_CROPS = 6
"""Pictures that stay in the reference, which goes to devices."""


def run(params: Params, tracked: Run) -> dict:
    """Export the recognizers of the first split in use, then what each target runs.

    Raises:
        ConfigError: If a target would run another pose network than the one that found the people.
    """
    require_own_network(params)
    targets = [target_by_name(name) for name in params.export.targets]
    folder = replace_folder(paths.EXPORTED)
    figures: dict[str, object] = {}
    steps = len(params.train.modes) + 2 + len(targets)
    with progress_bar("export", "model") as update:
        for done, mode in enumerate(params.train.modes, start=1):
            figures |= {exported_key(mode, key): value for key, value in _export_onnx(params, mode).items()}
            update(done, steps)
        shutil.copy2(paths.own_pose_network(), folder / "pose.onnx")
        if targets:
            exporter = TargetExporter(params)
            update(steps - len(targets), steps)
        for done, target in enumerate(targets, start=steps - len(targets) + 1):
            figures |= {exported_key(target.name, key): value for key, value in exporter.export(target).items()}
            update(done, steps)
    if targets:
        keep_crops(paths.REFERENCE / "crops.npz", BUNDLED_CROPS)
    tracked.artifact(folder, "exported")
    return figures


class TargetExporter:
    """Exports both networks of a target: the trained ones, reference outputs on real inputs, and what is exported so far."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._source = paths.model_folder("online", params.split.splits[0])
        self._loaded = load_model(self._source)
        # Skeletons as the recognizer learnt them.
        settings: Any = self._loaded.preprocessing.get("pose", params.pose.extraction())
        self._settings = ExtractionSettings(**settings)
        archive = fetch_archive(paths.downloaded_weights(), mirror=paths.mirror())
        self._pose = load_network(archive).eval()
        self._write_references()
        self._pck = scene_pck(paths.own_pose_network(), self._settings, scenes=params.export.scenes)
        self._exported: dict[tuple[str, str, int], tuple[Path, dict]] = {}

    def export(self, target: Target) -> dict:
        """Write the networks of a target and compare them with torch; equal ones of another target are copied."""
        folder = paths.exported_for(target.name)
        kind = (target.runtime, target.precision, target.opset)
        if kind in self._exported:
            source, figures = self._exported[kind]
            shutil.copytree(source, folder)
            return figures
        made = write_artifacts(
            folder, target, step=StepModel(self._loaded.model), description=read_json(self._source / "model.json"),
            pose=self._pose, pose_onnx=paths.own_pose_network(), stages=self._stages,
            crop_size=self._settings.crop_size,
        )  # fmt: skip
        figures = self._compare(target, made)
        write_gates(folder, target, figures)
        self._exported[kind] = folder, figures
        return figures

    @property
    def _stages(self) -> tuple[int, int]:
        return self._settings.stages, self._settings.search_stages

    def _compare(self, target: Target, made: Artifacts) -> dict:
        pose, search = pose_sessions(made.pose, self._settings)
        found: ParityReport = check(ExportedNetwork(made.step), pose, paths.REFERENCE, search=search)
        found.require(step_tolerance=self._params.export.tolerance, pose_tolerance=target.file_tolerance)
        accurate = scene_pck(made.pose, self._settings, scenes=self._params.export.scenes)
        require_pck(made.pose, accurate, self._pck)
        return {
            "step_difference": found.step_difference,
            "step_inputs": found.steps,
            "streams": list(found.streams),
            "pose_difference": found.pose_difference,
            "pose_inputs": found.crops,
            "accuracy": found.accuracy,
            "torch_accuracy": found.torch_accuracy,
            "accuracy_clips": found.clips,
            "pck": accurate,
            "torch_pck": self._pck,
            "structure": structure(made.step.parent),
            "bytes": sum(path.stat().st_size for path in made.step.parent.iterdir()),
            "operators": list(made.operators),
        }

    def _write_references(self) -> None:
        params, data = self._params, read_training_data()
        samples = data.samples(params.model, mode="online", split=params.split.splits[0], part="test")
        if samples.layout != self._loaded.layout:
            samples = samples.in_layout(self._loaded.layout)
        samples = _draw_clips(samples, params.export.clips, params.seed)
        network = TorchNetwork(self._loaded)
        folder = paths.REFERENCE
        folder.mkdir()
        write_steps(folder / "steps.npz", network, samples, inputs=params.export.inputs)
        write_clips(folder / "clips.npz", network, samples)
        test = data.clips[data.clips[f"split{params.split.splits[0]}"] == "test"]
        if not params.pose.keep_video:  # pictures of people would outlive the videos
            test = test[:0]
        crops = real_crops(
            test.sample(frac=1, random_state=params.seed), data.poses, paths.RAW, count=params.export.inputs,
            size=self._settings.crop_size,
        )  # fmt: skip
        write_crops(folder / "crops.npz", self._pose, crops, stages=self._stages)


def _draw_clips(samples: Samples, most: int, seed: int) -> Samples:
    """At most so many clips, drawn at random."""
    chosen = np.random.default_rng(seed).permutation(len(samples))[:most]
    return samples.select(np.sort(chosen))


def _export_onnx(params: Params, mode: str) -> dict:
    source = paths.model_folder(mode, params.split.splits[0])
    loaded = load_model(source)
    path = paths.EXPORTED / ("clip.onnx" if mode == "clip" else "step.onnx")
    description, features = read_json(source / "model.json"), _features(params, loaded)
    if mode == "clip":
        difference = _export_clip_model(ClipModel(loaded.model), path, features, opset=params.export.opset)
    else:
        step_model = StepModel(loaded.model)
        difference = _export_step_model(step_model, path, features, opset=params.export.opset)
        description |= step_description(step_model)
    write_json(path.with_suffix(".json"), description)
    require_parity(path, difference, params.export.tolerance)
    return {
        "difference": difference,
        "bytes": path.stat().st_size,
        "params": sum(p.numel() for p in loaded.model.parameters()),
        "sha256": sha256_of(path),
        "operators": check_operators(path, opset=params.export.opset),
    }


def _export_clip_model(model: ClipModel, path: Path, features: list[np.ndarray], *, opset: int) -> float:
    """Write the clip model; returns its largest difference from torch."""
    example = model.example(features[0].shape[0])
    write_onnx(model, example, path, inputs=CLIP_INPUTS, outputs=CLIP_OUTPUTS, opset=opset)
    return clip_difference(path, model, np.stack(features))


def _export_step_model(model: StepModel, path: Path, features: list[np.ndarray], *, opset: int) -> float:
    """Write the one-frame step; returns its largest difference from torch over whole clips."""
    write_onnx(model, model.example(), path, inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=opset)
    return max(step_difference(path, model, stream) for stream in features)


def _features(params: Params, loaded: LoadedModel) -> list[np.ndarray]:
    """Features of real test clips, (T, V, D) each."""
    data = read_training_data()
    samples = data.samples(params.model, mode=loaded.mode, split=params.split.splits[0], part="test")
    chosen = np.random.default_rng(params.seed).permutation(len(samples))[:PARITY_CLIPS]
    describe = PoseFeatures(samples.layout, mode=loaded.mode)
    return [describe(samples.batch(np.array([index])).joints)[0] for index in chosen]
