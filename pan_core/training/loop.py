"""The epochs of one training: batches, steps of the optimizer, validation, and the state that a checkpoint keeps."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pan_core.model.features import PoseFeatures
from pan_core.model.losses import joints_loss, pose_loss, smooth, total_loss
from pan_core.model.pan import PanOutput, PanSettings
from pan_core.training.augmentation import augment, change_pace, crop_frames, crop_time, mixing
from pan_core.training.background import chain_clips, with_background
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

Build = Callable[[Samples, PanSettings], Any]
"""Makes an untrained network with PAN's `forward` and `start` and its attributes `classes`, `actions`, `joints`."""


@dataclass(frozen=True)
class FitResult:
    """A trained network.

    Attributes:
        model: On the CPU, in evaluation mode, with the averaged weights of the last epoch.
        history: One dict an epoch: train_loss, train_accuracy, val_loss, val_accuracy (of the averaged weights),
            learning_rate, seconds; the two of validation only if there are validation clips.
        best_epoch: Epoch of the best validation accuracy, the latest of equals; for information. The last
            epoch if there are no validation clips.
        val_accuracy: Of the returned weights; NaN without validation clips.
    """

    model: Any
    history: list[dict[str, float]]
    best_epoch: int
    val_accuracy: float


class TrainingLoop:
    """State of one training, advanced epoch by epoch.

    Args:
        train: Training clips.
        val: Validation clips; None if nothing is measured.
        settings: How to train.
        model_settings: Widths of the network.
        seed: Of the order of the clips, augmentation and dropout. The caller seeds torch for the first weights.
        build: Makes the network.
        device: Where the network runs.
        background: Clips of no class; None unless the network has `PanSettings.none`.
    """

    def __init__(
        self,
        train: Samples,
        val: Samples | None,
        settings: TrainSettings,
        model_settings: PanSettings,
        seed: int,
        build: Build,
        device: torch.device,
        *,
        background: Samples | None = None,
    ) -> None:
        self.train, self.val, self.settings, self.seed, self.device = train, val, settings, seed, device
        self.none = background is not None
        self.everything = train if background is None else with_background(train, background)
        self.describe = PoseFeatures(train.layout, mode=train.mode)
        self.network = build(train, model_settings).to(self.device)
        self.averaged = build(train, model_settings).to(self.device)
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
        sums = np.sum([self.step(indices, rng) for indices in batches], axis=0)
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

    def step(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[float, float, int]:
        """Train on one batch: summed loss, summed hits of the clips' larger part, and number of clips."""
        batch = self._augment(self._add_background(indices, rng), rng)
        features = torch.from_numpy(self.describe(batch.joints)).to(self.device)
        mask = torch.from_numpy(batch.mask).to(self.device)
        classes, actions = self._smooth_targets(batch)
        partner, weight = mixing(len(batch.lengths), self.settings.augmentation, rng)
        own = torch.from_numpy(weight).to(self.device)
        features, classes, actions = (_mix_clips(value, partner, own) for value in (features, classes, actions))
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(
                self.steps, self.total, peak=self.settings.learning_rate, warm_up=self.settings.warm_up
            )
        with _autocast(self.device, self.settings.precision):
            output = self.network(features, mask=mask)
        logits, loss = self._compute_loss(_full_precision(output), mask, classes, actions)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.network)
        self.steps += 1
        hits = self._count_hits(logits[: len(indices)], batch.labels[: len(indices)])
        return float(loss.detach()) * len(indices), hits, len(indices)

    def _count_hits(self, logits: torch.Tensor, labels: np.ndarray) -> float:
        """Clips whose class is the likeliest of the classes, "none" left aside."""
        return float((logits[:, : len(self.train.classes)].argmax(dim=-1).cpu().numpy() == labels).sum())

    def _add_background(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Indices of `everything`: those of a batch, then random background clips."""
        if not self.none:
            return indices
        count = round(self.settings.background * len(indices))
        return np.concatenate([indices, rng.integers(len(self.train), len(self.everything), count)])

    def _augment(self, indices: np.ndarray, rng: np.random.Generator) -> Batch:
        """A training batch with augmented joints."""
        strength = self.settings.augmentation
        if self.train.mode == "online":
            lengths = self.everything.lengths[indices]
            starts, lengths = crop_frames(lengths, strength, rng, longest=self.settings.longest)
            batch = self.everything.batch(indices, starts=starts, lengths=lengths)
            joints, targets, lengths = change_pace(batch.joints, batch.frame_targets, batch.lengths, strength, rng)
        else:
            batch = self.everything.batch(indices)
            lengths = batch.lengths
            joints, targets = crop_time(batch.joints, batch.frame_targets, strength, rng)
        batch = Batch(joints, lengths, batch.labels, targets)
        if self.none and self.train.mode == "online":
            batch = chain_clips(batch, self.settings.chained, rng, none=len(self.train.classes))
        return replace(batch, joints=augment(batch.joints, self.train.layout, strength, rng))

    def _smooth_targets(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Smoothed class (B, K) or (B, T, K) and action (B, T, A) distributions; a frame without an action keeps zeros.

        With "none" both have one more, the last, which holds in the frames of that class.
        """
        known = len(self.train.classes)
        labels = torch.from_numpy(batch.labels if batch.frame_labels is None else batch.frame_labels).to(self.device)
        classes = torch.nn.functional.one_hot(labels, known + self.none).float()
        actions = torch.from_numpy(batch.frame_targets).to(self.device)
        if self.none:
            nothing = (labels if labels.dim() == 2 else labels.unsqueeze(1)) == known
            column = nothing.expand(actions.shape[:2]).unsqueeze(-1).to(actions)
            actions = torch.cat([actions, column], dim=-1)
        labelled = actions.sum(dim=-1, keepdim=True) > 0
        smoothing = self.settings.label_smoothing
        return smooth(classes, smoothing), smooth(actions, smoothing) * labelled

    def _compute_loss(
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
            logits, value = self._compute_loss(output, mask, *self._smooth_targets(batch))
            loss += float(value) * len(indices)
            hits += self._count_hits(logits, batch.labels)
        return {"val_loss": loss / len(val), "val_accuracy": hits / len(val)}

    def state(self) -> dict[str, object]:
        """Everything that `restore` needs."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.average,
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "history": self.history,
        }

    def restore(self, state: dict | None) -> None:
        """Go on from a checkpoint. Random numbers need no state: every epoch draws from the seed and its number."""
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


def _mix_clips(values: torch.Tensor, partner: np.ndarray, own: torch.Tensor) -> torch.Tensor:
    """Weighted mean of every clip's values and its partner's; a shorter partner holds its last frame."""
    own = own.view(-1, *[1] * (values.dim() - 1))
    return own * values + (1 - own) * values[torch.from_numpy(partner).to(values.device)]


def _full_precision(output: PanOutput) -> PanOutput:
    """Output with float32 logits: the loss is computed in full precision."""
    return output._replace(logits=output.logits.float(), action_logits=output.action_logits.float())


def _autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Matrix products in bfloat16 if the settings ask for it. Its range is that of float32, so gradients need no scaling."""
    automatic = device.type == "cuda" and torch.cuda.is_bf16_supported()
    mixed = automatic if precision == "auto" else precision == "mixed"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed)
