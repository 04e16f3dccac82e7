"""Runs of a benchmark brought to their end: finished ones are found, the others are run and logged."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pan_core.benchmark.picture_runs import PictureSetting
from pan_core.benchmark.protocol import MODEL, Job
from pan_core.benchmark.results import stored_runs
from pan_core.benchmark.runs import BenchmarkSetting, Record, execute
from pan_core.errors import DataError
from pan_core.tracking.tracker import Tracker

RunJobs = Callable[..., Iterator[tuple[Job, Record]]]


class FinishedRuns:
    """Finished runs: those of this machine, and those of a result file that came with the project.

    Args:
        setting: What the runs must rest on.
        published: The result file; it may be missing, or belong to other code, data or settings.
    """

    def __init__(self, setting: BenchmarkSetting, published: Path) -> None:
        self.setting = setting
        self._published: dict[tuple[str, str, int, int, str], Record] = {}
        with suppress(DataError):
            for run in stored_runs(published):
                self._published[run["method"], run["mode"], run["split"], run["seed"], run["identity"]] = run

    def find(self, job: Job) -> Record | None:
        """The figures of a run that is done."""
        key = (job.variant.name, job.mode, job.split, job.seed, self.setting.identity(job))
        return self.setting.finished(job) or self._published.get(key)


def complete(
    done: "FinishedRuns", jobs: Sequence[Job], workers: int, *, title: str = "", run_jobs: RunJobs | None = None
) -> tuple[dict[Job, Record], "MlflowRows | None"]:
    """Run the jobs that are not finished; the records of all, and the MLflow rows if there was any.

    Args:
        done: Finished runs.
        jobs: What to run.
        workers: Processes.
        title: Of the progress bar; the dataset's name if left out.
        run_jobs: What runs the jobs, as `runs.execute` does.
    """
    finished = {job: record for job in jobs if (record := done.find(job)) is not None}
    pending = [job for job in jobs if job not in finished]
    tracker = MlflowRows(done.setting, jobs) if pending else None
    _run_pending(done.setting, pending, finished, tracker, workers, title or done.setting.dataset, run_jobs or execute)
    return finished, tracker


def _run_pending(
    setting: BenchmarkSetting,
    pending: Sequence[Job],
    finished: dict[Job, Record],
    tracker: "MlflowRows | None",
    workers: int,
    title: str,
    run_jobs: RunJobs,
) -> None:
    """Run the pending jobs; the bar shows the recognizer's mean so far in each mode."""
    total = len(pending) + len(finished)
    with tqdm(total=total, initial=len(finished), desc=title, unit="run", dynamic_ncols=True) as bar:
        bar.set_postfix_str(_running_mean(finished))
        # In a log file a bar cannot be redrawn.
        waiting = bar.refresh if sys.stderr.isatty() else None
        for job, record in run_jobs(setting, pending, workers=min(workers, max(1, len(pending))), waiting=waiting):
            finished[job] = record
            if tracker:
                tracker.add(job, record)
            bar.set_postfix_str(_running_mean(finished), refresh=False)
            bar.update()


def _running_mean(finished: dict[Job, Record]) -> str:
    means = []
    for mode in ("clip", "online"):
        values = [r["accuracy"] for job, r in finished.items() if job.variant == MODEL and job.mode == mode]
        means += [f"{mode} {100 * np.mean(values):.1f} %"] if values else []
    return ", ".join(means)


class MlflowRows:
    """MLflow rows of a benchmark: one for it, one nested in it for each seed, split, mode and variant."""

    def __init__(self, setting: BenchmarkSetting, jobs: Sequence[Job]) -> None:
        self._tracker = Tracker(f"{setting.dataset}-benchmark")
        self._fingerprint = setting.identity(jobs[0])
        self._params = _list_parameters(setting, jobs[0]) | {"data_hash": setting.data_hash}

    def add(self, job: Job, record: Record) -> None:
        """Log one finished run with its training curves."""
        with self._tracker.stage(job.name, fingerprint=self._fingerprint, params=self._params) as run:
            run.params({"seed": job.seed, "split": job.split, "mode": job.mode, "method": job.variant.name})
            for epoch, row in enumerate(record["history"]):
                run.metrics(row, step=epoch)
            run.metrics({name: record[name] for name in ("accuracy", "mean_class_accuracy", "params", "train_seconds")})

    def close(self, result: dict) -> None:
        """Finish the benchmark's own row with its means."""
        names = ("mean_accuracy", "std_accuracy", "online_mean_accuracy", "online_std_accuracy", "params")
        figures = {name: result[name] for name in names if result[name] is not None}
        self._tracker.close_pipeline(self._fingerprint, figures, {"pan.dataset": result["dataset"]})


def _list_parameters(setting: BenchmarkSetting, job: Job) -> dict[str, object]:
    """Parameters of a run's recipe by name, those of a part with its name before theirs."""
    own = setting.recipes[job.variant.name] if isinstance(setting, PictureSetting) else setting.recipe
    recipe = {key: value for key, value in asdict(own).items() if key != "pretrained_on"}
    parts = {key: value if isinstance(value, dict) else {"": value} for key, value in recipe.items()}
    return {f"{part}.{key}".rstrip("."): value for part, values in parts.items() for key, value in values.items()}
