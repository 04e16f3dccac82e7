"""What the stage fetch watches for changes: `data/watched/<dataset>`.

dvc.yaml can name a path that depends on the dataset, but not a dependency that only some datasets have. So fetch depends
on `data/watched/<dataset>`: for most datasets an empty file, for one that is read from a place of the user's
(`surveillance.folder`, `pyskl.path`) a link to that place.
"""

import os
from pathlib import Path

from pan_core.datasets.registry import dataset_by_name
from pan_core.errors import PanError
from pan_core.files import atomic_path
from pan_core.params.load import Params
from pan_core.workspace.context import dataset_context

WATCHED = Path("data/watched")


def watch_source(params: Params, root: Path = Path()) -> Path:
    """Make `data/watched/<dataset>` right for these parameters; a place that does not exist is not linked.

    Args:
        params: Name the dataset and its place.
        root: The workspace; a relative place is below it.

    Returns:
        The watched path.

    Raises:
        PanError: If the place contains the watched path itself, or the path cannot be written.
    """
    watched = root / WATCHED / params.dataset
    source = dataset_by_name(params.dataset).configured(dataset_context(params))
    try:
        if source is None or not (root / source).exists():
            _put_file(watched)
        else:
            _put_link(watched, source, root)
    except OSError as error:
        raise PanError(
            f"{watched}: expected a file or a link that can be replaced, but: {error.strerror}; move it away, or make its folder writable",
            code="watched.unusable",
        ) from error
    return watched


def _put_file(watched: Path) -> None:
    if watched.is_symlink() or not watched.is_file():
        watched.unlink(missing_ok=True)
        with atomic_path(watched) as partial:
            partial.touch()


def _put_link(watched: Path, source: Path, root: Path) -> None:
    watched.parent.mkdir(parents=True, exist_ok=True)
    # `data` may be a link to another disk, from which a relative path leads elsewhere.
    folder = watched.parent.resolve()
    if folder.is_relative_to((root / source).resolve()):
        raise PanError(
            f"{source}: contains {WATCHED}, so the project would depend on its own results; put the footage into a folder of its own",
            code="watched.contains-project",
        )
    target = source if source.is_absolute() else Path(os.path.relpath((root / source).absolute(), folder))
    if not watched.is_symlink() or watched.readlink() != target:
        if watched.is_dir() and not watched.is_symlink():
            raise OSError(0, "it is a folder")
        with atomic_path(watched) as partial:
            partial.symlink_to(target)
