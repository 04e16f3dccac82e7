"""`pan pose`: the qualities of pose extraction, compared. Imports are late: start-up."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pan_core.files import cache_folder, require_output_file, require_output_folder

if TYPE_CHECKING:
    from pandas import DataFrame

    from pan_core.benchmark.poses import Point
    from pan_core.params.load import Params
    from pan_core.pose.network import PoseNetwork
    from pan_core.pose_training.sources import PictureSplit
    from pan_core.pose_training.train_loop import TrainingSettings

app = typer.Typer(help="Pose extraction: speed against accuracy.", no_args_is_help=True)

RESULT = Path("docs/results/pose.json")


@app.command()
def weights() -> None:
    """Fetch the archive with the trained weights now, so that no run needs the network for it."""
    from pan_core.pose.archive import fetch_archive
    from pan_core.workspace import paths

    typer.echo(fetch_archive(paths.downloaded_weights(), mirror=paths.mirror()))


@app.command()
def benchmark(
    clips: Annotated[int, typer.Option(min=1, help="Test clips of each class; all where it has fewer.")] = 6,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Another pose model to compare: a declaration, see docs/pose.md, or .onnx."),
    ] = None,
    out: Annotated[Path, typer.Option(help="File of the result.")] = RESULT,
) -> None:
    """Measure six stages on every crop, then best, balanced, fast and other models, on test clips of the workspace.

    The workspace's recognizer says what the skeletons are worth.
    """
    from pan_core.files import write_json
    from pan_core.params.load import load_params
    from pan_core.tracking.tracker import git_commit

    require_output_file(out)
    params = load_params()
    table, (reference, *points) = _measure_qualities(params, clips, model or [])
    found = {
        "command": " ".join(["pan pose benchmark", f"--clips {clips}", *(f"--model {path}" for path in model or [])]), "dataset": params.dataset, "clips": len(table),
        "git_commit": git_commit(), "kind": "measured", "recogniser_learnt_from": params.pose.quality,
        "reference": reference.as_dict(), "points": [point.as_dict() for point in points],
    }  # fmt: skip
    write_json(out, found)
    typer.echo("| quality | CPU ms a frame | faster by | PCK@0.1 | PCK@0.05 | OKS AP | frames covered | actions |")
    typer.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for point in (reference, *points):
        shares = (point.pck_0_1, point.pck_0_05, point.oks_ap, point.coverage, point.action_accuracy)
        cells = [point.quality, f"{point.ms_per_frame:.1f}", f"{reference.ms_per_frame / point.ms_per_frame:.1f}"]
        typer.echo(f"| {' | '.join(cells + [f'{100 * share:.1f} %' for share in shares])} |")
    typer.echo(f"{len(table)} clips, {reference.frames} frames; written: {out}")


def _measure_qualities(params: "Params", clips: int, models: list[Path]) -> "tuple[DataFrame, list[Point]]":
    """Clips that were measured on, and the figures: the reference first, then each quality and model."""
    from pan_core.benchmark.poses import run_benchmark
    from pan_core.datasets.registry import dataset_by_name
    from pan_core.errors import DataError
    from pan_core.files import scratch_folder
    from pan_core.model.store import load_model
    from pan_core.pose.extraction_settings import ExtractionSettings
    from pan_core.pose.qualities import QUALITIES, REFERENCE
    from pan_core.progress import progress_bar
    from pan_core.tables import read_table
    from pan_core.workspace import paths

    truth = dataset_by_name(params.dataset).truth(paths.RAW)
    if truth is None:
        raise DataError(
            f"{params.dataset}: has no true joints; set dataset: actors in params.yaml and run `dvc repro`",
            code="benchmark.no-truth",
        )
    split = params.split.splits[0]
    table = read_table("clips", paths.CLIPS)
    table = table[table[f"split{split}"] == "test"].groupby("label", sort=True).head(clips)
    shared = {name: value for name, value in params.pose.extraction().items() if name not in REFERENCE}
    settings = {
        name: ExtractionSettings(**shared, **values)
        for name, values in ({"reference": REFERENCE} | QUALITIES["paper"]).items()
    }
    candidates = {name: (paths.own_pose_network(), each) for name, each in settings.items()}
    candidates |= {str(path): (path, settings["balanced"]) for path in models}
    with scratch_folder(cache_folder(), "pose-benchmark") as scratch, progress_bar("pose benchmark", "clip") as update:
        recognizer = load_model(paths.model_folder("online", split))
        return table, run_benchmark(table, paths.RAW, truth.poses, recognizer, candidates, scratch, update)


class PictureSource(StrEnum):
    """What the network learns from."""

    VIDEOS = "videos"
    TRUTH = "truth"
    COCO = "coco"


SourceOption = Annotated[
    PictureSource,
    typer.Option(
        help="videos: a teacher's maps, of the workspace's training videos or those in --folder; truth: the dataset's "
        "true joints (actors); coco: --annotations and --images."
    ),
]
StrictOption = Annotated[
    bool, typer.Option(help="The paper's head on the last 384 channels, or the imported one on 864.")
]


@app.command()
def train(
    source: SourceOption = PictureSource.VIDEOS,
    folder: Annotated[Path | None, typer.Option(help="Videos to learn from, with videos.")] = None,
    add: Annotated[Path | None, typer.Option(help="Folder of more videos that a teacher annotates.")] = None,
    add_held_out: Annotated[Path | None, typer.Option(help="Folder of more videos to measure the losses on.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="person_keypoints_*.json, with coco.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its pictures, with coco.")] = None,
    strict: StrictOption = True,
    stages: Annotated[int, typer.Option(min=1, max=6)] = 6,
    by_stage: Annotated[
        bool, typer.Option("--by-stage/--from-last", help="Learn from the teacher's same stage, or from its last.")
    ] = True,
    frozen: Annotated[bool, typer.Option(help="Keep the backbone as it is.")] = True,
    every: Annotated[int, typer.Option(min=1, help="Learn from every Nth frame.")] = 6,
    epochs: Annotated[
        int, typer.Option(min=0, help="Passes over the pictures; 0 leaves the paper's head as it starts.")
    ] = 8,
    batch: Annotated[int, typer.Option(min=1)] = 8,
    size: Annotated[int, typer.Option(min=64, help="Side of a crop, a multiple of 8.")] = 160,
    rate: Annotated[float, typer.Option(min=1e-6, help="Learning rate at its height.")] = 2e-5,
    half: Annotated[bool, typer.Option(help="Calculate in bfloat16, if the processor can.")] = False,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path("networks/trained"),
) -> None:
    """Train the pose network; a training that was interrupted goes on. `pose.network: OUT/pose.onnx` uses it."""
    import torch

    from pan_core.errors import ConfigError
    from pan_core.params.load import load_params
    from pan_core.pose_training.sources import add_folders, person_finder
    from pan_core.pose_training.train_loop import TrainingSettings
    from pan_core.workspace.paths import own_pose_network

    if size % 8:
        raise ConfigError("pan pose train", [f"--size: expected a multiple of 8, but got {size}"], code="cli.size")
    require_output_folder(out)
    settings = TrainingSettings(
        strict=strict, stages=stages, epochs=epochs, batch=batch, size=size, learning_rate=rate, frozen=frozen,
        by_stage=by_stage, half=half,
    )  # fmt: skip
    torch.set_num_threads(threads)
    teacher = _load_teacher()
    pictures = _split_pictures(
        source, load_params(), every=every, folder=folder, annotations=annotations, images=images
    )
    if add is not None or add_held_out is not None:
        pictures = add_folders(pictures, add, add_held_out, person_finder(own_pose_network()), every=every)
    _train(pictures, teacher, settings, out)


def _load_teacher() -> "PoseNetwork":
    from pan_core.pose.archive import fetch_archive
    from pan_core.pose.weights import load_network
    from pan_core.workspace import paths

    return load_network(fetch_archive(paths.downloaded_weights(), mirror=paths.mirror()))


def _train(pictures: "PictureSplit", teacher: "PoseNetwork", settings: "TrainingSettings", out: Path) -> None:
    from pan_core.pose_training.trainer import train_pose
    from pan_core.progress import progress_bar
    from pan_core.workspace import paths

    learnt, held_out, judged = pictures
    typer.echo(
        f"{len(learnt)} pictures to learn from, {len(held_out)} held out, {len(judged)} with true joints to judge by"
    )
    with progress_bar("train the pose network", "step") as update:
        found = train_pose(
            learnt, held_out, judged, teacher, teacher_model=paths.own_pose_network(), settings=settings, out=out,
            progress=update,
        )  # fmt: skip
    for title, measure in (("true joints", "accuracy"), ("the teacher's joints, held out", "agreement")):
        for who, shares in found[measure].items():
            typer.echo(f"{title}: {who}: PCK@0.1 {shares['pck_0_1']:.1%}, PCK@0.05 {shares['pck_0_05']:.1%}")
    typer.echo(f"written: {out}/pose.onnx, {out}/training.json; losses: `pan ui`")


def _split_pictures(
    source: PictureSource,
    params: "Params",
    *,
    every: int,
    folder: Path | None,
    annotations: Path | None,
    images: Path | None,
) -> "PictureSplit":
    """Pictures of a source; the workspace is only read if neither COCO nor a folder gives them."""
    from pan_core.datasets.registry import dataset_by_name
    from pan_core.errors import ConfigError, DataError
    from pan_core.pose_training import sources
    from pan_core.tables import read_table
    from pan_core.workspace import paths

    if source is PictureSource.COCO:
        if annotations is None or images is None:
            raise ConfigError("pan pose train", ["--source coco: expected --annotations FILE and --images FOLDER"])
        return sources.split_coco(annotations, images)
    if folder is not None:
        if source is not PictureSource.VIDEOS:
            raise DataError(f"{folder}: expected videos in it, and --source videos", code="pose-training.source")
        return sources.split_folder(folder, sources.person_finder(paths.own_pose_network()), every=every)
    truth = dataset_by_name(params.dataset).truth(paths.RAW)
    clips = read_table("clips", paths.CLIPS).groupby(f"split{params.split.splits[0]}")
    parts = {str(name): part for name, part in clips}
    dataset = sources.VideoDataset(params.dataset, paths.RAW, parts, None if truth is None else truth.poses)
    if source is PictureSource.TRUTH:
        return sources.split_truth(dataset, every=every)
    return sources.split_videos(dataset, sources.person_finder(paths.own_pose_network()), every=every)
