"""Stage export: the clip model and the one-frame step as ONNX, and the networks of every target, each compared with its source."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pan_core.edge.gates import write_gates
from pan_core.export.artifacts import Artifacts, file_suffix, step_description, structure, write_artifacts
from pan_core.export.check import Call, ParityReport, check
from pan_core.export.onnx_file import check_operators, write_onnx
from pan_core.export.parity import clip_difference, require_parity, step_difference
from pan_core.export.pck import require_pck, scene_pck
from pan_core.export.pose_networks import collect_networks, pose_model
from pan_core.export.reference import real_people, record_calls, write_calls, write_clips, write_steps
from pan_core.export.targets import Target, target_by_name
from pan_core.files import read_json, replace_folder, sha256_of, write_json
from pan_core.model.features import PoseFeatures
from pan_core.model.store import LoadedModel, load_model
from pan_core.model.streaming import CLIP_INPUTS, CLIP_OUTPUTS, STEP_INPUTS, STEP_OUTPUTS, ClipModel, StepModel
from pan_core.params.load import Params
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.progress import progress_bar
from pan_core.recognition.event_rules import RULES_FILE
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.runtimes.session import open_model
from pan_core.tracking.tracker import Run
from pan_core.training.samples import Samples
from pan_core.workspace import paths
from pan_core.workspace.context import workers
from pan_core.workspace.result_keys import exported_key
from pan_core.workspace.training_data import read_training_data

PARITY_CLIPS = 20
BUNDLED_CALLS = 6
"""Runs of each network that finds people in the reference, which goes to devices."""


def run(params: Params, tracked: Run) -> dict:
    """Export the recognizers of the first split in use, then what each target runs."""
    targets = [target_by_name(name) for name in params.export.targets]
    folder = replace_folder(paths.EXPORTED)
    figures: dict[str, object] = {}
    steps = len(params.train.modes) + 2 + len(targets)
    with progress_bar("export", "model") as update:
        for done, mode in enumerate(params.train.modes, start=1):
            figures |= {exported_key(mode, key): value for key, value in _export_onnx(params, mode).items()}
            update(done, steps)
        collect_networks(_network(params), _pose_settings(params), paths.EXPORTED_POSE)
        if targets:
            exporter = TargetExporter(params)
            update(steps - len(targets), steps)
            for done, (target, found) in enumerate(exporter.export(targets), start=steps - len(targets) + 1):
                figures |= {exported_key(target.name, key): value for key, value in found.items()}
                update(done, steps)
    tracked.artifact(folder, "exported")
    return figures


Kind = tuple[str, str, int]
"""Runtime, precision and opset: targets that have all three in common get the same files."""


class TargetExporter:
    """Exports the networks of targets: the trained ones, compared with reference outputs on real inputs."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._source = paths.model_folder("online", params.split.splits[0])
        self._loaded = load_model(self._source)
        self._settings = _pose_settings(params)
        self._calls = self._write_references()
        self._pck = scene_pck(_network(params), self._settings, scenes=params.export.scenes)

    def export(self, targets: Sequence[Target]) -> Iterator[tuple[Target, dict]]:
        """Write the networks of all targets, then give the figures of each, in order, once it agrees with torch.

        Networks are written one after another, because torch exports one at a time. They are compared side by side, in threads:
        the engines run without Python's lock.
        """
        kinds = {target.name: (target.runtime, target.precision, target.opset) for target in targets}
        first: dict[Kind, Target] = {}
        for target in targets:
            first.setdefault(kinds[target.name], target)
        made = {kind: self._write(target) for kind, target in first.items()}
        with ThreadPoolExecutor(workers(self._params)) as pool:
            pending = {kind: pool.submit(self._compare, target, made[kind]) for kind, target in first.items()}
            for target in targets:
                kind = kinds[target.name]
                figures = pending[kind].result()
                if target is first[kind]:
                    self._finish(target, figures)
                else:
                    shutil.copytree(paths.exported_for(first[kind].name), paths.exported_for(target.name))
                yield target, figures

    def _write(self, target: Target) -> Artifacts:
        return write_artifacts(
            paths.exported_for(target.name), target, step=StepModel(self._loaded.model),
            description=read_json(self._source / "model.json"), networks=paths.EXPORTED_POSE,
            crop_size=self._settings.crop_size,
        )  # fmt: skip

    def _finish(self, target: Target, figures: dict) -> None:
        """Add what goes to devices beside the networks: the rules of events, and what the networks have passed."""
        folder = paths.exported_for(target.name)
        if (self._source / RULES_FILE).is_file():
            shutil.copy2(self._source / RULES_FILE, folder)
        write_gates(folder, target, figures)

    def _compare(self, target: Target, made: Artifacts) -> dict:
        sessions = {name: open_model(path) for name, path in made.pose.items()}
        found: ParityReport = check(ExportedNetwork(made.step), sessions, paths.REFERENCE, calls=self._calls)
        found.require(step_tolerance=self._params.export.tolerance, pose_tolerance=target.file_tolerance)
        model = pose_model(made.step.parent, file_suffix(target))
        accurate = scene_pck(model, self._settings, scenes=self._params.export.scenes)
        require_pck(model, accurate, self._pck)
        return {
            "step_difference": found.step_difference,
            "step_inputs": found.steps,
            "streams": list(found.streams),
            "pose_difference": found.pose_difference,
            "pose_output": found.pose_output,
            "pose_inputs": found.crops,
            "accuracy": found.accuracy,
            "torch_accuracy": found.torch_accuracy,
            "accuracy_clips": found.clips,
            "pck": accurate.looks,
            "torch_pck": self._pck.looks,
            "search_pck": accurate.searches,
            "torch_search_pck": self._pck.searches,
            "structure": structure(made.step.parent),
            "bytes": sum(path.stat().st_size for path in made.step.parent.iterdir()),
            "operators": list(made.operators),
        }

    def _write_references(self) -> dict[str, list[Call]]:
        """Write what goes to devices; returns the runs of the networks that find people, of which only a few do."""
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
        people = real_people(
            test.sample(frac=1, random_state=params.seed), data.poses, paths.RAW, count=params.export.inputs
        )
        calls = record_calls(pose_model(paths.EXPORTED_POSE), self._settings, people, count=params.export.inputs)
        write_calls(folder, calls, count=BUNDLED_CALLS)
        return calls


def _network(params: Params) -> Path:
    """The pose network that found the people."""
    return network_file(params.pose.network, quality=params.pose.quality)


def _pose_settings(params: Params) -> ExtractionSettings:
    """How people are found, as the recognizer learnt it."""
    recognizer = read_json(paths.model_folder(params.train.modes[0], params.split.splits[0]) / "model.json")
    return ExtractionSettings(**recognizer.get("preprocessing", {}).get("pose", params.pose.extraction()))


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
