"""A benchmark as a user starts it: data, runs, MLflow rows, result files."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pan_core.benchmark.methods import PROJECT, code_of
from pan_core.benchmark.prepared_data import BenchmarkData, prepare
from pan_core.benchmark.protocol import COMPARATORS, LEAKAGE, MODEL, PARTS_OF_THE_PAPER, Job, Recipe, Variant, plan
from pan_core.benchmark.results import build_results, stored_runs
from pan_core.benchmark.runs import BenchmarkSetting, Record, execute
from pan_core.datasets.base import Context
from pan_core.errors import ConfigError, DataError
from pan_core.evaluation.class_parts import require_classes
from pan_core.evaluation.table1 import COLUMN_OF, DATASET_TITLES
from pan_core.files import read_json, write_json
from pan_core.model.features import MODES
from pan_core.tracking.tracker import Tracker, git_commit

OTHERS = (
    *(Variant("ablation", part) for part in PARTS_OF_THE_PAPER),
    *(Variant("comparator", name) for name in COMPARATORS),
    Variant("control", LEAKAGE),
)


SEEDS = 5
"""Of the whole protocol; with fewer the spread of the seeds is hardly known."""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        seeds: Seeds 0 to seeds - 1 of the recognizer are run.
        modes: Input modes.
        splits: Official splits; empty for all.
        others: What to run beside the recognizer itself.
        other_seeds: Seeds of the others; those of the recognizer where None.
        other_modes: Their input modes; those of the recognizer where empty.
        epochs: Instead of the recipe's, to try things out; for the record.
        workers: Processes.
    """

    seeds: int
    modes: tuple[str, ...]
    splits: tuple[int, ...] = ()
    others: tuple[Variant, ...] = ()
    other_seeds: int | None = None
    other_modes: tuple[str, ...] = ()
    epochs: int | None = None
    workers: int = 1

    @property
    def whole(self) -> bool:
        """Whether it is the whole protocol, whose figures may stand beside published ones."""
        return self.seeds >= SEEDS and self.modes == MODES and not self.splits and self.epochs is None


def benchmark(name: str, request: Request, recipe: Recipe, *, folder: Path, context: Context, out: Path) -> dict:
    """Run what is not finished, and write `<out>/<name>.json`.

    Args:
        name: Dataset.
        request: What to run.
        recipe: How networks are trained.
        folder: Where prepared data and finished runs of this dataset lie.
        context: Where the dataset comes from.
        out: Folder of the result files.

    Returns:
        The result, as written.

    Raises:
        ConfigError: If a split is unknown, or a leakage control is requested although every clip is a group of its own.
        DataError: If the dataset cannot be fetched, or a part of a split shows one class only.
    """
    data = prepare(name, folder, context)
    splits = _choose_splits(name, data, request)
    for split in splits:
        require_classes(data.clips, f"split{split}", parts=("train", "test"))
    code = {variant.name: code_of(variant) for variant in (MODEL, *OTHERS)}
    setting = BenchmarkSetting(
        name, folder, data.data_hash, recipe, _describe_commit(), code, *_prepare_source(name, recipe, folder, context)
    )
    own = plan((MODEL,), modes=request.modes, splits=splits, seeds=request.seeds)
    jobs = own + plan(
        request.others,
        modes=request.other_modes or request.modes,
        splits=splits,
        seeds=request.other_seeds or request.seeds,
    )
    done = _FinishedRuns(setting, out / f"{name}.json")
    finished = {job: record for job in jobs if (record := done.find(job)) is not None}
    pending = [job for job in jobs if job not in finished]
    tracker = _MlflowRows(setting, jobs) if pending else None
    _run_pending(setting, pending, finished, tracker, request.workers)
    seeds = max(request.seeds, request.other_seeds or 0)
    records = [*(finished[job] for job in own), *_collect_others(done, seeds, splits)]
    result = build_results(_describe_benchmark(name, data, setting, splits, request), records)
    write_json(out / f"{name}.json", result)
    if tracker:
        tracker.close(result)
    return read_json(out / f"{name}.json")


def _prepare_source(name: str, recipe: Recipe, folder: Path, context: Context) -> tuple[Path | None, str]:
    """Folder and hash of the data that networks learn first."""
    if not recipe.pretrained_on:
        return None, ""
    if recipe.pretrained_on == name:
        raise ConfigError(
            "pan benchmark",
            [f"{name}: a network cannot be pretrained on what it is tested on"],
            code="benchmark.pretrained-on-itself",
        )
    source = folder.parent / recipe.pretrained_on
    return source, prepare(recipe.pretrained_on, source, context).data_hash


def _choose_splits(name: str, data: BenchmarkData, request: Request) -> list[int]:
    faults = []
    if unknown := sorted(set(request.splits) - set(data.splits)):
        faults.append(f"--splits: {name} has splits {data.splits}, but got {unknown}")
    if Variant("control", LEAKAGE) in request.others and not data.may_leak:
        faults.append(f"--control leakage: every clip of {name} is a group of its own, so no split of it can leak")
    if faults:
        raise ConfigError("pan benchmark", faults)
    return list(request.splits) or data.splits


def _run_pending(
    setting: BenchmarkSetting,
    pending: Sequence[Job],
    finished: dict[Job, Record],
    tracker: "_MlflowRows | None",
    workers: int,
) -> None:
    """Run the pending jobs; the bar shows the recognizer's mean so far in each mode."""
    total = len(pending) + len(finished)
    with tqdm(total=total, initial=len(finished), desc=setting.dataset, unit="run", dynamic_ncols=True) as bar:
        bar.set_postfix_str(_running_mean(finished))
        # In a log file a bar cannot be redrawn.
        waiting = bar.refresh if sys.stderr.isatty() else None
        for job, record in execute(setting, pending, workers=min(workers, max(1, len(pending))), waiting=waiting):
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


class _FinishedRuns:
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


def _collect_others(done: _FinishedRuns, seeds: int, splits: Sequence[int]) -> list[Record]:
    """Runs of everything beside the recognizer, asked for now or before: of each mode the seeds that have every split."""
    records: list[Record] = []
    for variant in (other for other in OTHERS if other.name in done.setting.code):
        for seed, mode in product(range(seeds), variant.modes):
            found = [done.find(Job(variant, mode, split, seed)) for split in splits]
            records += [record for record in found if record is not None] if None not in found else []
    return records


def _describe_commit() -> str:
    """The git commit, marked if the work tree differs from it."""
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no", "pan_core"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return git_commit(PROJECT) + ("-dirty" if changed.stdout.strip() else "")


def _write_command(name: str, request: Request) -> str:
    """The command line that gives the recognizer's figures again."""
    words = [f"pan benchmark {name} --seeds {request.seeds}"]
    words += [f"--modes {','.join(request.modes)}"] if request.modes != MODES else []
    words += [f"--splits {','.join(map(str, request.splits))}"] if request.splits else []
    words += [f"--epochs {request.epochs}"] if request.epochs else []
    return " ".join(words)


def _describe_benchmark(
    name: str, data: BenchmarkData, setting: BenchmarkSetting, splits: Sequence[int], request: Request
) -> dict:
    return {
        "dataset": name,
        "command": _write_command(name, request),
        "title": DATASET_TITLES.get(COLUMN_OF.get(name, name), data.title),
        "clips": len(data.clips),
        "classes": len(data.classes),
        "splits": list(splits),
        "git_commit": setting.commit,
        "data_hash": setting.data_hash,
        "identity": setting.identity(Job(MODEL, "clip", splits[0], 0)),
        "recipe": asdict(setting.recipe),
    }


class _MlflowRows:
    """MLflow rows of a benchmark: one for it, one nested in it for each seed, split, mode and variant."""

    def __init__(self, setting: BenchmarkSetting, jobs: Sequence[Job]) -> None:
        self._tracker = Tracker(f"{setting.dataset}-benchmark")
        self._fingerprint = setting.identity(jobs[0])
        recipe = asdict(setting.recipe)
        parts = {"network": recipe["network"], "training": recipe["training"]}
        self._params = {f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}
        self._params |= {"frames": recipe["frames"], "rate": recipe["rate"], "data_hash": setting.data_hash}

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
