"""`pan recognizer`: making of the recognizers that come with the package. Imports are late: start-up."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make the recognizers that come with PAN.")


@app.command("train-everyday")
def train_everyday(
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 2400,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            max=5,
            help="Networks that do not see a fifth of the films, each another one; they calibrate confidences.",
        ),
    ] = 5,
    actors: Annotated[int, typer.Option(min=3, help="Drawn people, each in every class.")] = 18,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; that of the package, whose recognizer is replaced, if left out."),
    ] = None,
) -> None:
    """Train the recognizer of everyday actions on JHMDB's videos and drawn actors; a training that was stopped continues."""
    from pan_core.files import require_output_folder
    from pan_core.recognition.pretrained import STOCK
    from pan_core.recognition.pretrained.stock_files import require_replaceable
    from pan_core.workspace.stock_training import make_everyday

    folder = out or STOCK["everyday"]
    require_replaceable(folder)
    require_output_folder(folder.parent)
    command = f"pan recognizer train-everyday --steps {steps} --seeds {seeds} --actors {actors}"
    network = make_everyday(folder, steps=steps, seeds=seeds, actors=actors, command=command)
    for name, found in (("films not seen", network.held_out), ("test part of split 1", network.test)):
        typer.echo(
            f"{name}: {found.share:.1%} of {sum(found.clips.values())} clips, {found.nobody} without people; "
            f"confidence {found.confidence:.1%}, calibration error {found.calibration_error:.1%}"
        )
    typer.echo(f"written: {folder}")
