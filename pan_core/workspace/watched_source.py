"""What the stage fetch watches for changes: `data/watched/<dataset>`.

dvc.yaml can name a path that depends on the dataset, but not a dependency that only some datasets have. So fetch depends
on `data/watched/<dataset>`: for most datasets an empty file, for one that is read from a place of the user's
(`surveillance.folder`, `pyskl.path`) a link to that place.
"""

import os
from pathlib import Path

from pan_core.datasets.registry import dataset_by_name
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
    """
    watched = root / WATCHED / params.dataset
    source = dataset_by_name(params.dataset).configured(dataset_context(params))
    if source is None or not (root / source).exists():
        if watched.is_symlink() or not watched.is_file():
            watched.unlink(missing_ok=True)
            with atomic_path(watched) as partial:
                partial.touch()
        return watched
    target = source if source.is_absolute() else Path(os.path.relpath(root / source, watched.parent))
    if not watched.is_symlink() or watched.readlink() != target:
        with atomic_path(watched) as partial:
            partial.symlink_to(target)
    return watched
