"""Several trainings at once, in processes of their own, up to their finished checkpoints.

Whoever needs the networks calls `fit` afterwards, as without this: it finds the finished checkpoint and returns at once. So the
weights are those of one training after another, and a run that is killed goes on from the checkpoints.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pan_core.model.pan import PanSettings
from pan_core.training.fit import Log, Progress, Weights, fit
from pan_core.training.loop import FitResult
from pan_core.training.samples import Samples
from pan_core.training.schedule import epochs_needed
from pan_core.training.settings import TrainSettings
from pan_core.workers.pool import run_jobs


@dataclass(frozen=True)
class Training:
    """Arguments of `pan_core.training.fit.fit` that say what is trained.

    Attributes:
        train: Training clips.
        val: Validation clips, or None.
        settings: How to train.
        model_settings: Widths of the network.
        checkpoint: File that is written after every epoch.
        seed: Of weights, order, augmentation and dropout.
        start: Weights to begin with, or None.
    """

    train: Samples
    val: Samples | None
    settings: TrainSettings
    model_settings: PanSettings
    checkpoint: Path
    seed: int = 0
    start: Weights | None = None

    @property
    def rows(self) -> Path:
        """File in which a process leaves the history's rows for the one that watches."""
        return self.checkpoint.with_suffix(".rows")

    @property
    def epochs(self) -> int:
        """Passes over the clips."""
        settings = self.settings
        return epochs_needed(len(self.train), settings.batch, epochs=settings.epochs, least_steps=settings.least_steps)

    def fit(self, *, log: Log | None = None, progress: Progress | None = None) -> FitResult:
        """Train the network, see `pan_core.training.fit.fit`; finished already, it is only read."""
        return fit(
            self.train, self.val, settings=self.settings, model_settings=self.model_settings, checkpoint=self.checkpoint,
            seed=self.seed, start=self.start, log=log, progress=progress,
        )  # fmt: skip


def fit_ahead(trainings: Sequence[Training], *, workers: int, threads: int = 1, log: Callable[[Training], Log]) -> None:
    """Train networks to their checkpoints, several at a time.

    Args:
        trainings: What to train, each with a checkpoint of its own. A single one is left to `fit`: it gains nothing.
        workers: How many run at a time; if 1, all are left to `fit`.
        threads: Cores of each.
        log: Gives what is called with the rows of a training's history, in order, about once a second; after a kill, rows may come
            again with the same numbers.

    Raises:
        PanError: As `fit`, and if processes are killed again and again.
    """
    if workers < 2 or len(trainings) < 2:
        return
    for training in trainings:
        training.rows.unlink(missing_ok=True)
    readers = [_RowReader(training.rows, log(training)) for training in trainings]

    def read() -> None:
        for reader in readers:
            reader.read()

    jobs = [_Job(training, threads) for training in trainings]
    try:
        run_jobs([lambda: jobs], workers=min(workers, len(jobs)), tick=read)
        read()
    finally:
        for training in trainings:
            training.rows.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Job:
    training: Training
    threads: int

    def __call__(self) -> None:
        torch.set_num_threads(self.threads)
        path = self.training.rows
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes().rpartition(b"\n") if path.is_file() else (b"", b"", b"")
        path.write_bytes(b"".join(whole[:2]))  # without a row that a kill cut
        with path.open("a", buffering=1) as rows:
            self.training.fit(log=lambda epoch, row: print(json.dumps([epoch, row]), file=rows))


class _RowReader:
    """Passes on the rows that another process appends to a file, each epoch once."""

    def __init__(self, path: Path, log: Log) -> None:
        self._path, self._log = path, log
        self._offset, self._next = 0, 0

    def read(self) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):  # still being written
                return
            self._offset += len(line)
            epoch, row = json.loads(line)
            if epoch >= self._next:
                self._next = epoch + 1
                self._log(epoch, row)
