"""Stage train: the Pose-Attention Network, once for each input mode and split.

Where relabelling changes anything, a second network learns each clip's class as its one action, to compare with.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from pan_core.config import Params
from pan_core.evaluation.plots import training_curves
from pan_core.files import write_json
from pan_core.model.store import save_model
from pan_core.sections import ModelParams, TrainParams
from pan_core.segments.table import whole_clips
from pan_core.stages import paths
from pan_core.stages.learning import Material, network_settings, read_material, train_settings, tuned
from pan_core.stages.runner import replace_folder
from pan_core.tracking import Run
from pan_core.training.fit import FitResult, fit

Figures = dict[str, object]


def run(params: Params, tracked: Run) -> dict:
    """Train every mode on every split in use; model selection sees validation groups only, never test."""
    model, train = tuned(params)
    torch.set_num_threads(train.threads)
    materials = _materials(params)
    folder, checkpoints = replace_folder(paths.RECOGNISER), []
    histories: dict[str, list[dict[str, float]]] = {}
    figures: Figures = {}
    for split, mode, (whole, material) in product(params.split.splits, train.modes, materials.items()):
        target = paths.model_folder(mode, split, whole=whole)
        checkpoints.append(paths.cache() / "checkpoints" / params.dataset / f"{target.name}.pt")
        result = _train(params, material, model, train, mode, split, tracked, checkpoints[-1], target)
        histories[target.name] = result.history
        figures[f"{target.name}_val_accuracy"] = result.val_accuracy
        if not whole:
            figures["params"] = sum(weights.numel() for weights in result.model.parameters())
    write_json(folder / "histories.json", histories)
    tracked.text(training_curves(histories).svg, "training_curves.svg")
    tracked.artifact(folder, "models")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return figures


def _materials(params: Params) -> dict[bool, Material]:
    """What networks learn from; under True whole clips, where that makes a difference and is wanted."""
    material = read_material()
    composed = (material.segments["label"] != material.segments["parent_label"]).any()
    if not (composed and params.relabel.compare):
        return {False: material}
    return {False: material, True: replace(material, segments=whole_clips(material.clips))}


def _train(
    params: Params,
    material: Material,
    model: ModelParams,
    train: TrainParams,
    mode: str,
    split: int,
    tracked: Run,
    checkpoint: Path,
    target: Path,
) -> FitResult:
    name = target.name
    result = fit(
        material.samples(model, mode=mode, split=split, part="train"),
        material.samples(model, mode=mode, split=split, part="val"),
        settings=train_settings(train),
        model_settings=network_settings(model),
        checkpoint=checkpoint,
        seed=params.seed,
        log=lambda epoch, row: tracked.metrics({f"{name}/{key}": value for key, value in row.items()}, step=epoch),
        progress=lambda epochs: tqdm(epochs, desc=f"train {name}", unit="epoch", dynamic_ncols=True),
    )
    save_model(
        target,
        result.model,
        labels=material.classes,
        actions=material.actions,
        layout=material.poses.layout,
        mode=mode,
        frames=model.frames,
        rate=model.rate,
        preprocessing={"dataset": params.dataset, "pose": params.pose.model_dump()},
    )
    return result
