"""Stage train: the Pose-Attention Network, once for each input mode and split.

If relabelling changes anything, a second network learns each clip's class as its one action, to compare with. In a
retraining the online network is trained from nothing and from the champion's weights; validation clips choose between the two.
Last, the rules of the online recognizer's events are fitted to a stream of validation clips.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.surveillance import Surveillance
from pan_core.errors import DataError, PanError
from pan_core.evaluation.class_parts import require_classes
from pan_core.evaluation.event_measures import NOTHING
from pan_core.evaluation.temperature import calibrate
from pan_core.files import cache_folder, replace_folder, write_json
from pan_core.live.rule_fitting import fit_to_clips
from pan_core.model.store import LoadedModel, load_model, save_model
from pan_core.params.load import Params
from pan_core.params.schema import ModelParams, TrainParams
from pan_core.pose.named_networks import network_file
from pan_core.pose.provenance import network_hash
from pan_core.progress import progress_bar
from pan_core.recognition.event_rules import write_rules
from pan_core.registry.lineage import Lineage
from pan_core.registry.models import Registry, Version, registry_of
from pan_core.segments.table import whole_clips
from pan_core.tracking.tracker import Run
from pan_core.training.ahead import Training, fit_ahead
from pan_core.training.fit import Log, Weights, body
from pan_core.training.loop import FitResult
from pan_core.viewer.plots import training_curves
from pan_core.workspace import paths
from pan_core.workspace.context import workers
from pan_core.workspace.dvc_figures import write_curves
from pan_core.workspace.event_clips import stream_clips
from pan_core.workspace.training_data import (
    TrainingData,
    background_samples,
    network_settings,
    read_training_data,
    train_settings,
    tuned,
)

SCRATCH, CHAMPION = "scratch", "champion"
"""What a training begins with."""


@dataclass(frozen=True)
class TrainingSetup:
    """What all trainings of the stage share.

    Attributes:
        params: The whole of params.yaml.
        model: Network, with the tuned values.
        train: Training, with the tuned values.
    """

    params: Params
    model: ModelParams
    train: TrainParams


@dataclass(frozen=True)
class TrainingJob:
    """One recognizer to train.

    Attributes:
        data: Clips to learn from.
        mode: Input mode, "clip" or "online".
        split: Number of the split.
        relabelled: Whether the segments are atomic actions; if not, each clip is one action.
        starts: Weights to begin with, by name; None for random ones. The best network of them is kept.
    """

    data: TrainingData
    mode: str
    split: int
    relabelled: bool
    starts: Mapping[str, Weights | None]

    @property
    def folder(self) -> Path:
        """Where the recognizer goes."""
        return paths.model_folder(self.mode, self.split, relabelled=self.relabelled)

    def name(self, start: str) -> str:
        """Name of one of its trainings."""
        return self.folder.name if start == SCRATCH else f"{self.folder.name}-from-{start}"


@dataclass(frozen=True)
class TrainedNetwork:
    """A finished training.

    Attributes:
        name: Name of the training, under which its curves are logged.
        start: What it began with, a key of `TrainingJob.starts`.
        checkpoint: File that a training goes on from after a kill.
        result: The network, calibrated, and its history.
        temperatures: By which its heads were divided.
    """

    name: str
    start: str
    checkpoint: Path
    result: FitResult
    temperatures: Mapping[str, float]


def run(params: Params, tracked: Run) -> dict:
    """Train every mode on every split in use; model selection sees validation groups only, never test."""
    setup = TrainingSetup(params, *tuned(params))
    torch.set_num_threads(setup.train.threads)
    data = read_training_data()
    for split in params.split.splits:
        require_classes(data.clips, f"split{split}")
    folder = replace_folder(paths.RECOGNIZER)
    histories: dict[str, list[dict[str, float]]] = {}
    checkpoints: list[Path] = []
    figures: dict[str, object] = {}
    jobs = list(_plan_jobs(setup, data))
    _train_ahead(setup, jobs, tracked)
    for job in jobs:
        networks = [_train(setup, job, start, tracked) for start in job.starts]
        best = _save_ranked(setup, job, networks)
        histories |= {network.name: network.result.history for network in networks}
        checkpoints += [network.checkpoint for network in networks]
        figures |= _collect_figures(job, networks, best)
        if job.mode == "online" and job.relabelled and setup.train.events.minutes:
            figures |= _fit_events(setup, job)
    write_json(folder / "histories.json", histories)
    write_curves(histories)
    tracked.text(training_curves(histories).svg, "training_curves.svg")
    tracked.artifact(folder, "models")
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return figures


def _plan_jobs(setup: TrainingSetup, data: TrainingData) -> Iterator[TrainingJob]:
    params = setup.params
    variants = {True: data}
    composed = (data.segments["label"] != data.segments["parent_label"]).any()
    if composed and params.relabel.compare:
        variants[False] = replace(data, segments=whole_clips(data.clips))
    champion = starting_weights(params, setup.model, data)
    for split, mode, (relabelled, variant) in product(params.split.splits, setup.train.modes, variants.items()):
        starts: dict[str, Weights | None] = {SCRATCH: None}
        if champion and mode == "online" and relabelled:
            starts[CHAMPION] = champion
        yield TrainingJob(data=variant, mode=mode, split=split, relabelled=relabelled, starts=starts)


def _train_ahead(setup: TrainingSetup, jobs: Sequence[TrainingJob], tracked: Run) -> None:
    """Train what can be trained side by side up to the checkpoints that `_train` then reads."""
    written = setup.params.model_dump_json(by_alias=True)
    plans = {
        _checkpoint(setup.params, name): partial(_plan_here, written, name)
        for job in jobs
        for name in map(job.name, job.starts)
    }

    def log(checkpoint: Path) -> Log:
        return lambda epoch, row: _log_row(tracked, checkpoint.stem, epoch, row)

    with progress_bar("train networks", "epoch") as update:
        count = workers(setup.params)
        fit_ahead(plans, workers=count, threads=setup.train.threads, log=log, progress=update)


def _plan_here(written: str, name: str) -> Training:
    """A training by its name, in another process of the same workspace; `written` is params.yaml as it was."""
    params = Params.model_validate_json(written)
    setup = TrainingSetup(params, *tuned(params))
    jobs = _plan_jobs(setup, read_training_data())
    return next(_plan_training(setup, job, start) for job in jobs for start in job.starts if job.name(start) == name)


def _plan_training(setup: TrainingSetup, job: TrainingJob, start: str) -> Training:
    train, val = (job.data.samples(setup.model, mode=job.mode, split=job.split, part=part) for part in ("train", "val"))
    background = background_samples(train, seed=setup.params.seed) if setup.train.background else None
    return Training(
        train,
        val,
        settings=train_settings(setup.train),
        model_settings=network_settings(setup.model, mode=job.mode, none=background is not None),
        background=background,
        checkpoint=_checkpoint(setup.params, job.name(start)),
        seed=setup.params.seed,
        start=job.starts[start],
    )


def _checkpoint(params: Params, name: str) -> Path:
    return cache_folder() / "checkpoints" / params.dataset / f"{name}.pt"


def _log_row(tracked: Run, name: str, epoch: int, row: Mapping[str, float]) -> None:
    tracked.metrics({f"{name}/{key}": value for key, value in row.items()}, step=epoch)


def _train(setup: TrainingSetup, job: TrainingJob, start: str, tracked: Run) -> TrainedNetwork:
    """Train a network and calibrate it on the validation clips."""
    name, training = job.name(start), _plan_training(setup, job, start)
    result = training.fit(
        log=lambda epoch, row: _log_row(tracked, name, epoch, row),
        progress=lambda epochs: tqdm(
            epochs, desc=f"train {name}", unit="epoch", dynamic_ncols=True, disable=not list(epochs)
        ),
    )
    assert training.val is not None
    return TrainedNetwork(name, start, training.checkpoint, result, calibrate(result.model, training.val))


def _save_ranked(setup: TrainingSetup, job: TrainingJob, networks: Sequence[TrainedNetwork]) -> TrainedNetwork:
    """Save the networks of a job, the better one as the recognizer; returns that one."""
    # Of equals the champion's: it has seen more.
    ranked = sorted(networks, key=lambda each: (each.result.val_accuracy, each.start == CHAMPION), reverse=True)
    for network, folder in zip(ranked, (job.folder, paths.other_folder(job.folder)), strict=False):
        _save(setup, job, network, folder)
    return ranked[0]


def _collect_figures(job: TrainingJob, networks: Sequence[TrainedNetwork], best: TrainedNetwork) -> dict[str, object]:
    figures: dict[str, object] = {f"{network.name}_val_accuracy": network.result.val_accuracy for network in networks}
    figures |= {f"{best.name}_{head}_temperature": value for head, value in best.temperatures.items()}
    if len(networks) > 1:
        figures[f"{job.folder.name}_start"] = best.start
    if job.relabelled:
        figures["params"] = sum(weights.numel() for weights in best.result.model.parameters())
    return figures


def _fit_events(setup: TrainingSetup, job: TrainingJob) -> dict[str, object]:
    """Fit the rules of a job's recognizer to a stream of validation clips, and write them beside it; returns what they give there."""
    loaded, asked = load_model(job.folder), setup.train.events
    samples = job.data.samples(setup.model, mode="online", split=job.split, part="val")
    fitted = fit_to_clips(
        loaded,
        stream_clips(samples, seed=setup.params.seed),
        miss_cost=asked.miss_cost,
        minutes=asked.minutes,
        seed=setup.params.seed,
    )
    write_rules(job.folder, fitted.rules, miss_cost=asked.miss_cost, without_example=list(fitted.without_example))
    if fitted.without_example:
        print(
            f"events: no validation clip of split {job.split} shows {', '.join(fitted.without_example)}; their thresholds are "
            "those that do best for the other actions"
        )
    counts, name = sum(fitted.counts.values(), NOTHING), job.folder.name
    return {
        f"{name}_event_hits": counts.hits,
        f"{name}_event_misses": counts.misses,
        f"{name}_event_false_alarms": counts.false_alarms,
    }


def _save(setup: TrainingSetup, job: TrainingJob, network: TrainedNetwork, folder: Path) -> None:
    params = setup.params
    save_model(
        folder,
        network.result.model,
        labels=job.data.classes,
        actions=job.data.actions,
        layout=job.data.poses.layout,
        mode=job.mode,
        frames=setup.model.frames,
        rate=setup.model.rate,
        preprocessing={
            "dataset": params.dataset,
            "pose": params.pose.extraction(),
            "start": network.start,
            "network": _pose_network(params),
        },
        temperatures=network.temperatures,
    )


def _pose_network(params: Params) -> str | None:
    """Hash of the network that found the skeletons; None for annotated ones."""
    network = network_file(params.pose.network, quality=params.pose.quality)
    return network_hash(network) if dataset_by_name(params.dataset).has_video and network.is_file() else None


def starting_weights(params: Params, model: ModelParams, data: TrainingData) -> Weights | None:
    """Weights of the registered version that training starts from; None if none is asked for or it cannot be used.

    Raises:
        PanError: If there is no such version.
    """
    if not (params.retrain.champion and params.retrain.begin):
        return None
    registry = registry_of(params.dataset)
    version = registry.version(params.retrain.champion)
    try:
        return champion_weights(registry, version, params, model, data)
    except PanError as error:
        print(f"training does not start from version {version.number}: {error}")
        return None


def champion_weights(
    registry: Registry, version: Version, params: Params, model: ModelParams, data: TrainingData
) -> Weights:
    """Weights of a registered version that a training on the data may start from.

    Raises:
        PanError: If its files are lost, or it does not fit.
        DataError: If it may have learnt what now tests its successor, because the holdout was drawn anew.
    """
    folder = registry.fetch(version)
    loaded, learnt = load_model(folder), Lineage.read(folder)
    parts = data.clips[[f"split{split}" for split in params.split.splits]]
    test = data.clips[(parts == "test").any(axis=1)]
    # The retraining flow, which alone asks for a champion, says what the holdout was drawn by.
    grouping = params.surveillance.group if params.dataset == Surveillance.name else ""
    shared = learnt.shared_with(Lineage.of(test, data.poses.index, grouping)) if learnt else None
    if shared is None:
        raise DataError("what it learnt from is not known well enough", code="champion.unknown-lineage")
    if shared:
        raise DataError(
            "what it learnt from shares groups or videos with the test clips", code="champion.learnt-test-clips"
        )
    if differences := list(_find_differences(loaded, model, data)):
        raise DataError(f"its {' and '.join(differences)} differ from today's", code="champion.differs")
    none = params.train.background > 0
    same_names = (list(loaded.labels), list(loaded.actions)) == (data.classes, data.actions)
    same_heads = same_names and loaded.model.settings.none == none
    return dict(loaded.model.state_dict()) if same_heads else body(loaded.model)


def _find_differences(loaded: LoadedModel, model: ModelParams, data: TrainingData) -> Iterator[str]:
    # What changes no weight but those of the heads.
    free: dict[str, Any] = {"dropout": 0.0, "forgetting": 0.0, "none": False}
    if replace(loaded.model.settings, **free) != replace(network_settings(model), **free):
        yield "widths"
    if loaded.layout != data.poses.layout:
        yield "skeletons"
    if loaded.rate != model.rate:
        yield "frame rate"
