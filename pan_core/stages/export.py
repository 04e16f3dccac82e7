"""Stage export: ONNX of the one-frame step and of the clip model, each equal to torch."""

import shutil

import numpy as np
import torch

from pan_core.config import Params
from pan_core.export.onnx_file import check_operators, write_onnx
from pan_core.export.parity import clip_difference, require_parity, step_difference
from pan_core.files import sha256_of
from pan_core.model.store import LoadedModel, load_model
from pan_core.model.streaming import CLIP_INPUTS, CLIP_OUTPUTS, STEP_INPUTS, STEP_OUTPUTS, ClipModel, StepModel
from pan_core.pose.store import PoseSet
from pan_core.stages import paths
from pan_core.stages.runner import replace_folder
from pan_core.tables import read_table
from pan_core.tracking import Run
from pan_core.training.samples import build_samples

PARITY_CLIPS = 20


def run(params: Params, tracked: Run) -> dict:
    """Export the recognisers of the first split in use and the pose network beside them."""
    folder = replace_folder(paths.EXPORTED)
    figures: dict[str, object] = {}
    for mode in params.train.modes:
        figures |= {f"{mode}_{key}": value for key, value in _export(params, mode).items()}
    shutil.copy2(paths.POSE_MODEL / "pose.onnx", folder / "pose.onnx")
    tracked.artifact(folder, "exported")
    return figures


def _export(params: Params, mode: str) -> dict:
    source = paths.model_folder(mode, params.split.splits[0])
    loaded = load_model(source)
    path = paths.EXPORTED / ("clip.onnx" if mode == "clip" else "step.onnx")
    shutil.copy2(source / "model.json", path.with_suffix(".json"))
    features = _features(loaded)
    if mode == "clip":
        clip_model = ClipModel(loaded.network)
        write_onnx(
            clip_model, clip_model.example(features[0].shape[0]), path,
            inputs=CLIP_INPUTS, outputs=CLIP_OUTPUTS, opset=params.export.opset,
        )  # fmt: skip
        difference = clip_difference(path, clip_model, np.stack(features))
    else:
        step_model = StepModel(loaded.network)
        write_onnx(
            step_model, step_model.example(), path,
            inputs=STEP_INPUTS, outputs=STEP_OUTPUTS, opset=params.export.opset,
        )  # fmt: skip
        difference = max(step_difference(path, step_model, stream) for stream in features)
    require_parity(path, difference, params.export.tolerance)
    return {
        "difference": difference,
        "bytes": path.stat().st_size,
        "params": sum(p.numel() for p in loaded.network.parameters()),
        "sha256": sha256_of(path),
        "operators": check_operators(path, opset=params.export.opset),
    }
