"""`pan pose`: the qualities of pose extraction, compared."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Pose extraction: speed against accuracy.", no_args_is_help=True)

RESULT = Path("docs/results/pose.json")


@app.command()
def weights() -> None:
    """Fetch the archive with the trained weights now, so that no run needs the network for it."""
    from pan_core.pose.archive import fetch_archive
    from pan_core.stages import paths

    typer.echo(fetch_archive(paths.downloaded_weights(), mirror=paths.mirror()))


@app.command()
def benchmark(
    clips: Annotated[int, typer.Option(min=1, help="Test clips of each class; all where it has fewer.")] = 6,
    out: Annotated[Path, typer.Option(help="File of the result.")] = RESULT,
) -> None:
    """Measure best, balanced and fast on the test clips of the workspace, whose recogniser says what the skeletons are worth."""
    from pan_core.benchmark.poses import Point, run_benchmark
    from pan_core.config import load_params
    from pan_core.datasets import dataset_by_name
    from pan_core.errors import DataError
    from pan_core.files import scratch_folder, write_json
    from pan_core.model.store import load_model
    from pan_core.pose.extraction import ExtractionSettings
    from pan_core.pose.qualities import QUALITIES
    from pan_core.progress import progress_bar
    from pan_core.stages import paths
    from pan_core.tables import read_table
    from pan_core.tracking import git_commit

    params = load_params()
    truth = dataset_by_name(params.dataset).truth(paths.RAW)
    if truth is None:
        raise DataError(f"{params.dataset}: has no true joints; set dataset: actors in params.yaml and run `dvc repro`")
    split = params.split.splits[0]
    table = read_table("clips", paths.CLIPS)
    table = table[table[f"split{split}"] == "test"].groupby("label", sort=True).head(clips)
    shared = {name: value for name, value in params.pose.extraction().items() if name not in QUALITIES["best"]}
    with scratch_folder(paths.cache(), "pose-benchmark") as scratch, progress_bar("pose benchmark", "clip") as update:
        reference, *others = run_benchmark(
            table, paths.RAW, truth.poses, load_model(paths.model_folder("online", split)),
            paths.POSE_MODEL / "pose.onnx",
            {name: ExtractionSettings(**{**shared, **values}) for name, values in QUALITIES.items()},
            scratch, update,
        )  # fmt: skip
    found = {
        "dataset": params.dataset, "clips": len(table), "git_commit": git_commit(), "kind": "measured",
        "recogniser_learnt_from": params.pose.quality, "reference": reference.as_dict(),
        "points": [point.as_dict() for point in (reference, *others)],
    }  # fmt: skip
    write_json(out, found)

    def line(point: Point) -> str:
        return (
            f"| {point.quality} | {point.ms_per_frame:.1f} | {reference.ms_per_frame / point.ms_per_frame:.1f} | {100 * point.pck_0_1:.1f} | "
            f"{100 * point.pck_0_05:.1f} | {100 * point.action_accuracy:.1f} |"
        )

    typer.echo(
        "| quality | CPU ms a frame | times as fast as best | PCK@0.1 | PCK@0.05 | actions (%) |\n| --- | --- | --- | --- | --- | --- |"
    )
    typer.echo("\n".join(line(point) for point in (reference, *others)))
    typer.echo(f"{len(table)} clips, {reference.frames} frames; written: {out}")
