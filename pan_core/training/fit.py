"""Training of the recognizer.

`fit` is deterministic: the same samples, settings and seed give the same weights on the same machine with the same
number of threads, also when the training was interrupted and continued from its checkpoint.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pan_core.errors import ConfigError, DataError
from pan_core.model.features import feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from pan_core.training.loop import Build, FitResult, TrainingLoop
from pan_core.training.samples import Samples
from pan_core.training.settings import TrainSettings

Log = Callable[[int, dict[str, float]], None]
Progress = Callable[[Iterable[int]], Iterable[int]]
Weights = Mapping[str, torch.Tensor]

HEADS = ("class_head.", "action_head.", "head.")


def build_network(samples: Samples, settings: PanSettings) -> PAN:
    """An untrained network for samples of this kind."""
    return PAN(
        adjacency=samples.layout.adjacency(),
        features=feature_count(samples.layout),
        classes=len(samples.classes),
        actions=len(samples.actions),
        settings=settings,
    )


def body(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights of a trained network without its heads, which belong to its own classes and actions."""
    return {name: value for name, value in network.state_dict().items() if not name.startswith(HEADS)}


def fit(
    train: Samples,
    val: Samples | None,
    *,
    settings: TrainSettings,
    model_settings: PanSettings,
    checkpoint: Path,
    seed: int = 0,
    log: Log | None = None,
    progress: Progress | None = None,
    build: Build = build_network,
    start: Weights | None = None,
    background: Samples | None = None,
) -> FitResult:
    """Train a network.

    The averaged weights of the last epoch are returned: the learning rate has come down to nothing by then, and
    picking the best of many epochs on a small validation set would mostly pick its luck.

    Args:
        train: Training clips, at least 2.
        val: Validation clips, from other groups; they only measure. None where nothing needs measuring.
        settings: How to train.
        model_settings: Widths of the network.
        checkpoint: File that is written after every epoch. When it exists and belongs to the same training, the
            training goes on after it, or is returned at once when it was finished; the caller deletes it.
        seed: Of weights, order, augmentation and dropout.
        log: Called with the number of the epoch and its row of the history, before the checkpoint is written: an
            epoch may be logged twice after an interruption, with the same numbers. What it raises ends the
            training, which can be continued.
        progress: Wraps the epochs to be done, for a progress bar.
        build: Makes the network; another one than PAN is compared under the same conditions.
        start: Weights by name to begin with, such as those of `body`; what is not among them begins at random.
        background: Clips of no class, whatever labels they have, for a network with `PanSettings.none`;
            `TrainSettings.background` says how many of them a step sees. In online mode clips then also follow one another.

    Raises:
        DataError: Where the samples do not fit each other or hold no clip of any class, or weights to begin with do not
            fit the network.
    """
    _check_samples(train, val)
    if model_settings.none != (background is not None):
        raise DataError(
            "a network with `none` learns it from background clips, and only such a network does; got "
            f"none={model_settings.none} and {'no ' if background is None else ''}background clips",
            code="samples.background",
        )
    made_by = f"{build.__module__}.{build.__qualname__}"
    others = [] if background is None else [background]
    identity = fingerprint(train, val, settings, model_settings, seed, made_by, *others, *_list_weights(start))
    device = _choose_device(settings.device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = _start_from(build, start)
        loop = TrainingLoop(train, val, settings, model_settings, seed, made, device, background=background)
        loop.restore(load_checkpoint(checkpoint, identity))
        epochs: Iterable[int] = range(len(loop.history), loop.epochs)
        for epoch in progress(epochs) if progress else epochs:
            loop.run_epoch(epoch)
            if log:
                log(epoch, dict(loop.history[-1]))
            save_checkpoint(checkpoint, loop.state(), identity)
    return loop.result()


def _start_from(build: Build, start: Weights | None) -> Build:
    """`build`, but the network begins with these weights."""
    if start is None:
        return build

    def build_and_load(samples: Samples, settings: PanSettings) -> Any:
        network = build(samples, settings)
        try:
            unknown = network.load_state_dict(dict(start), strict=False).unexpected_keys
        except RuntimeError as error:
            raise DataError(f"weights to begin with do not fit the network: {error}", code="start.shape") from error
        if unknown:
            raise DataError(
                f"weights to begin with do not fit the network, which has no {', '.join(unknown)}", code="start.unknown"
            )
        return network

    return build_and_load


def _list_weights(start: Weights | None) -> list[np.ndarray]:
    return [] if start is None else [value.numpy() for _, value in sorted(start.items())]


def _choose_device(name: str) -> torch.device:
    """The device to train on."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "training", ["device: 'cuda', but no CUDA device is available; use 'auto' or 'cpu'"], code="device.missing"
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", 0)


def _check_samples(train: Samples, val: Samples | None) -> None:
    """Samples must be of one kind and labelled."""
    if len(train) < 2 or (val is not None and len(val) < 1):
        raise DataError(
            "expected 2 training clips and 1 validation clip or more, but got "
            f"{len(train)} and {'none' if val is None else len(val)}",
            code="samples.too-few",
        )
    if (train.labels < 0).any() or (val is not None and (val.labels < 0).any()):
        raise DataError(f"a clip's label is not among the classes ({', '.join(train.classes)})", code="samples.label")
    if val is None:
        return
    for name in ("classes", "actions", "layout", "mode"):
        if getattr(train, name) != getattr(val, name):
            raise DataError(
                f"training and validation samples differ in {name}: {getattr(train, name)} and {getattr(val, name)}",
                code="samples.mismatch",
            )
