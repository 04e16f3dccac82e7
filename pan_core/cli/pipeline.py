"""Commands on the pipeline of a workspace: `pan stage`, `run`, `tune`, `summary`, `ui`. Imports are late: start-up."""

import os
import sys
from typing import Annotated

import typer

from pan_core import PARENT
from pan_core.errors import PanError


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


def run(
    dataset: Annotated[str | None, typer.Option(help="Choose this dataset in params.yaml first.")] = None,
    folder: Annotated[
        str | None, typer.Option(help="Its folder, for datasets that are read from one: folders, surveillance.")
    ] = None,
    group_pattern: Annotated[
        str | None, typer.Option(help="Regular expression that finds a video's group in its path, for folders.")
    ] = None,
) -> None:
    """Run what is out of date (`dvc repro`) and show the summary."""
    from pan_core.workspace.pipeline_run import run_pipeline

    options = {"folder": folder, "group_pattern": group_pattern}
    run_pipeline(dataset=dataset, options={name: value for name, value in options.items() if value is not None})
    summary()


def tune(
    worker: Annotated[
        bool, typer.Option("--worker", help="Work on the study that is going on, as one more process.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the front and what mattered, also while it goes on.")
    ] = False,
) -> None:
    """Search hyperparameters (`dvc repro tune`); `tune` in params.yaml says how many trials, and of what."""
    from pan_core.params.load import PARAMS_FILE, load_params
    from pan_core.workspace.pipeline_run import run_pipeline

    if worker and show:
        raise PanError("pan tune: --worker works and --show only shows; choose one of them", code="cli.options")
    params = load_params()
    if params.tune.trials == 0:
        raise PanError(
            f"{PARAMS_FILE}: tune.trials is 0, so nothing is searched; set how many complete trials are wanted",
            code="tune.no-trials",
        )
    if not worker and not show:
        run_pipeline(target="tune")
    from pan_core.stages.tune import join, open_study
    from pan_core.tuning.study_report import describe

    typer.echo(join(params) if worker else describe(open_study(params)))


def summary() -> None:
    """Show the figures of the last finished run."""
    from pan_core.workspace.run_summary import summary_table

    typer.echo(summary_table())


def ui(port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000) -> None:
    """Serve the MLflow UI, and say at which address each dataset's runs are compared."""
    from pan_core.tracking.tracker import serve_ui, tables_of_runs

    tables = tables_of_runs(port)
    for experiment, address in tables.items():
        typer.echo(f"runs of {experiment}: {address}")
    if not tables:
        typer.echo("there are no runs yet; `make run` makes some")
    serve_ui(port)
