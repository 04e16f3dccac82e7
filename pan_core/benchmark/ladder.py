"""Where the points go between annotated joints and video: the recognizer with ever less help, on the same clips and splits.

Each rung trains and tests on skeletons of its own kind. Annotated joints may be at hand for some of the classes only; then all rungs are
of these classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pan_core.benchmark.completion import FinishedRuns, complete
from pan_core.benchmark.coordinator import choose_splits, make_setting, prepare_chosen, write_command
from pan_core.benchmark.people import FOUND, IN_BOX, NEAREST, PoseRecipe
from pan_core.benchmark.prepared_data import BenchmarkData, Selection, dataset_of_benchmark, prepare
from pan_core.benchmark.protocol import MODEL, Job, Recipe, plan
from pan_core.benchmark.request import Request, choose_classes
from pan_core.benchmark.results import summarise
from pan_core.datasets.base import Context
from pan_core.errors import ConfigError, DataError
from pan_core.files import read_json, write_json

ANNOTATED = {"jhmdb_video": "jhmdb14"}
"""Dataset with the annotated joints of a dataset's videos, of all classes or of some."""


@dataclass(frozen=True)
class Rung:
    """A kind of skeletons.

    Attributes:
        title: Title for readers.
        people: As for `extract_people`; empty for annotated joints.
    """

    title: str
    people: str = ""


RUNGS = (
    Rung("annotated joints"),
    Rung("estimated joints of the person in the annotated box", IN_BOX),
    Rung("everything estimated, of the people found the one nearest the annotated box", NEAREST),
    Rung("everything estimated", FOUND),
)


def require_ladder(name: str, request: Request) -> tuple[str, tuple[str, ...]]:
    """The dataset with the annotated joints, and the classes of a ladder: those asked for, or all that have such joints.

    Raises:
        ConfigError: If a dataset has no annotated joints, or a class that was asked for has none.
    """
    if name not in ANNOTATED:
        raise ConfigError(
            "pan benchmark",
            [f"--ladder: no annotated joints are known of the videos of {name}; there are of {', '.join(ANNOTATED)}"],
            code="ladder.unknown",
        )
    known = dataset_of_benchmark(ANNOTATED[name]).classes
    classes = choose_classes(ANNOTATED[name], request.classes, known) or tuple(known)
    return ANNOTATED[name], tuple(sorted(classes))


def climb(
    name: str, request: Request, recipe: Recipe, *, folder: Path, context: Context, out: Path, poses: PoseRecipe
) -> dict:
    """Run what is not finished of every rung, and write `<out>/<name>-ladder.json`.

    Args:
        name: Dataset of videos.
        request: Seeds and modes are those of what runs beside the recognizer.
        recipe: How networks are trained.
        folder: Folder of the dataset's files of the benchmark; that of the annotated joints is beside it.
        context: Where datasets come from.
        out: Folder of the result files.
        poses: How skeletons are extracted.

    Returns:
        The result, as written.

    Raises:
        ConfigError: As `require_ladder`.
        DataError: If the clips of the two datasets are not the same, or there are no annotated boxes.
    """
    annotated, classes = require_ladder(name, request)
    beside = request.of_others()
    _, joints = prepare_chosen(annotated, request, folder.parent / annotated, context, None)
    boxes = dataset_of_benchmark(name).boxes
    chosen = choose_classes(name, classes, dataset_of_benchmark(name).classes)
    found = {
        rung: prepare(name, folder, context, poses=poses, selection=Selection(chosen, rung.people))
        if rung.people
        else joints
        for rung in RUNGS
    }
    require_same_clips(joints, found[RUNGS[-1]], boxes(folder / "raw") or {})
    rungs = []
    for rung, data in found.items():
        of = name if rung.people else annotated
        splits = choose_splits(of, data, request)
        setting = make_setting(of, data, recipe, folder.parent / of, context)
        jobs = plan((MODEL,), modes=beside.modes, splits=splits, seeds=beside.seeds)
        rungs.append(_run_rung(rung, data, FinishedRuns(setting, out / f"{of}.json"), jobs, request.workers))
    path = out / f"{'-'.join(filter(None, (name, Selection(tuple(request.classes and classes)).name)))}-ladder.json"
    write_json(
        path,
        {
            "dataset": name,
            "annotated": annotated,
            "command": f"{write_command(name, request)} --ladder",
            "clips": len(joints.clips),
            "class_names": joints.classes,
            "splits": splits,
            "git_commit": setting.commit,
            "recipe": asdict(recipe),
            "poses": poses.describe(),
            "rungs": rungs,
        },
    )
    return read_json(path)


def _run_rung(rung: Rung, data: BenchmarkData, done: FinishedRuns, jobs: Sequence[Job], workers: int) -> dict:
    """Run what is not finished of a rung; returns its figures and what they rest on."""
    finished, tracker = complete(done, jobs, workers, title=rung.title)
    figures, dataset = summarise([finished[job] for job in jobs]), done.setting.dataset
    if tracker:
        tracker.close({"dataset": dataset, **figures})
    return {
        "title": rung.title,
        "dataset": dataset,
        "extractors": data.extractors,
        "data_hash": data.data_hash,
        "without_people": len(data.lacking.without_people),
        "clips_without_people": data.lacking.without_people,
        **figures,
    }


def require_same_clips(joints: BenchmarkData, videos: BenchmarkData, boxes: Mapping[str, np.ndarray]) -> None:
    """Refuse clips that differ between annotated joints and videos.

    The names of JHMDB-14 are numbers. But in each class its clips have the parts in all splits, and the numbers of frames, that the
    annotated pictures of the videos have, so the same clips train and test on every rung.

    Args:
        joints: Data of the annotated joints; a frame is an annotated picture.
        videos: Data of the videos.
        boxes: Boxes of the annotated pictures of each video.

    Raises:
        DataError: If clips differ.
    """
    frames = [len(boxes.get(clip_id, ())) for clip_id in videos.clips["clip_id"]]
    one, other = _count_clips(joints, joints.clips["n_frames"].tolist()), _count_clips(videos, frames)
    if one != other:
        alone = [*(one - other).elements(), *(other - one).elements()]
        label, *_ = alone[0]
        raise DataError(
            f"{len(alone)} clips, the first of {label}, are in the annotated joints or in the videos alone, by class, splits and number of "
            "annotated pictures; a ladder needs the same clips on every rung: complete the videos and boxes.csv.gz",
            code="ladder.other-clips",
        )


def _count_clips(data: BenchmarkData, frames: Sequence[int]) -> Counter[tuple]:
    columns = [data.clips[f"split{number}"] for number in data.splits]
    return Counter(zip(data.clips["label"], *columns, frames, strict=True))
