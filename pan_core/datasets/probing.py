"""Probe many videos once: what was found is remembered on disk until a file changes.

Worker processes share the work and are watched, because a broken video can hang or kill the process that decodes it.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO

import cv2

from pan_core.datasets.base import Progress
from pan_core.datasets.probe_worker import probe_outcome, probe_supervised
from pan_core.errors import VideoError
from pan_core.files import atomic_path
from pan_core.video import DECODE_SECONDS, VideoInfo
from pan_core.workers.supervised import TaskFailure, run_supervised

_log = logging.getLogger(__name__)

# How frames are counted and pictures measured; raised when `probe` does otherwise, so that what was remembered is found anew.
METHOD = f"3, OpenCV {cv2.__version__}"
# Opening has its own limits; counting a long recording's frames reads at least so many bytes a second.
STALL_SECONDS = DECODE_SECONDS + 60.0
SLOWEST_READ = 1e6

# Inode, bytes and time of the last change in ns; a file that agrees in all three is taken for unchanged. Not its path:
# a video that is linked to another place, or renamed, is the same video.
Key = tuple[str, int, int]


def probe_all(
    paths: Iterable[Path],
    *,
    cache: Path | None = None,
    remember: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[Path, VideoInfo | VideoError]:
    """Size, rate and length of videos, or why a video has none.

    Args:
        paths: The videos.
        cache: File of what earlier calls found, JSON lines; it is written as the work goes on, so that an interrupted
            call is taken up where it stopped. Errors are not remembered: a missing codec can be put right without
            touching the file.
        remember: Whether `cache` is written; where not, it is only read.
        workers: Processes, in which a hang or a crash costs one video; 0 probes in this process, which costs it all.
        progress: Called with (done, total).

    Returns:
        Path -> `VideoInfo`, or the `VideoError` that says what is wrong with the file; in the order of `paths`.
    """
    keys = {path: _identify(path) for path in paths}
    known = _read_memory(cache, remember) if cache else {}
    found: dict[Path, VideoInfo | VideoError] = {path: known[key] for path, key in keys.items() if key in known}
    left = [path for path in keys if path not in found]
    if progress:
        progress(len(found), len(keys))
    if not left:
        return {path: found[path] for path in keys}
    with ExitStack() as stack:
        memory = stack.enter_context(_open_memory(cache)) if cache and remember else None
        for path, outcome in _probe_each(left, workers):
            found[path] = outcome
            if memory and isinstance(outcome, VideoInfo):
                memory.write(_format_line(keys[path], outcome))
            if progress:
                progress(len(found), len(keys))
    return {path: found[path] for path in keys}


def _identify(path: Path) -> Key | None:
    """Identity of a file's state; None where it cannot be looked at, which `probe` will say in words."""
    try:
        state = path.stat()
    except OSError:
        return None
    return str(state.st_ino), state.st_size, state.st_mtime_ns


def _probe_each(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, VideoInfo | VideoError]]:
    """Outcomes as they come."""
    if workers < 1:
        yield from ((path, probe_outcome(path)) for path in paths)
        return
    sizes = [key[1] for path in paths if (key := _identify(path))]
    stall = STALL_SECONDS + max(sizes, default=0) / SLOWEST_READ
    reasons = {
        TaskFailure.STUCK: f"decoding took longer than {stall:.0f} s, its process was ended",
        TaskFailure.DIED: "the process that reads this video dies each time",
    }
    items = {str(number): path for number, path in enumerate(paths)}
    for number, outcome in run_supervised(items, probe_supervised, workers=workers, stall_seconds=stall):
        path = items[number]
        if isinstance(outcome, TaskFailure):
            yield path, VideoError(f"{path}: {reasons[outcome]}; encode the video anew or remove it")
        else:
            yield path, outcome


def _open_memory(cache: Path) -> IO[str]:
    cache.parent.mkdir(parents=True, exist_ok=True)
    return cache.open("a", encoding="utf-8", buffering=1)


def _format_line(key: Key | None, info: VideoInfo) -> str:
    return json.dumps([METHOD, key, asdict(info)]) + "\n"


def _read_memory(cache: Path, mend: bool) -> dict[Key | None, VideoInfo]:
    """What the file holds; it is written anew where lines are damaged or most are outdated."""
    if not cache.is_file():
        return {}
    text = cache.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    entries = [_parse_line(line) for line in lines]
    known: dict[Key | None, VideoInfo] = {key: info for method, key, info in filter(None, entries) if method == METHOD}
    latest = {key[0]: key for key in known if key}
    if damaged := entries.count(None):
        _log.warning("%s: %d of %d lines cannot be read; those videos are probed again", cache, damaged, len(lines))
    if not mend:
        return known
    if damaged or not text.endswith("\n") or len(lines) > 2 * len(latest):
        with atomic_path(cache) as partial:
            partial.write_text("".join(_format_line(key, known[key]) for key in latest.values()), encoding="utf-8")
    return known


def _parse_line(line: str) -> tuple[str, Key, VideoInfo] | None:
    """One line's method, key and finding; None where it is damaged, such as cut by a full disk."""
    try:
        method, (inode, size, changed), found = json.loads(line)
        info = VideoInfo(**found)
        whole = min(info.width, info.height, info.fps, info.n_frames) > 0
        return (str(method), (str(inode), int(size), int(changed)), info) if whole else None
    except (ValueError, TypeError):
        return None
