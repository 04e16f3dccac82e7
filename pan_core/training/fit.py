"""Training of the recogniser.

`fit` is deterministic: the same samples, settings and seed give the same weights on the same machine with the same
number of threads, also when the training was interrupted and continued from its checkpoint.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pan_core.errors import ConfigError, DataError
from pan_core.model.features import PoseFeatures, feature_count
from pan_core.model.losses import joints_loss, pose_loss, smooth, total_loss
from pan_core.model.pan import PAN, PanOutput, PanSettings
from pan_core.training.augmentation import augment, crop_frames, crop_time, mixing
from pan_core.training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from pan_core.training.predict import length_batches, run_in_parts
from pan_core.training.samples import Batch, Samples
from pan_core.training.schedule import WeightAverage, batches_per_epoch, epoch_batches, epoch_rng, one_cycle
from pan_core.training.settings import TrainSettings

Log = Callable[[int, dict[str, float]], None]
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class FitResult:
    """A trained network.

    Attributes:
        model: On the CPU, in evaluation mode, with the averaged weights of the last epoch.
        history: One dict an epoch: train_loss, train_accuracy, val_loss, val_accuracy (of the averaged weights),
            learning_rate, seconds.
        best_epoch: Epoch of the best validation accuracy, the latest of equals; for information.
        val_accuracy: Of the returned weights.
    """

    model: PAN
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


def fit(
    train: Samples,
    val: Samples,
    *,
    settings: TrainSettings,
    model_settings: PanSettings,
    checkpoint: Path,
    seed: int = 0,
    log: Log | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Train a network.

    The averaged weights of the last epoch are returned: the learning rate has come down to nothing by then, and
    picking the best of many epochs on a small validation set would mostly pick its luck.

    Args:
        train: Training clips, at least 2.
        val: Validation clips, from other groups; they only measure.
        settings: How to train.
        model_settings: Widths of the network.
        checkpoint: File that is written after every epoch. When it exists and belongs to the same training, the
            training goes on after it, or is returned at once when it was finished; the caller deletes it.
        seed: Of weights, order, augmentation and dropout.
        log: Called with the number of the epoch and its row of the history, before the checkpoint is written: an
            epoch may be logged twice after an interruption, with the same numbers. What it raises ends the
            training, which can be continued.
        progress: Wraps the epochs to be done, for a progress bar.

    Raises:
        DataError: Where the samples do not fit each other or hold no clip of any class.
    """
    _check(train, val)
    identity = fingerprint(train, val, settings, model_settings, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        training = _Training(train, val, settings, model_settings, seed)
        training.restore(load_checkpoint(checkpoint, identity))
        epochs: Iterable[int] = range(len(training.history), settings.epochs)
        for epoch in progress(epochs) if progress else epochs:
            training.run_epoch(epoch)
            if log:
                log(epoch, dict(training.history[-1]))
            save_checkpoint(checkpoint, training.state(), identity)
    return training.result()


class _Training:
    """State of one training and its epoch."""

    def __init__(
        self, train: Samples, val: Samples, settings: TrainSettings, model_settings: PanSettings, seed: int
    ) -> None:
        self.train, self.val, self.settings, self.seed = train, val, settings, seed
        self.device = _device(settings.device)
        self.describe = PoseFeatures(train.layout, mode=train.mode)
        self.network = build_network(train, model_settings).to(self.device)
        self.averaged = build_network(train, model_settings).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.total = settings.epochs * batches_per_epoch(len(train), settings.batch)
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
        val_loss, val_accuracy = self._measure()
        self.history.append(
            {
                "train_loss": float(sums[0] / sums[2]),
                "train_accuracy": float(sums[1] / sums[2]),
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
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
        logits, loss = self._loss(self.network(features, mask=mask), mask, classes, actions)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
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
            joints, targets = batch.joints, batch.frame_targets
        else:
            batch = self.train.batch(indices)
            joints, targets = crop_time(batch.joints, batch.frame_targets, strength, rng)
        joints = augment(joints, self.train.layout, strength, rng)
        return Batch(joints, batch.lengths, batch.labels, targets)

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
    def _measure(self) -> tuple[float, float]:
        """Loss and accuracy of the averaged weights on the validation clips."""
        self.averaged.load_state_dict(self.average.average)
        self.averaged.eval()
        loss = hits = 0.0
        for indices in length_batches(self.val.lengths, 64):
            batch = self.val.batch(indices)
            features = torch.from_numpy(self.describe(batch.joints)).to(self.device)
            mask = torch.from_numpy(batch.mask).to(self.device)
            output = run_in_parts(self.averaged, features, mask)
            logits, value = self._loss(output, mask, *self._targets(batch))
            loss += float(value) * len(indices)
            hits += float((logits.argmax(dim=-1).cpu().numpy() == batch.labels).sum())
        return loss / len(self.val), hits / len(self.val)

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
        accuracies = [row["val_accuracy"] for row in self.history]
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
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else name.replace("auto", "cpu"))


def _check(train: Samples, val: Samples) -> None:
    """Samples must be of one kind and labelled."""
    for name in ("classes", "actions", "layout", "mode"):
        if getattr(train, name) != getattr(val, name):
            raise DataError(
                f"training and validation samples differ in {name}: {getattr(train, name)} and {getattr(val, name)}"
            )
    if len(train) < 2 or len(val) < 1:
        raise DataError(f"expected 2 training clips and 1 validation clip or more, but got {len(train)} and {len(val)}")
    if (train.labels < 0).any() or (val.labels < 0).any():
        raise DataError(f"a clip's label is not among the classes ({', '.join(train.classes)})")
