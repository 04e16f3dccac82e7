"""Running the jobs of a benchmark: each finished one is a file, so that a benchmark that was ended goes on."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from pan_core.benchmark.methods import build_of, code_of, recipe_of
from pan_core.benchmark.prepared_data import BenchmarkData
from pan_core.benchmark.protocol import LEAKAGE, MODEL, Job, Recipe, identity
from pan_core.errors import PanError
from pan_core.evaluation.behaviour import reactions, standard_changes, without_joint
from pan_core.evaluation.metrics import OBSERVED_SHARES, observed_ends
from pan_core.files import atomic_path, read_json, write_json
from pan_core.model.pan import PAN
from pan_core.skeletons import SkeletonLayout
from pan_core.training.fit import Build, FitResult, Weights, body, build_network, fit
from pan_core.training.predict import length_batches, predict
from pan_core.training.samples import Samples
from pan_core.workers.pool import process_pool

Record = dict
"""Figures of one run, as its JSON file holds them."""

SCORED_AT_ONCE = 256
POLL_S = 1.0


@dataclass(frozen=True)
class BenchmarkSetting:
    """What all runs of a benchmark share.

    Attributes:
        dataset: Name in the registry.
        folder: Prepared data of the dataset; finished runs go to `runs` in it.
        data_hash: Hash of the data.
        recipe: How networks are trained.
        commit: Git commit, for the record.
        source: Prepared data that the recipe's networks learn first; None for none.
        source_hash: Hash of that data.
        code: Hash of the code behind each variant's figures, by its kind and name, as it was when the benchmark began.
    """

    dataset: str
    folder: Path
    data_hash: str
    recipe: Recipe
    commit: str
    code: Mapping[str, str]
    source: Path | None = None
    source_hash: str = ""

    def path(self, job: Job) -> Path:
        """File of a finished run; every choice behind its figures is in the name."""
        return self.folder / "runs" / f"{job.name}-{self.identity(job)}.json"

    def identity(self, job: Job) -> str:
        """Hash of data, settings and code."""
        return identity(
            recipe_of(job.variant, self.recipe), self.data_hash + self.source_hash, self.code[job.variant.name]
        )

    def finished(self, job: Job) -> Record | None:
        """Figures of a run that is done, and as `hits` which test clips it recognised."""
        path = self.path(job)
        if not path.is_file() or not path.with_suffix(".npz").is_file():
            return None
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
            right = stored["predictions"] == stored["labels"]
            hits = dict(zip(stored["clip_ids"].tolist(), right.tolist(), strict=True))
        return read_json(path) | {"hits": hits}


def execute(
    setting: BenchmarkSetting, jobs: Sequence[Job], *, workers: int = 1, waiting: Callable[[], None] | None = None
) -> Iterator[tuple[Job, Record]]:
    """Run jobs and yield each as it is finished; what was finished before is the caller's to read.

    Runs do not know of each other, so the number of workers changes nothing but the time.

    Args:
        setting: What they share.
        jobs: What to run.
        workers: Processes, one thread each.
        waiting: Called every second, to keep a progress bar alive.
    """
    if workers == 1:
        for job in jobs:
            yield job, run(setting, job)
        return
    with process_pool(workers) as pool:
        futures = {pool.submit(run, setting, job): job for job in jobs}
        try:
            while futures:
                done, _ = wait(futures, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    yield futures.pop(future), future.result()
                if waiting:
                    waiting()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def run(setting: BenchmarkSetting, job: Job) -> Record:
    """Train on the training part, score the test part, and write both files of the run.

    Raises:
        PanError: If the code has changed since the benchmark began: its figures would be filed under other code.
    """
    if code_of(job.variant) != setting.code[job.variant.name]:
        raise PanError(
            "the project's code has changed since this benchmark began; start it again, finished runs are kept",
            code="benchmark.code-changed",
        )
    torch.set_num_threads(1)
    recipe, data = recipe_of(job.variant, setting.recipe), BenchmarkData(setting.folder)
    parts = data.parts(job.split, shuffled=job.seed if job.variant.name == LEAKAGE else None)
    train, test = (
        data.samples(parts, part, mode=job.mode, frames=recipe.frames, rate=recipe.rate) for part in ("train", "test")
    )
    result, spent = _train(setting, job, recipe, train)
    listed = data.clips[parts == "test"]
    clip_ids = listed["clip_id"].to_numpy(dtype=str)
    labels = np.array([data.classes.index(label) for label in listed["label"]])
    scores = _score(result.model, test, clip_ids)
    record = {
        "kind": job.variant.kind,
        "method": job.variant.name,
        "mode": job.mode,
        "split": job.split,
        "seed": job.seed,
        **_count_hits(labels, scores, len(data.classes)),
        "params": sum(weights.numel() for weights in result.model.parameters()),
        "pretrain_seconds": spent,
        "train_seconds": round(sum(row["seconds"] for row in result.history), 1),
        "git_commit": setting.commit,
        "data_hash": setting.data_hash,
        "identity": setting.identity(job),
        "history": result.history,
        **({"behaviour": _measure_behaviour(result.model, test)} if job.variant == MODEL and job.seed == 0 else {}),
    }
    return _store(setting, job, record, {"clip_ids": clip_ids, "labels": labels, **scores})


def _train(setting: BenchmarkSetting, job: Job, recipe: Recipe, train: Samples) -> tuple[FitResult, float]:
    """The trained network, and the seconds that its pretraining took."""
    start, spent = _load_pretrained(setting, job, recipe, train.layout) if setting.source else (None, 0.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*checkpoint.*")
        result = fit(
            train, None, settings=recipe.training, model_settings=recipe.network, seed=job.seed, start=start,
            checkpoint=setting.path(job).with_suffix(".pt"), build=build_of(job.variant),
        )  # fmt: skip
    return result, spent


def _store(setting: BenchmarkSetting, job: Job, record: Record, arrays: dict[str, np.ndarray]) -> Record:
    """Write both files of a run, the figures last, and read them back."""
    path = setting.path(job)
    with atomic_path(path.with_suffix(".npz")) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    write_json(path, record)
    path.with_suffix(".pt").unlink(missing_ok=True)
    found = setting.finished(job)
    assert found is not None
    return found


def _load_pretrained(
    setting: BenchmarkSetting, job: Job, recipe: Recipe, layout: SkeletonLayout
) -> tuple[Weights, float]:
    """The body of a network of this seed that learnt the source's training part, and the seconds that took.

    Made once for all splits; of two runs that need it at the same time one waits for the other.
    """
    assert setting.source is not None
    own = f"pretrained-{job.variant.name}-{job.mode}-seed{job.seed}-{setting.identity(job)}.pt"
    path = setting.folder / "runs" / own
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            checkpoint = path.with_suffix(".checkpoint")
            found = pretrain(
                BenchmarkData(setting.source), recipe, layout=layout, mode=job.mode, seed=job.seed, checkpoint=checkpoint,
                build=build_of(job.variant),
            )  # fmt: skip
            spent = round(sum(row["seconds"] for row in found.history), 1)
            with atomic_path(path) as partial:
                torch.save({"weights": body(found.model), "seconds": spent}, partial)
            checkpoint.unlink(missing_ok=True)
    stored = torch.load(path, weights_only=True)
    return stored["weights"], stored["seconds"]


def pretrain(
    source: BenchmarkData, recipe: Recipe, *, layout: SkeletonLayout, mode: str, seed: int, checkpoint: Path,
    build: Build = build_network,
) -> FitResult:  # fmt: skip
    """Train on the training part of another dataset's first split, its joints brought into the layout; those that it lacks are missing."""
    train = source.samples(
        source.parts(source.splits[0]), "train", mode=mode, frames=recipe.frames, rate=recipe.rate
    ).in_layout(layout, may_lack=True)
    return fit(
        train,
        None,
        settings=recipe.training,
        model_settings=recipe.network,
        checkpoint=checkpoint,
        seed=seed,
        build=build,
    )


def _score(model: PAN, test: Samples, listed: np.ndarray) -> dict[str, np.ndarray]:
    """Predicted class of each listed clip at its end, (N,), and at each observed share, (N, S).

    A clip in which nobody was found has prediction -1, which is a mistake.
    """
    place = {clip_id: number for number, clip_id in enumerate(listed)}
    predictions = np.full(len(listed), -1)
    observed = np.full((len(listed), len(OBSERVED_SHARES)), -1)
    for indices in length_batches(test.lengths, SCORED_AT_ONCE):
        part = test.select(indices)
        said = predict(model, part)
        rows = [place[clip_id] for clip_id in part.clip_ids]
        predictions[rows] = said.probabilities.argmax(axis=1)
        ends = observed_ends(said.lengths, OBSERVED_SHARES)
        observed[rows] = np.take_along_axis(said.frame_probabilities.argmax(axis=2), ends, axis=1)
    return {"predictions": predictions, "observed": observed}


def _measure_behaviour(model: PAN, test: Samples) -> Record:
    """How answers change when test clips change in ways that should not matter."""
    lost = {f"without {joint.replace('_', ' ')}": partial(without_joint, joint=joint) for joint in test.layout.joints}
    found = reactions(model, test, {**standard_changes(test), **lost})
    return {name: asdict(reaction) for name, reaction in found.items()}


def _count_hits(labels: np.ndarray, scores: dict[str, np.ndarray], classes: int) -> Record:
    """Accuracy figures of all listed test clips."""
    hits = scores["predictions"] == labels
    counts = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, weights=hits, minlength=classes)
    return {
        "accuracy": float(hits.mean()),
        "mean_class_accuracy": float((right[counts > 0] / counts[counts > 0]).mean()),
        "test_clips": len(labels),
        "nobody_found": int((scores["predictions"] < 0).sum()),
        "accuracy_by_observed_share": (scores["observed"] == labels[:, None]).mean(axis=0).tolist(),
    }
