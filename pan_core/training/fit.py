"""Training of the recognizer.

`fit` is deterministic: the same samples, settings and seed give the same weights on the same machine with the same
number of threads, also when the training was interrupted and continued from its checkpoint.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pan_core.errors import ConfigError, DataError
from pan_core.model.features import PoseFeatures, feature_count
from pan_core.model.losses import joints_loss, pose_loss, smooth, total_loss
from pan_core.model.pan import PAN, PanOutput, PanSettings
from pan_core.training.augmentation import augment, change_pace, crop_frames, crop_time, mixing
from pan_core.training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from pan_core.training.distributed import Replicas, joined
from pan_core.training.predict import length_batches, run_in_parts
from pan_core.training.samples import Batch, Samples
from pan_core.training.schedule import (
    WeightAverage,
    batches_per_epoch,
    epoch_batches,
    epoch_rng,
    epochs_needed,
    one_cycle,
)
from pan_core.training.settings import TrainSettings

Log = Callable[[int, dict[str, float]], None]
Progress = Callable[[Iterable[int]], Iterable[int]]
Weights = Mapping[str, torch.Tensor]
Build = Callable[[Samples, PanSettings], Any]
"""Makes an untrained network with PAN's `forward` and `start` and its attributes `classes`, `actions`, `joints`."""


HEADS = ("class_head.", "action_head.", "head.")


@dataclass(frozen=True)
class FitResult:
    """A trained network.

    Attributes:
        model: On the CPU, in evaluation mode, with the averaged weights of the last epoch.
        history: One dict an epoch: train_loss, train_accuracy, val_loss, val_accuracy (of the averaged weights),
            learning_rate, seconds; without the two of validation where there are no validation clips.
        best_epoch: Epoch of the best validation accuracy, the latest of equals; for information. The last one
            without validation clips.
        val_accuracy: Of the returned weights; NaN without validation clips.
    """

    model: Any
    history: list[dict[str, float]]
    best_epoch: int
    val_accuracy: float


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
) -> FitResult:
    """Train a network.

    The averaged weights of the last epoch are returned: the learning rate has come down to nothing by then, and
    picking the best of many epochs on a small validation set would mostly pick its luck. Under torchrun the processes
    train one network together; see `pan_core.training.distributed`.

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

    Raises:
        DataError: Where the samples do not fit each other or hold no clip of any class, or weights to begin with do not
            fit the network.
    """
    _check(train, val)
    made_by = f"{build.__module__}.{build.__qualname__}"
    identity = fingerprint(train, val, settings, model_settings, seed, made_by, *_hashable(start))
    device = _device(settings.device)
    with torch.random.fork_rng(), joined(device) as replicas:
        torch.manual_seed(seed)
        training = _Training(train, val, settings, model_settings, seed, _begun(build, start), device, replicas)
        training.restore(load_checkpoint(checkpoint, identity))
        epochs: Iterable[int] = range(len(training.history), training.epochs)
        for epoch in progress(epochs) if progress and replicas.leads else epochs:
            training.run_epoch(epoch)
            if replicas.leads:
                if log:
                    log(epoch, dict(training.history[-1]))
                save_checkpoint(checkpoint, training.state(), identity)
    return training.result()


def _begun(build: Build, start: Weights | None) -> Build:
    """`build` with weights to begin with."""
    if start is None:
        return build

    def begun(samples: Samples, settings: PanSettings) -> Any:
        network = build(samples, settings)
        try:
            unknown = network.load_state_dict(dict(start), strict=False).unexpected_keys
        except RuntimeError as error:
            raise DataError(f"weights to begin with do not fit the network: {error}") from error
        if unknown:
            raise DataError(f"weights to begin with do not fit the network, which has no {', '.join(unknown)}")
        return network

    return begun


def _hashable(start: Weights | None) -> list[np.ndarray]:
    return [] if start is None else [value.numpy() for _, value in sorted(start.items())]


class _Training:
    """State of one training and its epoch."""

    def __init__(
        self,
        train: Samples,
        val: Samples | None,
        settings: TrainSettings,
        model_settings: PanSettings,
        seed: int,
        build: Build,
        device: torch.device,
        replicas: Replicas,
    ) -> None:
        self.train, self.val, self.settings, self.seed = train, val, settings, seed
        self.device, self.replicas = device, replicas
        self.describe = PoseFeatures(train.layout, mode=train.mode)
        self.network = build(train, model_settings).to(self.device)
        self.averaged = build(train, model_settings).to(self.device)
        replicas.prepare(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.epochs = epochs_needed(
            len(train), settings.batch, epochs=settings.epochs, least_steps=settings.least_steps
        )
        self.total = self.epochs * batches_per_epoch(len(train), settings.batch)
        self.average = WeightAverage(self.network, horizon=settings.average * self.total)
        self.history: list[dict[str, float]] = []
        self.steps = 0

    def run_epoch(self, epoch: int) -> None:
        """Train on every clip once, measure on the validation clips, and add a row to the history."""
        started = time.perf_counter()
        rng = epoch_rng(self.seed, epoch)
        torch.manual_seed(int(rng.integers(2**62)))
        self.network.train()
        batches = epoch_batches(self.train.lengths, self.settings.batch, rng)
        sums = np.sum([self._step(indices, rng) for indices in batches], axis=0)
        measured = self._measure(self.val) if self.val is not None else {}
        self.history.append(
            {
                "train_loss": float(sums[0] / sums[2]),
                "train_accuracy": float(sums[1] / sums[2]),
                **measured,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - started,
            }
        )

    def _step(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[float, float, int]:
        """One step of the optimiser: summed loss, summed hits of the clips' larger part, and clips."""
        batch = self._varied(indices, rng)
        features = torch.from_numpy(self.describe(batch.joints)).to(self.device)
        mask = torch.from_numpy(batch.mask).to(self.device)
        classes, actions = self._targets(batch)
        partner, weight = mixing(len(indices), self.settings.augmentation, rng)
        own = torch.from_numpy(weight).to(self.device)
        features, classes, actions = (_mix(value, partner, own) for value in (features, classes, actions))
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(
                self.steps, self.total, peak=self.settings.learning_rate, warm_up=self.settings.warm_up
            )
        own_features, own_mask = self.replicas.share(features, mask)
        with _autocast(self.device, self.settings.precision):
            output = self.network(own_features, mask=own_mask)
        logits, loss = self._loss(self._whole(output), mask, classes, actions)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.replicas.sum_gradients(self.network)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.network)
        self.steps += 1
        hits = (logits.argmax(dim=-1).cpu().numpy() == batch.labels).sum()
        return float(loss.detach()) * len(indices), float(hits), len(indices)

    def _varied(self, indices: np.ndarray, rng: np.random.Generator) -> Batch:
        """A training batch with augmented joints."""
        strength = self.settings.augmentation
        if self.train.mode == "online":
            starts, lengths = crop_frames(self.train.lengths[indices], strength, rng, longest=self.settings.longest)
            batch = self.train.batch(indices, starts=starts, lengths=lengths)
            joints, targets, lengths = change_pace(batch.joints, batch.frame_targets, batch.lengths, strength, rng)
        else:
            batch = self.train.batch(indices)
            lengths = batch.lengths
            joints, targets = crop_time(batch.joints, batch.frame_targets, strength, rng)
        joints = augment(joints, self.train.layout, strength, rng)
        return Batch(joints, lengths, batch.labels, targets)

    def _whole(self, output: PanOutput) -> PanOutput:
        """Output with the logits of the whole batch, at full precision."""
        logits, actions = (self.replicas.gather(value.float()) for value in output[:2])
        return output._replace(logits=logits, action_logits=actions)

    def _targets(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Smoothed class (B, K) and action (B, T, A) distributions; a frame without an action keeps zeros."""
        labels = torch.from_numpy(batch.labels).to(self.device)
        classes = torch.nn.functional.one_hot(labels, len(self.train.classes)).float()
        actions = torch.from_numpy(batch.frame_targets).to(self.device)
        told = actions.sum(dim=-1, keepdim=True) > 0
        smoothing = self.settings.label_smoothing
        return smooth(classes, smoothing), smooth(actions, smoothing) * told

    def _loss(
        self, output: PanOutput, mask: torch.Tensor, classes: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Class logits at the end of the clips (B, K), and the loss."""
        pose = pose_loss(output.logits, classes, mask, prefix_share=self.settings.prefix_share)
        joints = joints_loss(output.action_logits, actions, mask)
        ends = mask.sum(dim=1) - 1
        logits = output.logits[torch.arange(len(ends), device=self.device), ends]
        return logits, total_loss(
            pose, joints, lambda_pose=self.settings.lambda_pose, lambda_joints=self.settings.lambda_joints
        )

    @torch.inference_mode()
    def _measure(self, val: Samples) -> dict[str, float]:
        """Loss and accuracy of the averaged weights on the validation clips."""
        self.averaged.load_state_dict(self.average.average)
        self.averaged.eval()
        loss = hits = 0.0
        for indices in length_batches(val.lengths, 64):
            batch = val.batch(indices)
            features = torch.from_numpy(self.describe(batch.joints)).to(self.device)
            mask = torch.from_numpy(batch.mask).to(self.device)
            output = run_in_parts(self.averaged, features, mask)
            logits, value = self._loss(output, mask, *self._targets(batch))
            loss += float(value) * len(indices)
            hits += float((logits.argmax(dim=-1).cpu().numpy() == batch.labels).sum())
        return {"val_loss": loss / len(val), "val_accuracy": hits / len(val)}

    def state(self) -> dict[str, object]:
        """All that `restore` needs."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.average,
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "history": self.history,
        }

    def restore(self, state: dict | None) -> None:
        """Go on from a checkpoint; chance needs no state, as every epoch draws from the seed and its number."""
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.average.steps = self.steps = state["steps"]
        self.history = list(state["history"])

    def result(self) -> FitResult:
        """The averaged network."""
        self.averaged.load_state_dict(self.average.average)
        accuracies = [row.get("val_accuracy", float("nan")) for row in self.history]
        best = len(accuracies) - 1 - int(np.argmax(accuracies[::-1]))
        return FitResult(self.averaged.cpu().eval(), self.history, best, accuracies[-1])


def _mix(values: torch.Tensor, partner: np.ndarray, own: torch.Tensor) -> torch.Tensor:
    """Weighted mean of every clip's values and its partner's; a shorter partner holds its last frame."""
    own = own.view(-1, *[1] * (values.dim() - 1))
    return own * values + (1 - own) * values[torch.from_numpy(partner).to(values.device)]


def _device(name: str) -> torch.device:
    """The device to train on."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training", ["device: 'cuda', but no CUDA device is available; use 'auto' or 'cpu'"])
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Matrix products in bfloat16 where asked for; its range is that of float32, so gradients need no scaling."""
    automatic = device.type == "cuda" and torch.cuda.is_bf16_supported()
    mixed = automatic if precision == "auto" else precision == "mixed"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed)


def _check(train: Samples, val: Samples | None) -> None:
    """Samples must be of one kind and labelled."""
    if len(train) < 2 or (val is not None and len(val) < 1):
        raise DataError(
            "expected 2 training clips and 1 validation clip or more, but got "
            f"{len(train)} and {'none' if val is None else len(val)}"
        )
    if (train.labels < 0).any() or (val is not None and (val.labels < 0).any()):
        raise DataError(f"a clip's label is not among the classes ({', '.join(train.classes)})")
    if val is None:
        return
    for name in ("classes", "actions", "layout", "mode"):
        if getattr(train, name) != getattr(val, name):
            raise DataError(
                f"training and validation samples differ in {name}: {getattr(train, name)} and {getattr(val, name)}"
            )
