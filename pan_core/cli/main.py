"""The `pan` command line: its groups and commands put together."""

import os
import sys
from typing import Any

import typer

# Small networks on few cores: the libraries' own thread pools only fight each other and the worker processes.
# Set before NumPy or torch are imported; a value that the user has set wins.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pan_core.cli.benchmark import app as benchmark_commands
from pan_core.cli.data import app as data_commands
from pan_core.cli.doctor import doctor
from pan_core.cli.edge import app as edge_commands
from pan_core.cli.live import serve, watch
from pan_core.cli.pipeline import run, stage, summary, tune, ui
from pan_core.cli.pose import app as pose_commands
from pan_core.cli.recognition import explain, predict
from pan_core.cli.registry import app as registry_commands
from pan_core.cli.stock import app as recognizer_commands
from pan_core.errors import PanError, explain_fault
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
        except (PanError, ImportError, OSError) as error:
            known = error if isinstance(error, PanError) else explain_fault(error)
            if known is None:
                raise
            typer.echo(f"error: {known}", err=True)
            sys.exit(1)


app.info.cls = _Commands
for name, group in (
    ("benchmark", benchmark_commands),
    ("data", data_commands),
    ("edge", edge_commands),
    ("pose", pose_commands),
    ("recognizer", recognizer_commands),
    ("registry", registry_commands),
):
    app.add_typer(group, name=name)
for command in (watch, serve, doctor, stage, run, tune, summary, ui, explain, predict):
    app.command()(command)
