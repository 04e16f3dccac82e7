"""The `pan` command line."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

# Small networks on few cores: the libraries' own thread pools only fight each other and the worker processes.
# Set before NumPy or torch are imported; a value that the user has set wins.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pan_core import PARENT
from pan_core.cli.benchmark import app as benchmark_commands
from pan_core.cli.data import app as data_commands
from pan_core.cli.edge import app as edge_commands
from pan_core.cli.live import Blur, SkeletonOnly, doctor, scene_of, serve, watch
from pan_core.cli.pose import app as pose_commands
from pan_core.cli.registry import ChampionOf, RecognizerOption
from pan_core.cli.registry import app as registry_commands
from pan_core.errors import PanError
from pan_core.secrets import guard_output

guard_output()

app = typer.Typer(
    help="From videos to a validated skeleton action recognizer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _Commands(typer.core.TyperGroup):
    """Prints an error that a person can put right as one message, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PanError as error:
            typer.echo(f"error: {error}", err=True)
            sys.exit(1)


app.info.cls = _Commands
app.add_typer(benchmark_commands, name="benchmark")
app.add_typer(data_commands, name="data")
app.add_typer(edge_commands, name="edge")
app.add_typer(pose_commands, name="pose")
app.add_typer(registry_commands, name="registry")
app.command()(watch)
app.command()(serve)
app.command()(doctor)


@app.command()
def stage(name: Annotated[str, typer.Argument(help="A stage of dvc.yaml.")]) -> None:
    """Run one stage in this workspace; `dvc repro` calls this."""
    from pan_core.workers.pool import end_with

    if "DVC_STAGE" in os.environ:  # a DVC that was killed would leave it at work on files that the next run writes, too
        end_with(PARENT)
    from pan_core.stages.runner import run_stage

    try:
        run_stage(name)
    except PanError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)


@app.command()
def run(
    dataset: Annotated[str | None, typer.Option(help="Choose this dataset in params.yaml first.")] = None,
) -> None:
    """Run what is out of date (`dvc repro`) and show the summary."""
    from pan_core.cli.pipeline import repro

    repro(dataset=dataset)
    summary()


@app.command()
def tune(
    worker: Annotated[
        bool, typer.Option("--worker", help="Work on the study that is going on, as one more process.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the front and what mattered, also while it goes on.")
    ] = False,
) -> None:
    """Search hyperparameters (`dvc repro tune`); `tune` in params.yaml says how many trials, and of what."""
    from pan_core.cli.pipeline import tune_here

    typer.echo(tune_here(worker=worker, show=show))


@app.command()
def summary() -> None:
    """Show the figures of the last finished run."""
    from pan_core.cli.pipeline import summary_table

    typer.echo(summary_table())


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000) -> None:
    """Serve the MLflow UI, and say at which address each dataset's runs are compared."""
    from pan_core.tracking.tracker import serve_ui, tables_of_runs

    tables = tables_of_runs(port)
    for experiment, address in tables.items():
        typer.echo(f"runs of {experiment}: {address}")
    if not tables:
        typer.echo("there are no runs yet; `make run` makes some")
    serve_ui(port)


@app.command()
def explain(
    clip: Annotated[str, typer.Argument(help="Id of a clip of the dataset in use, such as one in the report.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a trained recognizer, of either mode.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path("predictions"),
) -> None:
    """Draw which joints and frames decided what was recognised in a clip."""
    from pan_core.cli.pipeline import explain as explain_clip

    typer.echo(explain_clip(clip, out=out, model=model))


@app.command()
def predict(
    video: Annotated[Path, typer.Argument(help="Video file.")],
    out: Annotated[Path, typer.Option(help="Folder for the annotated video and the timeline.")] = Path("predictions"),
    model: RecognizerOption = None,
    dataset: ChampionOf = None,
    blur: Blur = False,
    skeleton_only: SkeletonOnly = False,
) -> None:
    """Recognise the actions in a video: writes an annotated video and a JSON timeline."""
    from pan_core.cli.pipeline import predict as predict_video

    typer.echo(predict_video(video, out=out, model=model, dataset=dataset, scene=scene_of(blur, skeleton_only)))
