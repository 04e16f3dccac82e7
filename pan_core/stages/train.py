"""Stage train: the Pose-Attention Network, once for each input mode and split.

Where relabelling changes anything, a second network learns each clip's class as its one action, to compare with. In a
retraining the online network is trained from nothing and from the champion's weights; validation clips choose between the two.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from pan_core.datasets import dataset_by_name
from pan_core.datasets.surveillance import Surveillance
from pan_core.errors import PanError
from pan_core.files import cache_folder, replace_folder, write_json
from pan_core.model.store import LoadedModel, load_model, save_model
from pan_core.params.load import Params
from pan_core.params.schema import ModelParams, TrainParams
from pan_core.pose.provenance import network_hash
from pan_core.registry.lineage import Lineage
from pan_core.registry.models import registry_of
from pan_core.segments.table import whole_clips
from pan_core.tracking.tracker import Run
from pan_core.training.fit import FitResult, Weights, body, fit
from pan_core.viewer.plots import training_curves
from pan_core.workspace import paths
from pan_core.workspace.training_data import TrainingData, network_settings, read_training_data, train_settings, tuned

Figures = dict[str, object]
SCRATCH, CHAMPION = "scratch", "champion"
"""What a training begins with."""


def run(params: Params, tracked: Run) -> dict:
    """Train every mode on every split in use; model selection sees validation groups only, never test."""
    model, train = tuned(params)
    torch.set_num_threads(train.threads)
    materials = _materials(params)
    folder, checkpoints = replace_folder(paths.RECOGNIZER), []
    histories: dict[str, list[dict[str, float]]] = {}
    figures: Figures = {}
    champion = _champion(params, model, materials[False])
    for split, mode, (whole, data) in product(params.split.splits, train.modes, materials.items()):
        target = paths.model_folder(mode, split, whole=whole)
        starts: dict[str, Weights | None] = {SCRATCH: None}
        if champion and mode == "online" and not whole:
            starts[CHAMPION] = champion
        results = {}
        for start, weights in starts.items():
            name = target.name if start == SCRATCH else f"{target.name}-from-{start}"
            checkpoints.append(cache_folder() / "checkpoints" / params.dataset / f"{name}.pt")
            results[start] = _train(params, data, model, train, mode, split, tracked, checkpoints[-1], weights)
            histories[name] = results[start].history
            figures[f"{name}_val_accuracy"] = results[start].val_accuracy
        # Of equals the champion's: it has seen more.
        ranked = sorted(results, key=lambda start: (results[start].val_accuracy, start == CHAMPION), reverse=True)
        for start, folder_of_one in zip(ranked, (target, paths.other_folder(target)), strict=False):
            _save(params, data, model, mode, results[start], folder_of_one, start)
        if len(starts) > 1:
            figures[f"{target.name}_start"] = ranked[0]
        if not whole:
            figures["params"] = sum(weights.numel() for weights in results[ranked[0]].model.parameters())
    write_json(folder / "histories.json", histories)
    tracked.text(training_curves(histories).svg, "training_curves.svg")
    tracked.artifact(folder, "models")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return figures


def _materials(params: Params) -> dict[bool, TrainingData]:
    """What networks learn from; under True whole clips, where that makes a difference and is wanted."""
    data = read_training_data()
    composed = (data.segments["label"] != data.segments["parent_label"]).any()
    if not (composed and params.relabel.compare):
        return {False: data}
    return {False: data, True: replace(data, segments=whole_clips(data.clips))}


def _train(
    params: Params,
    data: TrainingData,
    model: ModelParams,
    train: TrainParams,
    mode: str,
    split: int,
    tracked: Run,
    checkpoint: Path,
    start: Weights | None,
) -> FitResult:
    name = checkpoint.stem
    return fit(
        data.samples(model, mode=mode, split=split, part="train"),
        data.samples(model, mode=mode, split=split, part="val"),
        settings=train_settings(train),
        model_settings=network_settings(model),
        checkpoint=checkpoint,
        seed=params.seed,
        log=lambda epoch, row: tracked.metrics({f"{name}/{key}": value for key, value in row.items()}, step=epoch),
        progress=lambda epochs: tqdm(epochs, desc=f"train {name}", unit="epoch", dynamic_ncols=True),
        start=start,
    )


def _save(
    params: Params, data: TrainingData, model: ModelParams, mode: str, result: FitResult, target: Path, start: str
) -> None:
    save_model(
        target,
        result.model,
        labels=data.classes,
        actions=data.actions,
        layout=data.poses.layout,
        mode=mode,
        frames=model.frames,
        rate=model.rate,
        preprocessing={
            "dataset": params.dataset,
            "pose": params.pose.extraction(),
            "start": start,
            "network": _pose_network(params),
        },
    )


def _pose_network(params: Params) -> str | None:
    """Hash of the network that the skeletons are of; None for annotated ones."""
    network = Path(params.pose.network)
    return network_hash(network) if dataset_by_name(params.dataset).has_video and network.is_file() else None


def _champion(params: Params, model: ModelParams, data: TrainingData) -> Weights | None:
    """Weights of the registered version that training starts from.

    None where it is not asked for, where its files are lost, where it does not fit, and where it may have learnt what is now
    to test its successor: the holdout was drawn anew.

    Raises:
        PanError: Where there is no such version.
    """
    if not (params.retrain.champion and params.retrain.begin):
        return None
    registry = registry_of(params.dataset)
    version = registry.version(params.retrain.champion)
    try:
        folder = registry.fetch(version)
        loaded, learnt = load_model(folder), Lineage.read(folder)
    except PanError as error:
        print(f"training does not start from version {version.number}: {error}")
        return None
    parts = data.clips[[f"split{split}" for split in params.split.splits]]
    test = data.clips[(parts == "test").any(axis=1)]
    # The retraining flow, which alone asks for a champion, says what the holdout was drawn by.
    grouping = params.surveillance.group if params.dataset == Surveillance.name else ""
    shared = learnt.shared_with(Lineage.of(test, data.poses.index, grouping)) if learnt else None
    differences = list(_differences(loaded, model, data))
    if shared is None or shared:
        what = "shares groups or videos with the test clips" if shared else "is not known well enough"
        print(f"training does not start from version {version.number}: what it learnt from {what}")
        return None
    if differences:
        print(
            f"training does not start from version {version.number}: its {' and '.join(differences)} differ from today's"
        )
        return None
    same_heads = (list(loaded.labels), list(loaded.actions)) == (data.classes, data.actions)
    return dict(loaded.model.state_dict()) if same_heads else body(loaded.model)


def _differences(loaded: LoadedModel, model: ModelParams, data: TrainingData) -> Iterator[str]:
    if replace(loaded.model.settings, dropout=0.0) != replace(network_settings(model), dropout=0.0):
        yield "widths"
    if loaded.layout != data.poses.layout:
        yield "skeletons"
    if loaded.rate != model.rate:
        yield "frame rate"
