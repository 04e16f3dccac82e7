"""Stage export: ONNX of the one-frame step and of the clip model, each equal to torch."""

import shutil

import numpy as np

from pan_core.config import Params
from pan_core.export.onnx_file import check_operators, write_onnx
from pan_core.export.parity import clip_difference, require_parity, step_difference
from pan_core.files import read_json, sha256_of, write_json
from pan_core.model.features import PoseFeatures
from pan_core.model.store import LoadedModel, load_model
from pan_core.model.streaming import CLIP_INPUTS, CLIP_OUTPUTS, STEP_INPUTS, STEP_OUTPUTS, ClipModel, StepModel
from pan_core.progress import progress_bar
from pan_core.stages import paths
from pan_core.stages.learning import read_material
from pan_core.stages.runner import replace_folder
from pan_core.tracking import Run

PARITY_CLIPS = 20


def run(params: Params, tracked: Run) -> dict:
    """Export the recognisers of the first split in use and the pose network beside them."""
    folder = replace_folder(paths.EXPORTED)
    figures: dict[str, object] = {}
    with progress_bar("export", "model") as update:
        for done, mode in enumerate(params.train.modes, start=1):
            figures |= {f"{mode}_{key}": value for key, value in _export(params, mode).items()}
            update(done, len(params.train.modes))
    shutil.copy2(paths.POSE_MODEL / "pose.onnx", folder / "pose.onnx")
    tracked.artifact(folder, "exported")
    return figures


def _export(params: Params, mode: str) -> dict:
    source = paths.model_folder(mode, params.split.splits[0])
    loaded = load_model(source)
    path = paths.EXPORTED / ("clip.onnx" if mode == "clip" else "step.onnx")
    start = {name: float(value.flatten()[0]) for name, value in loaded.model.start(1)._asdict().items()}
    write_json(path.with_suffix(".json"), read_json(source / "model.json") | {"start": start})
    features = _features(params, loaded)
    if mode == "clip":
        clip_model = ClipModel(loaded.model)
        write_onnx(
            clip_model, clip_model.example(features[0].shape[0]), path,
            inputs=CLIP_INPUTS, outputs=CLIP_OUTPUTS, opset=params.export.opset,
        )  # fmt: skip
        difference = clip_difference(path, clip_model, np.stack(features))
    else:
        step_model = StepModel(loaded.model)
        write_onnx(
            step_model, step_model.example(), path,
            inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=params.export.opset,
        )  # fmt: skip
        difference = max(step_difference(path, step_model, stream) for stream in features)
    require_parity(path, difference, params.export.tolerance)
    return {
        "difference": difference,
        "bytes": path.stat().st_size,
        "params": sum(p.numel() for p in loaded.model.parameters()),
        "sha256": sha256_of(path),
        "operators": check_operators(path, opset=params.export.opset),
    }


def _features(params: Params, loaded: LoadedModel) -> list[np.ndarray]:
    """Features of real test clips, (T, V, D) each."""
    material = read_material()
    samples = material.samples(params.model, mode=loaded.mode, split=params.split.splits[0], part="test")
    chosen = np.random.default_rng(params.seed).permutation(len(samples))[:PARITY_CLIPS]
    describe = PoseFeatures(samples.layout, mode=loaded.mode)
    return [describe(samples.batch(np.array([index])).joints)[0] for index in chosen]
