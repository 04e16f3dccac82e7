"""Runs with other parameters than params.yaml has: each set of parameters in a folder of its own.

DVC goes by the files of a folder, so a run with overrides would have to edit the user's. Instead it gets a folder with
its own params.yaml and dvc.lock. DVC's cache, the MLflow store and downloads are the project's, so that nothing is
computed again that any folder has computed.
"""

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from flows.reproduce import PIPELINE
from pan_core.errors import ConfigError, PanError
from pan_core.files import atomic_path, read_user_text
from pan_core.params.load import PARAMS_FILE, Params, load_params, parse_params
from pan_core.params.schema import ParamsSection
from pan_core.tracking.local_store import STORE
from pan_core.workspace.dvc_repair import LOCKFILE, is_truncated
from pan_core.workspace.lock import workspace_lock
from pan_core.workspace.paths import WORKSPACES
from pan_core.workspace.watched_source import WATCHED, watch_source
from pan_core.workspace.without_git import go_without_git

CODE = Path("pan_core")
SOURCE = f"{PARAMS_FILE} with overrides"


def workspace(root: Path, overrides: Mapping[str, Any], name: str = "") -> Path:
    """The folder in which stages run with these parameters, made or brought up to date.

    Args:
        root: The project's root; its tracked files stay as they are.
        overrides: Values nested like params.yaml; None means as params.yaml has it.
        name: Of one folder for whatever parameters; empty for one of each set of parameters.

    Returns:
        The root itself where nothing differs from its params.yaml and no name is given.

    Raises:
        ConfigError: With every fault of the parameters that result.
        BusyError: Where a run is at work in that folder.
        PanError: Where DVC cannot read the pipeline.
    """
    go_without_git(root)
    if not overrides and not name:
        return root
    text = _override_text(root / PARAMS_FILE, overrides)
    params = parse_params(YAML(typ="safe").load(text), SOURCE)
    if params == load_params(root / PARAMS_FILE) and not name:
        return root
    given = _find_paths(params)
    folder = root / WORKSPACES / (name or params.fingerprint()[:8])
    with workspace_lock(folder):  # not under the feet of a run that is at work there
        _write(folder / PARAMS_FILE, text)
        _bring_up_to_date(folder, root)
        _link_sources(folder, root, given)
        watch_source(load_params(folder / PARAMS_FILE), folder)
    return folder


def changes(root: Path, folder: Path) -> list[str]:
    """In what the parameters of a workspace differ from the root's, one line each."""
    if folder == root:
        return []
    present, given = load_params(root / PARAMS_FILE).flat(), load_params(folder / PARAMS_FILE).flat()
    names = [*given, *(present.keys() - given)]
    return [
        f"{name} = {given.get(name)} ({PARAMS_FILE}: {present.get(name)})"
        for name in names
        if given.get(name) != present.get(name)
    ]


def _override_text(path: Path, overrides: Mapping[str, Any]) -> str:
    """Text of params.yaml with the values put in, comments kept."""
    load_params(path)  # its own faults are told as such
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    document = yaml.load(read_user_text(path))
    _put(document, overrides, Params)
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _put(document: MutableMapping[str, Any], values: Mapping[str, Any], section: type[BaseModel]) -> None:
    for name, value in values.items():
        inner = _find_section(section, name)
        if inner and isinstance(value, Mapping):
            if not isinstance(document.get(name), MutableMapping):
                document[name] = {}
            _put(document[name], value, inner)
        elif value is not None:
            document[name] = value


def _find_section(section: type[BaseModel], name: str) -> type[ParamsSection] | None:
    """The section of that name, None where it is a value or unknown."""
    for key, field in section.model_fields.items():
        kind = field.annotation
        if name in (key, field.alias) and isinstance(kind, type) and issubclass(kind, ParamsSection):
            return kind
    return None


def _bring_up_to_date(folder: Path, root: Path) -> None:
    """Pipeline, code and DVC's configuration as the root has them now; the state of its stages once."""
    for name in (PIPELINE, ".dvcignore"):
        if (root / name).is_file():
            _write(folder / name, (root / name).read_text())
    if (root / CODE).is_dir():
        _mirror(root / CODE, folder / CODE)
    _configure(folder, root)
    # Stages that the overrides do not touch are then checked out instead of run.
    if (root / LOCKFILE).is_file() and not (folder / LOCKFILE).exists() and not is_truncated(root / LOCKFILE):
        _write(folder / LOCKFILE, (root / LOCKFILE).read_text())


def _configure(folder: Path, root: Path) -> None:
    from dvc.config import Config  # late: start-up
    from dvc.config_schema import RelPath  # late: start-up
    from dvc.repo import Repo  # late: start-up

    given = Config(str(root / Repo.DVC_DIR), validate=False)
    (folder / Repo.DVC_DIR).mkdir(exist_ok=True)
    with Config(str(folder / Repo.DVC_DIR), validate=False).edit("repo") as config:
        # The root's git ignores this folder, and DVC refuses a pipeline that git ignores.
        config["core"] = given.get("core", {}) | {"no_scm": True}
        # Relative, likewise the links: in a copy of the project they lead to the copy.
        config["cache"] = {"dir": RelPath((root / Repo.DVC_DIR / "cache").absolute())} | given.get("cache", {})
        config["remote"] = given.get("remote", {})


def _link_sources(folder: Path, root: Path, given: Iterable[Path]) -> None:
    """Links to everything else that stages read, and to where they keep what outlives them."""
    (root / STORE).mkdir(exist_ok=True)
    wanted = {Path(".cache"), STORE, *given, *_find_sources(folder)}
    for name in sorted(wanted):
        if (root / name).exists() and CODE not in (name, *name.parents):
            _link(folder / name, root / name)


def _find_paths(params: Params) -> list[Path]:
    """Relative paths among the parameters.

    Raises:
        ConfigError: Where one leads out of the project: from another folder it would lead elsewhere.
    """
    given = {
        "surveillance.folder": params.surveillance.folder,
        "folders.folder": params.folders.folder,
        "pyskl.path": params.pyskl.path,
        "pyskl.classes": params.pyskl.classes,
    }
    relative = {name: Path(os.path.normpath(value)) for name, value in given.items() if value}
    relative = {name: path for name, path in relative.items() if not path.is_absolute()}
    faults = [
        f"{name}: with overrides expected a path below the project or an absolute one, but got {given[name]!r}"
        for name, path in relative.items()
        if ".." in path.parts
    ]
    if faults:
        raise ConfigError(SOURCE, faults, code="workspace.outside")
    return list(relative.values())


def _find_sources(folder: Path) -> Iterator[Path]:
    """Files and folders below the workspace that stages read and no stage writes.

    Raises:
        PanError: Where DVC cannot read the pipeline with these parameters.
    """
    from dvc.exceptions import DvcException  # late: start-up
    from dvc.repo import Repo  # late: start-up

    try:
        with Repo(str(folder)) as repo:
            outs = [Path(out.fs_path) for out in repo.index.outs if out.protocol == "local"]
            deps = {Path(dep.fs_path) for dep in repo.index.deps if dep.protocol == "local"}
    except DvcException as error:
        raise PanError(
            f"{folder / PIPELINE}: DVC cannot read the pipeline: {error}; see `dvc dag` there",
            code="pipeline.unreadable",
        ) from error
    made = {path for path in deps if any(out in (path, *path.parents) or path in out.parents for out in outs)}
    below = (path.relative_to(folder) for path in deps - made if path.is_relative_to(folder))
    yield from (path for path in below if WATCHED not in path.parents)


def _mirror(source: Path, target: Path) -> None:
    """Make a folder the copy of another; files that are the same are left alone, so DVC need not read them again."""
    for path in target.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and not (source / path.relative_to(target)).is_file():
            path.unlink()
    for path in source.rglob("*"):
        copy = target / path.relative_to(source)
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        if not copy.is_file() or not filecmp.cmp(path, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    with atomic_path(path) as partial:
        partial.write_text(text)


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    target = Path(os.path.relpath(target.parent.resolve() / target.name, place.parent.resolve()))
    if place.is_symlink() and place.readlink() != target:
        place.unlink()
    if not place.exists():
        place.symlink_to(target)
