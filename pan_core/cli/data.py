"""`pan data`: what datasets there are, what is on disk, whether it is what it should be. Imports are late: start-up."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pan_core.cli.options import ChampionOf, RecognizerOption
from pan_core.errors import DataError, PanError
from pan_core.files import SCRATCH_SUFFIX, cache_folder, list_files, require_output_file, scratch_folder

app = typer.Typer(help="Datasets: what there is, what is at hand, whether it is whole.", no_args_is_help=True)


@contextmanager
def _disk_faults(where: Path, advice: str) -> Iterator[None]:
    """Say what the system refused, such as a write to a full disk, as an error that a person can put right."""
    try:
        yield
    except shutil.Error as error:  # of a copied tree: (source, target, reason) of every file
        source, target, reason = error.args[0][0]
        raise PanError(
            f"{source}: cannot be copied to {target} ({reason}); {advice}", code="footage.not-copied"
        ) from error
    except OSError as error:
        # A folder of unfinished work is gone by now, and nobody knows its name.
        place = where if SCRATCH_SUFFIX in str(error.filename or "") else error.filename or where
        reason = "the disk is full" if error.errno == errno.ENOSPC else f"{error.strerror or error}"
        raise PanError(f"{place}: {reason}; {advice}", code="cache.unusable") from error


def _cache_faults(cache: Path) -> AbstractContextManager[None]:
    return _disk_faults(cache, "make space or put it right, or name another folder in PAN_CACHE, then run again")


@app.command("list")
def list_() -> None:
    """Show every dataset: classes, clips, what is on disk, how to get it."""
    from rich.console import Console
    from rich.table import Table

    from pan_core.datasets.inspection import list_datasets
    from pan_core.params.load import load_params
    from pan_core.workspace.context import dataset_context

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("name", "dataset", "classes", "clips", "gives", "at hand", "how to get it"):
        table.add_column(column, justify="right" if column in ("classes", "clips") else "left", overflow="fold")
    params = load_params()
    with _cache_faults(cache_folder()):
        rows = list_datasets(lambda name: dataset_context(params, name))
    for row in rows:
        counts = (f"{count:,}" if count else "-" for count in (row.classes, row.clips))
        table.add_row(row.name, row.title, *counts, row.gives, ", ".join(row.found) or "-", row.how)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of a dataset, as `pan data list` shows it.")],
    folder: Annotated[Path | None, typer.Option(help="Footage or pickle, instead of that in params.yaml.")] = None,
    decode: Annotated[int, typer.Option(min=0, help="Videos to decode to the end; the others are only opened.")] = 50,
    download: Annotated[bool, typer.Option("--download", help="Download what is not at hand.")] = False,
) -> None:
    """Read a dataset, compare it with what was published, and name whatever is missing, damaged or different.

    Nothing in the workspace changes. Ends with status 1 where something is not as it should be.
    """
    from dataclasses import replace

    from pan_core.datasets.inspection import inspect
    from pan_core.datasets.registry import dataset_by_name
    from pan_core.params.load import load_params
    from pan_core.progress import progress_bar
    from pan_core.workspace.context import dataset_context

    dataset = dataset_by_name(name)
    params = load_params()
    context = dataset_context(params, name)
    if folder is not None:
        context = replace(context, options={**context.options, "folder": str(folder), "path": str(folder)})
        if dataset.configured(context) is None:
            raise DataError(
                f"--folder: {name} is read from the mirror and the downloads, not from a folder of one's own; "
                "put it into the folder that PAN_MIRROR names, or leave --folder out",
                code="cli.folder-not-read",
            )
    with (
        _cache_faults(context.cache),
        scratch_folder(context.cache, "check") as scratch,
        progress_bar(f"check {name}", "file") as update,
    ):
        context = replace(context, download=download, remember=False, progress=update)
        found = inspect(dataset, scratch / "raw", context, decode=decode, folds=params.split.folds, seed=params.seed)
    width = max(len(key) for key, _ in found.figures) + 2
    for key, value in found.figures:
        typer.echo(f"{key:{width}}{value}")
    for finding in found.findings:
        typer.echo(f"not as it should be: {finding}")
    typer.echo(f"{len(found.findings)} findings" if found.findings else "all as it should be")
    raise typer.Exit(1 if found.findings else 0)


@app.command("remove-videos")
def remove_videos() -> None:
    """Remove footage of your own whose skeletons are stored, as runs do where `pose.keep_video` is false."""
    from pan_core.params.load import load_params
    from pan_core.workspace import footage_removal
    from pan_core.workspace.lock import workspace_lock

    with workspace_lock(Path.cwd()):
        typer.echo(footage_removal.remove_videos(load_params()).describe())


@app.command()
def manifest(
    folder: Annotated[Path, typer.Argument(help="Folder with videos and GMDCSA24's lists or a Label Studio export.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("manifest.csv"),
    source: Annotated[str, typer.Option(help="auto, or the name of the file to read.")] = "auto",
) -> None:
    """Turn labels of another form into the manifest that the dataset `surveillance` reads."""
    from pan_core.datasets.manifests import AUTO, read_any, write_manifest

    if out.is_dir():
        raise DataError(
            f"{out}: is a folder, expected a file to write; name one with --out, such as {out / 'manifest.csv'}",
            code="cli.out-is-folder",
        )
    with _disk_faults(out, "name a file with --out on a disk that can be written and has space"):
        # If the source is named, other lists are not read, such as the one that was written here the last time.
        unread = ".csv" if source != AUTO else None
        read = [path for path in list_files(folder).files if path.suffix.lower() != unread]
        require_output_file(out, [*read, folder / source])
        found = read_any(folder, manifest=source, removed=True)
        write_manifest(found.rows, out)
    for row in found.quarantine.itertuples(index=False):
        typer.echo(f"left out: {row.clip_id}: {row.reason}")
    if found.missing:
        typer.echo(f"{len(found.missing)} listed videos are not in {folder}: {', '.join(found.missing)}")
    if found.unlisted:
        typer.echo(f"{len(found.unlisted)} videos have no usable label and are left out: {', '.join(found.unlisted)}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{len(found.rows)} rows in {out}")


@app.command()
def label(
    folder: Annotated[
        Path, typer.Argument(help="Folder with videos; those that a manifest in it lists are left alone.")
    ],
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("label_studio.json"),
    model: RecognizerOption = None,
    dataset: ChampionOf = None,
) -> None:
    """Suggest labels for footage that has none: tasks for Label Studio, the least certain first."""
    require_output_file(out, [path for path in list_files(folder).files if path.suffix.lower() != ".json"])
    with _disk_faults(out, "name a file with --out on a disk that can be written and has space"):
        typer.echo(_label(folder, out, model, dataset))


def _label(folder: Path, out: Path, model: str | None, dataset: str | None) -> str:
    """Write the tasks; returns what was found, in lines."""
    from pan_core.datasets.manifests import unlabelled_videos
    from pan_core.datasets.manifests.label_studio_tasks import (
        ROOT_VARIABLE,
        local_address,
        require_replaceable,
        write_tasks,
    )
    from pan_core.progress import progress_bar
    from pan_core.retraining.suggest_labels import label_videos
    from pan_core.workspace import recognizers

    if out.suffix.lower() != ".json":
        raise DataError(
            f"{out}: expected the name of a JSON file, such as {out.with_suffix('.json')}", code="label.not-json"
        )
    require_replaceable(out)
    videos = unlabelled_videos(folder)
    if not videos:
        return f"{folder}: every video has labels; nothing is written"
    by, root = (
        recognizers.get_recognizer(model, dataset, fallback=False),
        Path(os.environ.get(ROOT_VARIABLE) or folder.resolve().parent),
    )
    with progress_bar("label", "frame") as update:
        found = label_videos(
            videos, extractor=by.extractor, recognizer=by.network, model_name=by.name,
            address=lambda video: local_address(folder, video, root), progress=update,
        )  # fmt: skip
    config = write_tasks(found.tasks, list(dict.fromkeys([*by.network.actions, *by.network.labels])), out)
    lines = [f"recognizer: {by.name}", *(f"left out: {video}: {reason}" for video, reason in found.left_out.items())]
    if found.empty:
        lines.append(f"nobody found in {len(found.empty)} videos: {', '.join(found.empty)}")
    lines += [
        f"{found.segments} segments in {len(found.tasks)} videos, the least certain first",
        f"document root of Label Studio: {root}",
        f"written: {out}",
        f"written: {config}",
    ]
    return "\n".join(lines)
