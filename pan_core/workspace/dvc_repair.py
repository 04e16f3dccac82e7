"""Repair of DVC's own files after a kill or a full disk.

DVC writes dvc.lock and its table of locks in place; if one is left half-written, no later `dvc` command starts.
"""

import json
import logging
import shutil
import time
from pathlib import Path

import psutil
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

from pan_core.errors import PanError

_log = logging.getLogger(__name__)

LOCKFILE, ASIDE = "dvc.lock", Path(".dvc/tmp")
LOCK_TABLE = Path(".dvc/tmp/rwlock")
"""Which process reads or writes which path. DVC believes an entry as long as any process has that number."""

SCHEMA = "2.0"
CONFLICT = "<<<<<<< "
DYING_S = 10.0
"""Seconds that the DVC of a killed run may take to end."""


def repair_dvc_state(folder: Path) -> None:
    """Put DVC's files of a folder in order, so that it can start. Call it with the `workspace_lock` held.

    A truncated dvc.lock is put aside; stages that are in DVC's run cache are then checked out, not computed again. Lock
    entries of processes that have ended are removed. Nothing is touched while DVC is at work in the folder.

    Raises:
        PanError: If dvc.lock has the marks of a merge conflict, or cannot be put aside.
    """
    end = time.monotonic() + DYING_S
    while is_truncated(folder / LOCKFILE) or _has_locks(folder):
        if not _dvc_at_work(folder):
            break
        if time.monotonic() > end:
            return  # a person's own `dvc repro`: DVC itself reports it
        time.sleep(0.1)
    else:
        return
    (folder / LOCK_TABLE).unlink(missing_ok=True)
    if is_truncated(folder / LOCKFILE):
        _put_aside(folder)


def _put_aside(folder: Path) -> None:
    path = folder / LOCKFILE
    number = 1
    while (aside := folder / ASIDE / f"{LOCKFILE}.damaged-{number}").exists():
        number += 1
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, aside)  # it may be a link to elsewhere
        path.unlink()
    except OSError as error:
        raise PanError(
            f"{path}: is damaged, as by a kill or a full disk, and cannot be put aside ({error})", code="dvc-lock.stuck"
        ) from error
    _log.warning(
        "%s: was damaged, as by a kill or a full disk, and is now %s; finished stages come back where DVC's run cache has them",
        path,
        aside,
    )


def is_truncated(path: Path) -> bool:
    """Whether a dvc.lock ends in the middle; False if it is missing. DVC itself reports any other fault.

    Raises:
        PanError: If it has the marks of a merge conflict: a person decides which side holds.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # late: start-up

    try:
        text = path.read_text()
    except FileNotFoundError:
        return False
    except UnicodeDecodeError:
        return True
    if any(line.startswith(CONFLICT) for line in text.splitlines()):
        raise PanError(
            f"{path}: has the marks of a merge conflict; take one side (`git checkout --ours {LOCKFILE}`, or --theirs), then run again: "
            "stages that it does not describe run again",
            code="dvc-lock.merge-conflict",
        )
    if not text.endswith("\n"):
        return True  # DVC ends every line; half a line may be valid all the same, with half a hash that nothing has
    try:
        content = YAML(typ="safe").load(text)
        if isinstance(content, dict) and content.get("schema", SCHEMA) != SCHEMA:
            return False
        COMPILED_LOCKFILE_SCHEMA(content)
    except (YAMLError, Invalid):
        return True
    return False


def _has_locks(folder: Path) -> bool:
    """Whether DVC's table of locks has an entry, or is damaged; after a run that ended it is there, and empty."""
    try:
        table = json.loads((folder / LOCK_TABLE).read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return not isinstance(table, dict) or any(table.values())


def _dvc_at_work(folder: Path) -> bool:
    """Whether a DVC process works on the folder itself, and not on a workspace below it."""
    folder = folder.resolve()
    for process in psutil.process_iter():
        try:
            if (
                any(Path(word).name == "dvc" for word in process.cmdline())
                and _project_of(Path(process.cwd())) == folder
            ):
                return True
        except psutil.AccessDenied:
            return True  # somebody else's, wherever it works
        except (psutil.Error, OSError):
            continue
    return False


def _project_of(place: Path) -> Path | None:
    """The nearest folder at or above a place that is a DVC project."""
    return next((each for each in (place, *place.parents) if (each / ".dvc").is_dir()), None)
