"""What DVC writes in place while it works: a kill or a full disk leaves half of it, and then no later `dvc` command starts."""

import logging
import time
from pathlib import Path

import psutil

_log = logging.getLogger(__name__)

LOCKFILE, DAMAGED = "dvc.lock", Path(".dvc/tmp/dvc.lock.damaged")
HELD = Path(".dvc/tmp/rwlock")
"""Which process reads or writes which path. DVC believes an entry as long as any process has that number."""

DYING_S = 10.0
"""How long the DVC of a run that was killed may take to end."""


def mend(folder: Path) -> None:
    """Make a folder one in which DVC can start. Only right for whoever holds its `one_run`.

    A dvc.lock that is not whole is put aside: what DVC's run cache has of the stages is then checked out, not computed again.
    Locks are released that no DVC process in the folder holds.
    """
    path = folder / LOCKFILE
    if path.is_file() and not _whole(path):
        (folder / DAMAGED).parent.mkdir(parents=True, exist_ok=True)
        path.replace(folder / DAMAGED)
        _log.warning(
            "%s: was damaged, as by a kill or a full disk, and is now %s; finished stages come back from DVC's cache",
            path,
            folder / DAMAGED,
        )
    end = time.monotonic() + DYING_S
    while (folder / HELD).exists():
        if not _dvc_at_work(folder.resolve()):
            (folder / HELD).unlink(missing_ok=True)
        elif time.monotonic() > end:
            break  # a person's own `dvc repro`: DVC itself will tell of it
        else:
            time.sleep(0.1)


def _whole(path: Path) -> bool:
    """Whether DVC can read a dvc.lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML, YAMLError
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(path.read_text()))
    except (YAMLError, Invalid, UnicodeDecodeError):
        return False
    return True


def _dvc_at_work(folder: Path) -> bool:
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and "dvc" in [
                Path(word).name for word in process.cmdline()[:3]
            ]:
                return True
        except (psutil.Error, OSError):
            continue
    return False
