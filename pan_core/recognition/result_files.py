"""Names of the files that a prediction writes: results of different videos never share one."""

import fcntl
import glob
import json
import os
from itertools import chain, count
from pathlib import Path

from pan_core.files import SCRATCH_SUFFIX, sha256_of

ANNOTATED, TIMELINE = "_annotated", "_timeline.json"


def name_results(out: Path, video: Path) -> str:
    """Choose the beginning of the names of a video's results.

    The video's own name, or with that of its folder, or with its hash if another video has those results, or a file
    that no prediction has written. The results of the same content are replaced.

    Args:
        out: Folder of the results; it may be missing.
        video: The video.
    """
    stem, hashed = video.stem, ""
    if _is_free(out, stem):
        return stem
    hashed = sha256_of(video)
    parent = video.resolve().parent.name
    short = f"{stem}_{hashed[:8]}"
    names = chain([stem], [f"{parent}_{stem}"] if parent else [], [short], (f"{short}_{number}" for number in count(2)))
    return next(name for name in names if _is_free(out, name) or _belongs_to(out, name, hashed))


def timeline_file(annotated: Path) -> Path:
    """The timeline beside an annotated video that a prediction has written."""
    return annotated.with_name(annotated.stem.removesuffix(ANNOTATED) + TIMELINE)


def _is_free(out: Path, name: str) -> bool:
    """Tell whether no file has this name, and no other process is about to write one."""
    escaped = glob.escape(name)
    return not any(
        os.path.lexists(path) for path in (out / f"{name}{TIMELINE}", *out.glob(f"{escaped}{ANNOTATED}.*"))
    ) and not _is_at_work(out, escaped)


def _belongs_to(out: Path, name: str, digest: str) -> bool:
    """Tell whether the results of this name are of a video with this SHA-256, and nobody writes them now."""
    try:
        content = json.loads((out / f"{name}{TIMELINE}").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("sha256") == digest and not _is_at_work(out, glob.escape(name))


def _is_at_work(out: Path, escaped: str) -> bool:
    """Tell whether a living process encodes a video of this name: it holds the lock of its unfinished file."""
    for folder in out.glob(f".{escaped}{ANNOTATED}.*{SCRATCH_SUFFIX}"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
    return False
