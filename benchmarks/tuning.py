"""Whether tuning is worth its cost: 30 trials by TPE beside 30 random draws and the values of params.yaml.

    PAN_MIRROR=... python benchmarks/tuning.py penn_action jhmdb14 --repeats 3

For each repeat, with its own seed: a study of each sampler with the same space, pruner, length of trials and leaders; then one full
training with the winner's values and one with the defaults, on the same training groups, scored once on the validation groups
and once on the test part of split 1. Goes on where it stopped; writes docs/results/tuning.md when all is done.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from optuna.trial import TrialState

from pan_core.benchmark.prepared_data import BenchmarkData, prepare
from pan_core.datasets.splits import with_validation
from pan_core.evaluation.table1 import DATASET_TITLES
from pan_core.files import atomic_path, cache_folder, read_json, write_json
from pan_core.params.load import Params
from pan_core.params.schema import TuneParams
from pan_core.params.space import Values
from pan_core.stages.tune import make_plan, trial_settings
from pan_core.training.fit import fit
from pan_core.training.predict import predict
from pan_core.training.samples import Samples
from pan_core.tuning.objective import Trainer
from pan_core.tuning.search import Tools, repeat, search
from pan_core.tuning.storage import open_storage
from pan_core.tuning.study import Study
from pan_core.tuning.workers import Worker
from pan_core.workers.pool import run_jobs
from pan_core.workspace.context import dataset_context
from pan_core.workspace.training_data import network_settings, train_settings

WAYS = {"defaults": "values of params.yaml", "random": "random draws", "tpe": "TPE"}
TRIALS, MODE, SPLIT = 30, "clip", 1
OUT = Path(__file__).parents[1] / "docs" / "results" / "tuning.md"


class Nowhere:
    """The row of a trial that nobody reads: the study keeps what is needed here."""

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Nothing is kept."""

    def tag(self, name: str, value: object) -> None:
        """Nothing is kept."""


@contextmanager
def no_row(name: str, values: Values) -> Iterator[Nowhere]:
    """A row for a trial."""
    yield Nowhere()


def parts(dataset: str, params: Params, seed: int) -> dict[str, Samples]:
    """Samples of the train, val and test part, as the pipeline would cut them."""
    data = BenchmarkData(folder_of(dataset))
    cut = with_validation(data.clips, f"split{SPLIT}", share=params.split.validation_share, seed=seed)
    make = partial(data.samples, cut, mode=MODE, frames=params.model.frames, rate=params.model.rate)
    return {part: make(part=part) for part in ("train", "val", "test")}


def folder_of(dataset: str) -> Path:
    """Where the benchmark's prepared data lie."""
    return cache_folder() / "benchmark" / dataset


def result_of(dataset: str, way: str, seed: int) -> Path:
    """File of what one way reached in one repeat."""
    return cache_folder() / "tuning" / f"{dataset}-{way}-{seed}.json"


def run(dataset: str, way: str, seed: int) -> None:
    """One way in one repeat: search, full training, scores."""
    torch.set_num_threads(1)
    params = Params(dataset=dataset, seed=seed)
    samples = parts(dataset, params, seed)
    found = tuned(params, way, samples) if way != "defaults" else {"values": {}, "search_seconds": 0.0}
    model, train = params.varied(found["values"])
    with tempfile.TemporaryDirectory() as scratch:
        full = fit(
            samples["train"], samples["val"], settings=train_settings(train), model_settings=network_settings(model),
            checkpoint=Path(scratch) / "full.pt", seed=seed,
        )  # fmt: skip
    right = predict(full.model, samples["test"]).probabilities.argmax(axis=1) == samples["test"].labels
    seconds = sum(row["seconds"] for row in full.history)
    figures = {"val": full.val_accuracy, "test": float(right.mean()), "training_seconds": seconds}
    write_json(result_of(dataset, way, seed), found | figures)


def tuned(params: Params, way: str, samples: dict[str, Samples]) -> dict:
    """The winner of a study; its test part is not handed on."""
    asked = TuneParams(trials=TRIALS, objectives=["accuracy"], sampler=way)
    params = params.model_copy(update={"tune": asked})
    rests_on = {"epochs": str(asked.epochs)}
    plan = make_plan(params, name=f"{params.dataset}-{way}-{params.seed}", rests_on=rests_on)
    folder = cache_folder() / "tuning"
    study = Study(plan, open_storage(folder / f"{plan.name}.log"))
    # Counted over interruptions: what a trial took stands in its own times. One that was killed has no end of its own.
    with tempfile.TemporaryDirectory() as scratch, Worker(folder / "workers") as worker:
        trainer = Trainer(samples["train"], samples["val"], partial(trial_settings, params), Path(scratch))
        tools = Tools(trainer, no_row, lambda name: None)
        search(study, worker, tools)
        for number, again in study.missing_repeats():
            started = time.perf_counter()
            repeat(study, number, again, tools)
            study.optuna.set_user_attr(f"seconds-{number}-{again}", time.perf_counter() - started)
    ended = study.trials(TrialState.COMPLETE, TrialState.PRUNED)
    spent = sum((trial.datetime_complete - trial.datetime_start).total_seconds() for trial in ended)
    spent += sum(value for name, value in study.optuna.user_attrs.items() if name.startswith("seconds-"))
    winner = study.judged()[0]
    return {
        "values": study.trial(winner.number).params,
        "search_seconds": spent,
        "pruned": len(study.trials(TrialState.PRUNED)),
        "winner_is_default": winner.is_default,
        "val_of_leaders": winner.accuracy,
    }


def table(datasets: list[str], repeats: int, command: str) -> str:
    """docs/results/tuning.md."""
    lines = [
        "# Tuning", "",
        f"Written by `{command}` (measured); do not edit. {TRIALS} complete trials each, {MODE} mode, split {SPLIT}, mean and standard",
        f"deviation over {repeats} repeats with their own seeds and validation groups. *Cost*: time of the study, leaders included,",
        "as a multiple of one full training in the same repeat.", "",
        "| dataset | way | validation | test | cost | the winner was the defaults |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for dataset, way in product(datasets, WAYS):
        found = [read_json(result_of(dataset, way, seed)) for seed in range(repeats)]
        full = [read_json(result_of(dataset, "defaults", seed))["training_seconds"] for seed in range(repeats)]
        cost = np.mean([own["search_seconds"] / seconds for own, seconds in zip(found, full, strict=True)])
        kept = sum(own.get("winner_is_default", False) for own in found)
        cells = [_spread([own[part] for own in found]) for part in ("val", "test")]
        cells += ["-", "-"] if way == "defaults" else [f"{cost:.1f}", f"{kept} of {repeats}"]
        lines.append(f"| {DATASET_TITLES[dataset]} | {WAYS[way]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.repeats < 2:
        parser.error(f"--repeats: expected 2 or more, but got {arguments.repeats}")
    for dataset in arguments.datasets:
        prepare(dataset, folder_of(dataset), dataset_context(Params(dataset=dataset)))
    every = list(product(arguments.datasets, WAYS, range(arguments.repeats)))
    missing = [job for job in every if not result_of(*job).is_file()]
    jobs = [partial(run, *job) for job in missing]
    started = time.monotonic()

    def tick() -> None:
        left = sum(not result_of(*job).is_file() for job in missing)
        print(
            f"\r{len(missing) - left} of {len(missing)} done, {time.monotonic() - started:.0f} s",
            end="",
            file=sys.stderr,
        )

    run_jobs([lambda: jobs], workers=arguments.workers, tick=tick)
    command = f"python benchmarks/tuning.py {' '.join(arguments.datasets)} --repeats {arguments.repeats}"
    with atomic_path(OUT) as partial_file:
        partial_file.write_text(table(arguments.datasets, arguments.repeats, command))
    print(json.dumps({"written": str(OUT)}))


if __name__ == "__main__":
    main()
