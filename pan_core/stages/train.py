"""Stage train: the Pose-Attention Network, once for each input mode and split."""

from pathlib import Path

import torch
from tqdm import tqdm

from pan_core.config import ModelParams, Params, TrainParams
from pan_core.evaluation.plots import training_curves
from pan_core.files import write_json
from pan_core.model.store import save_model
from pan_core.stages import paths
from pan_core.stages.learning import Material, network_settings, read_material, train_settings, tuned
from pan_core.stages.runner import replace_folder
from pan_core.tracking import Run
from pan_core.training.fit import FitResult, fit

Figures = dict[str, object]


def run(params: Params, tracked: Run) -> dict:
    """Train every mode on every split in use; model selection sees validation groups only, never test."""
    model, train = tuned(params)
    material = read_material()
    torch.set_num_threads(train.threads)
    folder, checkpoints = replace_folder(paths.RECOGNISER), []
    histories: dict[str, list[dict[str, float]]] = {}
    figures: Figures = {}
    for split in params.split.splits:
        for mode in train.modes:
            name = paths.model_folder(mode, split).name
            checkpoints.append(paths.cache() / "checkpoints" / params.dataset / f"{name}.pt")
            result = _train(params, material, model, train, mode, split, tracked, checkpoints[-1])
            histories[name] = result.history
            figures[f"{name}_val_accuracy"] = result.val_accuracy
            figures["params"] = sum(weights.numel() for weights in result.model.parameters())
    write_json(folder / "histories.json", histories)
    tracked.text(training_curves(histories).svg, "training_curves.svg")
    tracked.artifact(folder, "models")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return figures


def _train(
    params: Params,
    material: Material,
    model: ModelParams,
    train: TrainParams,
    mode: str,
    split: int,
    tracked: Run,
    checkpoint: Path,
) -> FitResult:
    name = paths.model_folder(mode, split).name
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
        paths.model_folder(mode, split),
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
