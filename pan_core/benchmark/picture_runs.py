"""Runs of networks that see pictures: the training, which goes on from its checkpoint, and the scores of every test clip."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pan_core.benchmark.methods import code_of, comparator
from pan_core.benchmark.picture_clips import PictureClips, load_batches
from pan_core.benchmark.picture_networks import (
    PictureRecipe,
    choose_device,
    copy_to_meta,
    count_macs,
    describe_weights,
    load_weights,
    name_device,
    time_run,
)
from pan_core.benchmark.prepared_data import BenchmarkData
from pan_core.benchmark.protocol import Job, identity
from pan_core.benchmark.runs import BenchmarkSetting, Record
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path, write_json
from pan_core.progress import progress_bar
from pan_core.training.checkpoint import load_checkpoint, save_checkpoint
from pan_core.training.schedule import epoch_rng, one_cycle

TIMED_CLIPS = 3
SHOWN = 5


@dataclass(frozen=True)
class PictureSetting(BenchmarkSetting):
    """What all runs of networks of pictures share.

    Attributes:
        videos: Folder that the paths of the clips are relative to.
        recipes: Recipe of each network.
        weights: Where each network begins: a file or `imagenet`, by the name of what learnt them.
        device: Where networks run.
        decoders: Processes that decode videos.
    """

    videos: Path = Path()
    recipes: Mapping[str, PictureRecipe] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"
    decoders: int = 1

    def source_of(self, job: Job) -> str:
        """Weights that a network begins with; empty for none."""
        return self.weights.get(comparator(job.variant.name).BACKBONE, "")

    def identity(self, job: Job) -> str:
        """Hash of videos, splits, recipe, first weights and code; skeletons do not count."""
        return self.identity_from(job.variant.name, describe_weights(self.source_of(job)))

    def identity_from(self, name: str, weights: str) -> str:
        """The same for a network that begins with weights of this identity."""
        return identity(self.recipes[name], self.data_hash + weights, self.code[name])


def execute_pictures(
    setting: BenchmarkSetting, jobs: Sequence[Job], *, workers: int = 1, waiting: Callable[[], None] | None = None
) -> Iterator[tuple[Job, Record]]:
    """As `runs.execute`, but one run after the other, as each fills the device; the workers decode videos."""
    assert isinstance(setting, PictureSetting)
    for job in jobs:
        yield job, run_pictures(setting, job)


def run_pictures(setting: PictureSetting, job: Job) -> Record:
    """Train on the training part, score the test part, and write both files of the run.

    Raises:
        DataError: If no training clip can be read.
        PanError: If the code has changed since the benchmark began.
    """
    if code_of(job.variant) != setting.code[job.variant.name]:
        raise PanError(
            "the project's code has changed since this benchmark began; start it again, finished runs are kept",
            code="benchmark.code-changed",
        )
    data, recipe = BenchmarkData(setting.folder), setting.recipes[job.variant.name]
    parts = data.parts(job.split)
    train, test = (
        PictureClips(data.clips[parts == part], setting.videos, data.classes, recipe.view, seed=seed)
        for part, seed in (("train", job.seed), ("test", None))
    )
    loop = PictureLoop(setting, job, train, classes=len(data.classes))
    loop.run(setting.path(job).with_suffix(".pt"))
    predictions, unread = score(loop.network, test, loop.device, setting.decoders)
    record = {
        "kind": job.variant.kind,
        "method": job.variant.name,
        "mode": job.mode,
        "split": job.split,
        "seed": job.seed,
        **_count_hits(test.labels, predictions, len(data.classes)),
        "unread_clips": loop.unread | unread,
        "params": sum(weights.numel() for weights in loop.network.parameters()),
        "cost": _measure_cost(loop.network, test, loop.device),
        "weights": describe_weights(setting.source_of(job)),
        "train_seconds": round(sum(row["seconds"] for row in loop.history), 1),
        "git_commit": setting.commit,
        "data_hash": setting.data_hash,
        "identity": setting.identity(job),
        "history": loop.history,
    }
    return _store(setting, job, record, test, predictions)


class PictureLoop:
    """State of one training, advanced epoch by epoch; one that was interrupted ends with the weights of one that was not.

    Args:
        setting: What runs share.
        job: The run.
        train: Training clips.
        classes: Number of classes.
    """

    def __init__(self, setting: PictureSetting, job: Job, train: PictureClips, *, classes: int) -> None:
        self.train, self.seed, self.decoders = train, job.seed, setting.decoders
        self.recipe, self.device = setting.recipes[job.variant.name], choose_device(setting.device)
        self.name, self._identity = job.name, f"{job.name}-{setting.identity(job)}"
        method = comparator(job.variant.name)
        with torch.random.fork_rng():
            torch.manual_seed(job.seed)
            self.network = method.build(classes)
        if source := setting.source_of(job):
            load_weights(method.backbones(self.network), method.BACKBONE, source, method.HEADS)
        self.network.to(self.device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=self.recipe.learning_rate, momentum=0.9, weight_decay=self.recipe.weight_decay
        )
        self.history: list[dict[str, float]] = []
        self.unread: dict[str, str] = {}
        self.steps = 0

    def run(self, checkpoint: Path) -> None:
        """Train to the end; the checkpoint is written after every epoch, and gone on from if it is there.

        Raises:
            DataError: If no training clip can be read.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*checkpoint.*")
            self._restore(load_checkpoint(checkpoint, self._identity))
        epochs = range(len(self.history), self.recipe.epochs)
        orders = {epoch: self._order(epoch) for epoch in epochs}
        loaded = load_batches(self.train, [batch for order in orders.values() for batch in order], self.decoders)
        self.total = self.recipe.epochs * len(self._order(0))
        with torch.random.fork_rng(), progress_bar(self.name, "epoch") as update:
            for epoch, order in orders.items():
                self._run_epoch(epoch, islice(loaded, len(order)))
                save_checkpoint(checkpoint, self._state(), self._identity)
                update(epoch + 1, self.recipe.epochs)
        self.network.eval()

    def _order(self, epoch: int) -> list[list[tuple[int, int]]]:
        """Keys of an epoch's batches: each clip once."""
        order = epoch_rng(self.seed, epoch).permutation(len(self.train))
        batches = np.array_split(order, max(1, len(order) // self.recipe.batch))
        return [[(epoch, int(number)) for number in batch] for batch in batches]

    def _run_epoch(self, epoch: int, batches: Iterator[list[tuple[int, torch.Tensor | str]]]) -> None:
        started, sums = time.perf_counter(), np.zeros(3)
        torch.manual_seed(int(epoch_rng(self.seed, epoch).integers(2**62)))
        self.network.train()
        for batch in batches:
            sums += self._step(batch)
        if not sums[2]:
            reasons = "".join(f"\n  - {reason}" for reason in list(self.unread.values())[:SHOWN])
            raise DataError(f"no training clip can be read:{reasons}", code="pictures.nothing-read")
        if not np.isfinite(sums[0]):
            raise DataError(
                f"{type(self.network).__name__}: the loss of epoch {epoch + 1} is no finite number; begin with other weights, or with a lower "
                "learning rate in its RECIPE",
                code="pictures.not-finite",
            )
        self.history.append(
            {
                "train_loss": float(sums[0] / sums[2]),
                "train_accuracy": float(sums[1] / sums[2]),
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - started,
            }
        )

    def _step(self, batch: list[tuple[int, torch.Tensor | str]]) -> tuple[float, float, int]:
        """Train on one batch: summed loss, summed hits, and clips; those that cannot be read are noted and left out."""
        self.steps += 1
        self.unread |= {self.train.clip_ids[number]: windows for number, windows in batch if isinstance(windows, str)}
        numbers = [number for number, windows in batch if isinstance(windows, torch.Tensor)]
        if not numbers:
            return 0.0, 0.0, 0
        pictures = torch.cat([windows for _, windows in batch if isinstance(windows, torch.Tensor)])
        labels = torch.from_numpy(self.train.labels[numbers]).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(
                self.steps - 1, self.total, peak=self.recipe.learning_rate, warm_up=self.recipe.warm_up
            )
        with autocast(self.device):
            loss, scores = self.network.loss(pictures.to(self.device).float(), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        return float(loss.detach()) * len(numbers), float((scores.argmax(dim=1) == labels).sum()), len(numbers)

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "history": self.history,
            "unread": self.unread,
        }

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.steps, self.history, self.unread = state["steps"], list(state["history"]), dict(state["unread"])


def autocast(device: torch.device) -> torch.autocast:
    """Products in bfloat16 on a GPU that can."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=device.type == "cuda" and torch.cuda.is_bf16_supported()
    )


@torch.inference_mode()
def score(network: Any, test: PictureClips, device: torch.device, decoders: int) -> tuple[np.ndarray, dict[str, str]]:
    """Predicted class of each test clip by the mean of its windows' scores, (N,), -1 if it cannot be read; and why those cannot.

    Args:
        network: Trained network, in evaluation mode.
        test: Test clips.
        device: Where the network is.
        decoders: Processes that decode videos.
    """
    predictions, unread = np.full(len(test), -1), {}
    for batch in load_batches(test, [[(0, number)] for number in range(len(test))], decoders):
        for number, windows in batch:
            if isinstance(windows, str):
                unread[test.clip_ids[number]] = windows
                continue
            with autocast(device):
                scores = network.score(windows.to(device).float()).float().mean(dim=0)
            predictions[number] = int(scores.argmax())
    return predictions, unread


def _measure_cost(network: Any, test: PictureClips, device: torch.device) -> Record:
    """MACs and milliseconds of a test clip: of the network over all its windows, and of reading it with one process."""
    begun, count = time.perf_counter(), min(TIMED_CLIPS, len(test))
    read = [test[0, number][1] for number in range(count)]
    read_ms = 1000 * (time.perf_counter() - begun) / max(1, count)
    clips = [windows for windows in read if isinstance(windows, torch.Tensor)]
    if not clips:
        return {}
    pictures = clips[0].to(device).float()

    def run() -> None:
        with autocast(device):
            network.score(pictures)

    macs = count_macs(lambda: copy_to_meta(network).score(pictures[:1].to("meta"))) * len(pictures)
    return {"macs": macs, "network_ms": time_run(run, device), "read_ms": read_ms, "device": name_device(device)}


def _count_hits(labels: np.ndarray, predictions: np.ndarray, classes: int) -> Record:
    """Accuracy figures of all listed test clips."""
    hits = predictions == labels
    counts, right = np.bincount(labels, minlength=classes), np.bincount(labels, weights=hits, minlength=classes)
    return {
        "accuracy": float(hits.mean()),
        "mean_class_accuracy": float((right[counts > 0] / counts[counts > 0]).mean()),
        "test_clips": len(labels),
    }


def _store(setting: PictureSetting, job: Job, record: Record, test: PictureClips, predictions: np.ndarray) -> Record:
    """Write both files of a run, the figures last, and read them back."""
    path = setting.path(job)
    with atomic_path(path.with_suffix(".npz")) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file, clip_ids=np.array(test.clip_ids, dtype=str), labels=test.labels, predictions=predictions
        )
    write_json(path, record)
    path.with_suffix(".pt").unlink(missing_ok=True)
    found = setting.finished(job)
    assert found is not None
    return found
