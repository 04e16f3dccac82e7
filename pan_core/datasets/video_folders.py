"""Datasets of videos in one folder a class, with lists that say which clip is in which part of which split."""

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pan_core.datasets.archives import require_rar, unpack, unpack_nested
from pan_core.datasets.base import Catalogue, Context, RemoteFile
from pan_core.datasets.download import link_tree, obtain, reading
from pan_core.datasets.faults import Fault, FaultsError
from pan_core.datasets.probing import probe_all
from pan_core.errors import DataError
from pan_core.tables import quarantine_table
from pan_core.video import VideoInfo

_log = logging.getLogger(__name__)

VIDEOS, SPLITS = "videos", "splits"
VIDEO_SUFFIX = ".avi"
SHOWN = 5

# Split column -> clip id -> part.
SplitLists = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ClipName:
    """What a video's name says about its clip."""

    clip_id: str
    label: str
    group: str
    subject: str = ""


@dataclass(frozen=True)
class NamedVideo:
    """A video and what its name says."""

    path: Path
    name: ClipName


def obtain_any(dataset: str, files: Iterable[RemoteFile], context: Context) -> Path:
    """The first of several files that can be had; what is on this machine comes before any download.

    A rar archive counts only where it can be unpacked, which is found out before it is downloaded.

    Raises:
        DataError: Where none can be had, with the reason for each.
    """
    faults: list[Fault] = []
    for attempt in (replace(context, download=False), context) if context.download else (context,):
        faults = []
        for file in files:
            try:
                if file.name.endswith(".rar") and attempt.download:
                    require_rar()
                return obtain(dataset, file, attempt)
            except DataError as error:
                faults.append(Fault(error, error.code))
                if attempt.download:
                    _log.warning("%s", error)
    raise FaultsError("\n".join(faults), faults, code="file.not-at-hand")


def unpack_into(source: Path, folder: Path, context: Context, *, nested: bool = False) -> None:
    """Put the files of an archive, or of a folder, into a folder.

    Args:
        source: What `obtain_any` gave.
        folder: Made here; appears whole or not at all.
        context: Progress is reported to its `progress`.
        nested: Whether the archive holds archives.
    """
    with reading(source, context):
        if source.is_dir():
            link_tree(source, folder)
        elif nested:
            unpack_nested(source, folder, progress=context.progress)
        else:
            unpack(source, folder, progress=context.progress)


def gather(unpacked: Path, target: Path, suffix: str, folder_of: Callable[[Path], str] | None = None) -> None:
    """Move every file of one kind below `unpacked`, however deep, into `target`, and remove the rest.

    Args:
        unpacked: Folder as an archive had it.
        target: Folder to make.
        suffix: How the names of the wanted files end.
        folder_of: Folder below `target` that a file goes to; all go to `target` itself where it is left out.

    Raises:
        DataError: Where there is no such file, or two would have one place.
    """
    found = visible_files(unpacked, suffix)
    if not found:
        raise DataError(
            f"{unpacked.name}: what was obtained holds no {suffix} file; delete it and fetch it again",
            code="dataset.no-files",
        )
    for folder in (unpacked, *(path for path in unpacked.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # a read-only mirror's folders come as they are
    for path in found:
        place = target / (folder_of(path) if folder_of else "") / path.name
        if place.exists():
            raise DataError(
                f"{path.relative_to(unpacked)}: a second file for {place.relative_to(target)}; keep one",
                code="dataset.second-file",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    shutil.rmtree(unpacked)


def require_folder(path: Path, label: str, classes: Mapping[str, str]) -> None:
    """Refuse a video that lies in the folder of another class than its name says.

    Args:
        path: The video.
        label: Class that its name says.
        classes: Classes by their names in lower case.

    Raises:
        DataError: Where they differ; a folder that bears no class's name says nothing.
    """
    folder = classes.get(path.parent.name.casefold(), label)
    if folder != label:
        raise DataError(
            f"{path}: lies in the folder of {folder}, but its name says {label}; move or rename it",
            code="clip.other-folder",
        )


def visible_files(folder: Path, suffix: str) -> list[Path]:
    """All files of one kind below a folder, sorted; hidden ones, such as macOS leaves behind, are passed over."""
    return sorted(path for path in folder.rglob(f"*{suffix}") if not _is_hidden(path.relative_to(folder)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def read_catalogue(
    folder: Path,
    splits: SplitLists,
    *,
    source: str,
    name_of: Callable[[Path], ClipName],
    context: Context,
) -> Catalogue:
    """Clip table of all videos below `folder/videos`.

    A clip that no list names is `unused` everywhere. A video that cannot be decoded, or whose name is against the
    dataset's rule or belongs to another video already, goes to quarantine.

    Args:
        folder: Folder of the dataset, which the table's paths are relative to.
        splits: The split lists.
        source: Name of the dataset.
        name_of: Reads a path; raises `DataError` where it is against the rule.
        context: Its cache remembers what was found in the videos.

    Raises:
        DataError: Where no video can be used.
    """
    named, faults = _read_names(visible_files(folder / VIDEOS, VIDEO_SUFFIX), name_of)
    cache = context.cache / "probes" / f"{source}.jsonl"
    paths = [video.path for video in named]
    probes = probe_all(
        paths, cache=cache, remember=context.remember, workers=context.workers, progress=context.progress
    )
    rows = []
    for video in named:
        info = probes[video.path]
        if isinstance(info, VideoInfo):
            rows.append(_make_row(video, info, folder, source, splits))
        else:
            faults.append((video.name.clip_id, str(info)))
    if not rows:
        reasons = "".join(f"\n  - {reason}" for _, reason in faults[:SHOWN])
        raise DataError(
            f"{folder / VIDEOS}: no video that can be used; run `dvc repro --force fetch`{reasons}",
            code="dataset.no-video",
        )
    listed = {clip_id for parts in splits.values() for clip_id in parts}
    here = {video.name.clip_id for video in named}
    return Catalogue(pd.DataFrame(rows), _quarantine(faults), tuple(sorted(listed - here)))


def _read_names(
    paths: Iterable[Path], name_of: Callable[[Path], ClipName]
) -> tuple[list[NamedVideo], list[tuple[str, str]]]:
    """Videos by their names, and (clip id, reason) of those that are left out."""
    named: dict[str, NamedVideo] = {}
    faults = []
    for path in paths:
        try:
            name = name_of(path)
        except DataError as error:
            faults.append((path.stem, str(error)))
            continue
        if twin := named.get(name.clip_id):
            faults.append((name.clip_id, f"{path}: has the name of {twin.path}, which is kept; remove one of them"))
        else:
            named[name.clip_id] = NamedVideo(path, name)
    return list(named.values()), faults


def _make_row(video: NamedVideo, info: VideoInfo, folder: Path, source: str, splits: SplitLists) -> dict[str, object]:
    name = video.name
    return {
        "clip_id": name.clip_id,
        "path": str(video.path.relative_to(folder)),
        "source": source,
        "label": name.label,
        "group": name.group,
        "subject": name.subject,
        "camera": "",
        "fps": info.fps,
        "start_frame": 0,
        "n_frames": info.n_frames,
        "width": info.width,
        "height": info.height,
    } | {column: parts.get(name.clip_id, "unused") for column, parts in splits.items()}


def _quarantine(faults: list[tuple[str, str]]) -> pd.DataFrame:
    return quarantine_table([{"clip_id": clip_id, "stage": "split", "reason": reason} for clip_id, reason in faults])
