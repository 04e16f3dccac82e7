"""A benchmark as a user starts it: data, runs, MLflow rows, result files."""

import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

from pan_core.benchmark.completion import FinishedRuns, complete
from pan_core.benchmark.methods import PROJECT, code_of
from pan_core.benchmark.people import PoseRecipe
from pan_core.benchmark.picture_comparison import (
    add_costs,
    compare_pictures,
    make_picture_setting,
    require_pictures,
)
from pan_core.benchmark.prepared_data import BenchmarkData, Selection, dataset_of_benchmark, prepare
from pan_core.benchmark.protocol import COMPARATORS, LEAKAGE, MODEL, PARTS_OF_THE_PAPER, Job, Recipe, Variant, plan
from pan_core.benchmark.request import Request, choose_classes
from pan_core.benchmark.results import build_results
from pan_core.benchmark.runs import BenchmarkSetting, Record
from pan_core.datasets.base import Context
from pan_core.errors import ConfigError
from pan_core.evaluation.class_parts import require_classes
from pan_core.evaluation.table1 import COLUMN_OF, DATASET_TITLES
from pan_core.files import read_json, write_json
from pan_core.model.features import MODES
from pan_core.tracking.tracker import git_commit

OTHERS = (
    *(Variant("ablation", part) for part in PARTS_OF_THE_PAPER),
    *(Variant("comparator", name) for name in COMPARATORS),
    Variant("control", LEAKAGE),
)


def benchmark(
    name: str,
    request: Request,
    recipe: Recipe,
    *,
    folder: Path,
    context: Context,
    out: Path,
    poses: PoseRecipe | None = None,
) -> dict:
    """Run what is not finished, and write `<out>/<name>.json`; with chosen classes the name says how many.

    Args:
        name: Dataset.
        request: What to run.
        recipe: How networks are trained.
        folder: Where prepared data and finished runs of this dataset lie.
        context: Where the dataset comes from.
        out: Folder of the result files.
        poses: How skeletons are extracted, if the dataset gives videos.

    Returns:
        The result, as written.

    Raises:
        ConfigError: If a split or a class is unknown, or a leakage control is requested although every clip is a group of its
            own.
        DataError: If the dataset cannot be fetched, or a part of a split shows one class only.
    """
    require_pictures(name, request)
    poses = poses if dataset_of_benchmark(name).has_video else None
    classes, data = prepare_chosen(name, request, folder, context, poses)
    path = out / f"{'-'.join(filter(None, (name, Selection(classes).name)))}.json"
    splits = choose_splits(name, data, request)
    setting = make_setting(name, data, recipe, folder, context)
    own = plan((MODEL,), modes=request.modes, splits=splits, seeds=request.seeds)
    beside = request.of_others()
    jobs = own + plan(request.others, modes=beside.modes, splits=splits, seeds=beside.seeds)
    done = FinishedRuns(setting, path)
    finished, tracker = complete(done, jobs, request.workers)
    records = [*(finished[job] for job in own), *_collect_others(done, max(request.seeds, beside.seeds), splits)]
    pictures = make_picture_setting(setting, data, request, folder / "raw") if poses else None
    records += compare_pictures(pictures, request, splits, path) if pictures else []
    result = build_results(_describe_benchmark(data, setting, splits, request, classes, poses), records)
    if pictures and poses:
        add_costs(result, data, pictures, poses, path)
    write_json(path, result)
    if tracker:
        tracker.close(result)
    return read_json(path)


def prepare_chosen(
    name: str, request: Request, folder: Path, context: Context, poses: PoseRecipe | None
) -> tuple[tuple[str, ...], BenchmarkData]:
    """The classes that were asked for, by their own names, empty for all; and the prepared data of their clips.

    Raises:
        ConfigError: If a class is unknown.
        DataError: As `prepare`.
    """
    classes: tuple[str, ...] = ()
    if request.classes:
        known = dataset_of_benchmark(name).classes or prepare(name, folder, context).classes
        classes = choose_classes(name, request.classes, known)
    return classes, prepare(name, folder, context, poses=poses, selection=Selection(classes))


def make_setting(name: str, data: BenchmarkData, recipe: Recipe, folder: Path, context: Context) -> BenchmarkSetting:
    """What all runs on a dataset share.

    Args:
        name: Dataset.
        data: Its prepared data.
        recipe: How networks are trained.
        folder: Folder of the dataset's files of the benchmark.
        context: Where datasets come from.
    """
    code = {variant.name: code_of(variant) for variant in (MODEL, *OTHERS)}
    source = _prepare_source(name, recipe, folder, context)
    return BenchmarkSetting(name, data.folder, data.data_hash, recipe, _describe_commit(), code, *source)


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


def choose_splits(name: str, data: BenchmarkData, request: Request) -> list[int]:
    """Numbers of the splits that were asked for.

    Raises:
        ConfigError: If a split is unknown, or none of them can leak and a control of leakage was asked for.
        DataError: If a part of a split shows one class only.
    """
    faults = []
    if unknown := sorted(set(request.splits) - set(data.splits)):
        faults.append(f"--splits: {name} has splits {data.splits}, but got {unknown}")
    if Variant("control", LEAKAGE) in request.others and not data.may_leak:
        faults.append(f"--control leakage: every clip of {name} is a group of its own, so no split of it can leak")
    if faults:
        raise ConfigError("pan benchmark", faults)
    splits = list(request.splits) or data.splits
    for split in splits:
        require_classes(data.clips, f"split{split}", parts=("train", "test"))
    return splits


def _collect_others(done: FinishedRuns, seeds: int, splits: Sequence[int]) -> list[Record]:
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


def _write_title(name: str, data: BenchmarkData, classes: Sequence[str]) -> str:
    """Name of what was measured: that of the dataset only if it is the dataset as published."""
    title = DATASET_TITLES.get(COLUMN_OF.get(name, name), data.title)
    if classes:
        return f"{len(classes)} of {len(dataset_of_benchmark(name).classes) or 'the'} classes, clips of {title}"
    return f"{title}, not as published: {'; '.join(data.lacking.differences)}" if data.lacking.differences else title


def write_command(name: str, request: Request) -> str:
    """The command line that gives the recognizer's figures again."""
    words = [f"pan benchmark {name} --seeds {request.seeds}"]
    words += [f"--modes {','.join(request.modes)}"] if request.modes != MODES else []
    words += [f"--splits {','.join(map(str, request.splits))}"] if request.splits else []
    words += [f"--epochs {request.epochs}"] if request.epochs else []
    words += [f"--classes {','.join(request.classes)}"] if request.classes else []
    words += [f"--pose-network {request.pose_network}"] if request.pose_network else []
    words += [f"--quality {request.quality}"] if request.quality else []
    words += [f"--pictures {','.join(request.pictures)}"] if request.pictures else []
    words += [f"--picture-weights {name}={source}" for name, source in request.picture_weights]
    return " ".join(words)


def _describe_benchmark(
    data: BenchmarkData,
    setting: BenchmarkSetting,
    splits: Sequence[int],
    request: Request,
    classes: Sequence[str],
    poses: PoseRecipe | None,
) -> dict:
    name = setting.dataset
    return {
        "dataset": name,
        "command": write_command(name, request),
        "title": _write_title(name, data, classes),
        "clips": len(data.clips),
        "classes": len(data.classes),
        "class_names": data.classes,
        "selected": bool(classes),
        **asdict(data.lacking),
        "without_people": len(data.lacking.without_people),
        "clips_without_people": data.lacking.without_people,
        "extractors": data.extractors,
        "poses": poses.describe() if poses else None,
        "splits": list(splits),
        "git_commit": setting.commit,
        "data_hash": setting.data_hash,
        "identity": setting.identity(Job(MODEL, "clip", splits[0], 0)),
        "recipe": asdict(setting.recipe),
    }
