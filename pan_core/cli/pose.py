"""`pan pose`: the qualities of pose extraction, compared. Imports are late: start-up."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pan_core.files import cache_folder, require_output_file, require_output_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pan_core.benchmark.poses.actor_clips import ActorClips
    from pan_core.benchmark.poses.pose_parts import PoseSources
    from pan_core.benchmark.poses.pose_points import PosePoint
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
    clips: Annotated[int, typer.Option(min=1, help="Actors' test clips of each class; all where it has fewer.")] = 6,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Another pose model to compare: a declaration, see docs/pose.md, or .onnx."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of recordings with jhmdb, gmdcsa24 and people; PAN_MIRROR if left out."),
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Measure this part only; of the others, show what is stored.")
    ] = None,
    network: Annotated[list[str] | None, typer.Option(help="This network only, beside the reference.")] = None,
    quality: Annotated[list[str] | None, typer.Option(help="This quality only, beside the reference.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Every Nth clip of JHMDB, at qualities other than balanced.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds in which time is measured.")] = 3,
    out: Annotated[Path, typer.Option(help="File of the result; its page and pictures come beside it.")] = RESULT,
) -> None:
    """Measure every network and quality of pose extraction on drawn and real people; goes on where it was ended.

    Parts: crossing, falling, jitter, small, people, falls, actors, actions, jhmdb, cost. Those whose data are missing are named.
    """
    from pan_core.benchmark.poses.pose_page import require_page, write_pose_page
    from pan_core.files import write_json
    from pan_core.params.load import load_params

    require_page(out)
    require_output_file(out)
    params = load_params()
    command = _command_line(
        clips=clips, every=every, repeats=repeats, model=model, part=part, network=network, quality=quality
    )
    points = _choose_points(params, model or [], network or [], quality or [])
    sources = _find_sources(params, clips, data, every)
    result = _measure(points, sources, part or [], repeats, command, out)
    write_json(out, result)
    _log_points(result)
    for name, reason in result["missing"].items():
        typer.echo(f"{name}: {reason}")
    typer.echo(f"written: {out}, {write_pose_page(result, out.parent, stem=out.stem)}")


def _command_line(*, clips: int, every: int, repeats: int, **lists: "Sequence[object] | None") -> str:
    """The command that gives the same table; the folder of data is the user's own."""
    words = ["pan pose benchmark", f"--clips {clips}", f"--every {every}", f"--repeats {repeats}"]
    return " ".join(words + [f"--{name} {value}" for name, values in lists.items() for value in values or ()])


def _choose_points(
    params: "Params", models: list[Path], networks: list[str], qualities: list[str]
) -> "list[PosePoint]":
    """Rows of the table: the reference, then every network and quality that is asked for, then other models."""
    from pan_core.benchmark.poses.pose_points import PosePoint
    from pan_core.errors import ConfigError
    from pan_core.params.schema import PoseParams
    from pan_core.pose.extraction_settings import ExtractionSettings
    from pan_core.pose.named_networks import network_file
    from pan_core.pose.qualities import NETWORK_NAMES, QUALITIES, QUALITY_NAMES, REFERENCE
    from pan_core.workspace import paths

    asked = (("--network", networks, NETWORK_NAMES), ("--quality", qualities, QUALITY_NAMES))
    if faults := [
        f"{option}: unknown {name!r}; known: {', '.join(known)}"
        for option, names, known in asked
        for name in names
        if name not in known
    ]:
        raise ConfigError("pan pose benchmark", faults, code="benchmark.unknown-point")
    chosen = {key for by_quality in QUALITIES.values() for values in by_quality.values() for key in values}
    shared = {name: value for name, value in params.pose.extraction().items() if name not in chosen | {*REFERENCE}}
    points = [PosePoint("paper", "reference", paths.own_pose_network(), ExtractionSettings(**shared, **REFERENCE))]
    for network in networks or NETWORK_NAMES:
        for quality in qualities or QUALITY_NAMES:
            # As params.yaml would give them.
            given = PoseParams.model_validate({"network": network, "quality": quality, **shared})
            settings = ExtractionSettings(**given.extraction())
            points.append(PosePoint(network, quality, network_file(network, quality=quality), settings))
    balanced = ExtractionSettings(**shared, **QUALITIES["paper"]["balanced"])
    return points + [PosePoint(str(path), "balanced", path, balanced) for path in models]


def _find_sources(params: "Params", clips: int, data: Path | None, every: int) -> "PoseSources":
    from pan_core.benchmark.poses.pose_parts import PoseSources
    from pan_core.errors import DataError
    from pan_core.workspace import paths
    from pan_core.workspace.context import workers

    if data and not data.is_dir():
        raise DataError(f"--data: {data} is no folder", code="benchmark.no-folder")
    actors, lacking = _find_actors(params, clips)
    return PoseSources(
        cache=cache_folder() / "benchmark" / "pose", workers=workers(params), real=data or paths.mirror(), actors=actors,
        no_actors=lacking, recognizer=paths.model_folder("online", params.split.splits[0]), every=every,
    )  # fmt: skip


def _find_actors(params: "Params", clips: int) -> "tuple[ActorClips | None, str]":
    """Test clips with true joints, or why there are none."""
    from pan_core.benchmark.poses.actor_clips import ActorClips
    from pan_core.datasets.registry import dataset_by_name
    from pan_core.errors import DataError
    from pan_core.tables import read_table
    from pan_core.workspace import paths

    if not paths.CLIPS.is_file():
        return None, f"{paths.CLIPS} is missing; run `dvc repro split`"
    try:
        truth = dataset_by_name(params.dataset).truth(paths.RAW)
    except DataError as error:
        return None, str(error)
    if truth is None:
        return (
            None,
            f"{params.dataset} has no true joints; set dataset: actors in params.yaml and run `dvc repro split`",
        )
    table = read_table("clips", paths.CLIPS)
    table = table[table[f"split{params.split.splits[0]}"] == "test"].groupby("label", sort=True).head(clips)
    return ActorClips(table[table["clip_id"].isin(truth.poses.index["clip_id"])], paths.RAW, truth.poses), ""


def _measure(
    points: "list[PosePoint]", sources: "PoseSources", parts: list[str], repeats: int, command: str, out: Path
) -> dict:
    from pan_core.benchmark.poses.pose_page import OVERLAY, describe_keys, read_overlay
    from pan_core.benchmark.poses.pose_table import measure_table
    from pan_core.progress import progress_bar
    from pan_core.tracking.tracker import git_commit

    looked_at = read_overlay(out.with_name(OVERLAY))
    table = measure_table(points, sources, bar=progress_bar, parts=parts, repeats=repeats)
    reference, *rows = table.rows
    return {
        "command": command, "kind": "measured", "git_commit": git_commit(), "machine": table.machine, "keys": describe_keys(),
        "missing": table.missing, "looked_at": looked_at, "reference": reference, "points": rows,
    }  # fmt: skip


def _log_points(result: dict) -> None:
    """One row a point in MLflow's experiment "pose-benchmark"."""
    from pan_core.tracking.tracker import Tracker

    tracker = Tracker("pose-benchmark")
    for row in (result["reference"], *result["points"]):
        figures = {name: value for name, value in row.items() if isinstance(value, int | float)}
        words = {name: row[name] for name in ("network", "quality", "extractor")}
        fingerprint = row["extractor"].rpartition("-")[2]
        with tracker.stage(f"{row['network']} {row['quality']}", fingerprint=fingerprint, params=words) as run:
            run.metrics(figures)
        tracker.close_pipeline(fingerprint, figures, {f"pan.{name}": value for name, value in words.items()})


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
        by_stage=by_stage,
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
