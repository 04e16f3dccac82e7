"""What lies in the user's own place, for the stage fetch to depend on: `data/watched.json`.

Only some datasets have such a place: `surveillance.folder`, `folders.folder` or `pyskl.path`. The stage `watch` lists its files with sizes
and times. DVC cannot do this itself: a dead link, a pipe or a name that is not UTF-8 ends it or makes it wait for ever. Such entries
are reported and skipped.

The list has to be made by every `dvc repro`, but only for these datasets. So `watch` depends on
`data/watched/<dataset>`: an empty file, or a link to a file that is never the same twice.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pan_core.datasets.registry import dataset_by_name
from pan_core.errors import PanError
from pan_core.files import atomic_path, list_files
from pan_core.params.load import Params, load_params
from pan_core.params.schema import OWN_NETWORKS
from pan_core.workspace.context import dataset_context

STAGE = "watch"
WATCHED = Path("data/watched")
LISTING = Path("data/watched.json")
RESTLESS = Path("/proc/self/stat")
"""Differs for each process that reads it."""


def watch_source(params: Params, root: Path = Path()) -> tuple[str, ...]:
    """Make `data/watched.json` right for these parameters, and what makes the stage `watch` run.

    Args:
        params: Name the dataset and its place.
        root: The workspace; a relative place is below it.

    Returns:
        "name: reason" of what cannot be read in the place.

    Raises:
        PanError: If the place contains the list itself, or a path cannot be written.
    """
    watched, listing = root / WATCHED / params.dataset, root / LISTING
    source = dataset_by_name(params.dataset).configured(dataset_context(params))
    content: dict[str, Any] = {}
    if source is not None:
        _require_elsewhere(source, root)
        content = _describe(root / source)
        if params.dataset == "folders":
            # Not among the params in dvc.yaml: DVC stops if params.yaml, as that of an older project, lacks a section named there.
            content["group_pattern"] = params.folders.group_pattern
    text = json.dumps({"place": str(source or ""), **content}, indent=1) + "\n"
    try:
        (root / OWN_NETWORKS).mkdir(exist_ok=True)  # the stage pose depends on it, too
        (_put_link if source is not None else _put_file)(watched)
        if not listing.is_file() or listing.read_text(encoding="utf-8") != text:
            with atomic_path(listing) as partial:
                partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PanError(
            f"{watched}: expected it and {LISTING} to be files or links that can be replaced, but: {error.strerror}; move them away, or "
            "make their folder writable",
            code="watched.unusable",
        ) from error
    return tuple(content.get("passed_over", ()))


def _describe(place: Path) -> dict[str, Any]:
    """Size and time of every file in a folder, or of a file; and what cannot be read."""
    if place.is_file():
        return {"files": {place.name: _state(place)}}
    found = list_files(place)
    files = {path.relative_to(place).as_posix(): _state(path) for path in found.files}
    return {"files": files, "passed_over": list(found.passed_over)}


def _state(path: Path) -> list[int]:
    """Bytes and time of the last change in ns; nothing of a file that has just gone."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _require_elsewhere(source: Path, root: Path) -> None:
    # `data` may be a link to another disk.
    if (root / LISTING).parent.resolve().is_relative_to((root / source).resolve()):
        raise PanError(
            f"{source}: contains {LISTING}, so the project would depend on its own results; put the footage into a folder of its own",
            code="watched.contains-project",
        )


def _put_file(watched: Path) -> None:
    if watched.is_symlink() or not watched.is_file():
        watched.unlink(missing_ok=True)
        with atomic_path(watched) as partial:
            partial.touch()


def _put_link(watched: Path) -> None:
    if not watched.is_symlink() or watched.readlink() != RESTLESS:
        if watched.is_dir() and not watched.is_symlink():
            raise OSError(0, "it is a folder")
        with atomic_path(watched) as partial:
            partial.symlink_to(RESTLESS)


def main() -> int:
    """The stage `watch`."""
    try:
        passed_over = watch_source(load_params())
    except PanError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    for line in passed_over:
        print(f"passed over: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
