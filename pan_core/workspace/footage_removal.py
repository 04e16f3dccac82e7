"""Removal of one's own footage once its skeletons are stored: `pose.keep_video: false`.

A video goes when the pose set has the same skeletons as the cache of poses, frame for frame, and its record was read back. The
record takes its place, so that all stages can run again. `paths.REMOVED` has a line before each removal and one after.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.datasets.holdout import HOLDOUT
from pan_core.datasets.manifests.manifest import video_files
from pan_core.datasets.surveillance import VIDEOS, Surveillance, place
from pan_core.errors import DataError, VideoError
from pan_core.files import cache_folder, digest_of, sha256_of
from pan_core.params.load import Params
from pan_core.pose.cache import PoseCache, clip_of
from pan_core.pose.extraction import extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import ClipPoses, PoseSet
from pan_core.pose.records import SUFFIX, VideoRecord, read_record, record_of, write_record
from pan_core.progress import progress_bar
from pan_core.tables import read_table
from pan_core.video import probe
from pan_core.workspace import paths
from pan_core.workspace.context import dataset_context

NOTHING = np.empty(0)


@dataclass(frozen=True)
class Removal:
    """What became of the videos.

    Attributes:
        videos: Those that are gone.
        files: All files that went, copies in data/raw, in workspaces and in DVC's cache among them.
        kept: Videos that stay, each with the reason, and what else a person should know.
    """

    videos: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    kept: tuple[str, ...] = ()


def remove_videos(params: Params) -> Removal:
    """Remove every video of the footage whose skeletons are stored, wherever this project has a copy of it.

    Raises:
        DataError: Where the parameters do not ask for it, the footage serves retraining, or its stages have not run.
    """
    if not params.removes_videos:
        raise DataError(
            "videos are removed where params.yaml has dataset: surveillance and pose.keep_video: false, but it has "
            f"{params.dataset} and {str(params.pose.keep_video).lower()}"
        )
    folder = Surveillance().source(dataset_context(params))
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, so nothing can be said of the videos that belong there")
    retraining = (
        folder / HOLDOUT,
        folder / paths.LEDGER,
        paths.FOOTAGE / paths.LEDGER,
        paths.FOOTAGE.with_suffix(".dvc"),
    )
    if used := [path for path in retraining if path.exists()]:
        raise DataError(f"{used[0]}: retraining judges every version on the videos of one holdout, so they are kept")
    clips, poses = read_table("clips", paths.CLIPS), PoseSet(paths.POSES)
    identity = extractor_identity(Path(params.pose.network), settings=ExtractionSettings(**params.pose.extraction()))
    cache, copies = PoseCache(cache_folder() / "poses", identity=identity), _Copies()
    own = {
        str(path).removeprefix(f"{VIDEOS}/"): list(group.itertuples(index=False))
        for path, group in clips.groupby("path")
    }
    files = video_files(folder)
    names = Counter(_file_of(path) for path in files.values() if path.exists())
    videos, gone, kept = [], [], []
    with progress_bar("remove videos", "video") as update:
        for done, (name, source) in enumerate(files.items(), start=1):
            update(done, len(files))
            try:
                linked = source.resolve() != folder.resolve() / source.relative_to(folder)
                if linked or names[_file_of(source)] > 1:
                    raise DataError("is a link, or has two names in the footage; put one plain file in its place")
                before, digest = source.stat(), sha256_of(source)
                _put_aside(source, digest)
                if name not in own:
                    raise DataError("no clip of it is in the clip table; label it, or remove it yourself")
                record = _verified(source, digest, own[name], cache, poses)
                found, notes = _remove(source, before, record, *copies.of(source, digest))
            except (DataError, VideoError, OSError) as error:
                kept.append(f"{source}: {error}")
                continue
            videos.append(source)
            gone += found
            kept += notes
    return Removal(tuple(videos), tuple(gone), tuple(kept))


def _file_of(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino


def _verified(video: Path, digest: str, clips: list[Any], cache: PoseCache, poses: PoseSet) -> VideoRecord:
    """The record of a video, written and read back.

    Raises:
        DataError: Where its skeletons are not all stored.
    """
    entry = cache.read(digest)
    if entry is None:
        raise DataError("its skeletons are not in the cache of poses; run the stage pose")
    lost = [clip.clip_id for clip in clips if clip.clip_id not in poses]
    if len(lost) == len(clips):
        where = "its labelled spans" if len(entry.joints) else "it"
        raise DataError(f"nobody was found in {where}, so nothing would be left of its clips; look at it")
    if lost:
        raise DataError(
            f"{len(lost)} of its labelled spans have no skeletons, such as {lost[0]}; look at them, or take them out of the labels"
        )
    identity = poses.clip(clips[0].clip_id).extractor
    whole = ClipPoses("", entry.joints, entry.fps, entry.width, entry.height, identity, video_sha256=digest)
    for clip in clips:
        cut, kept = clip_of(whole, clip), poses.clip(clip.clip_id)
        if not isinstance(cut, ClipPoses) or kept.video_sha256 != digest or not _same(cut.joints, kept.joints):
            raise DataError(f"the stored skeletons of {clip.clip_id} are not those of this file; run the stage pose")
    record = VideoRecord(whole, probe(video))
    write_record(video, record)
    if not _reads_back(video, record):
        record_of(video).unlink()
        raise DataError("its record could not be read back as it was written")
    return record


def _reads_back(video: Path, record: VideoRecord) -> bool:
    try:
        found = read_record(video)
    except DataError:
        return False
    # The same array in both, because arrays have no single answer to ==.
    facts, expected = (replace(each.poses, joints=NOTHING) for each in (found, record))
    return found.info == record.info and facts == expected and _same(found.poses.joints, record.poses.joints)


def _put_aside(video: Path, digest: str) -> None:
    """Rename the record of another video that once had this name: it would be taken for this one's when that is gone."""
    path = record_of(video)
    if not path.is_file():
        return
    try:
        other = read_record(video).poses.video_sha256
    except DataError:
        other = "damaged"
    if other != digest:
        path.rename(path.with_name(f"{video.name}.{other[:12]}{SUFFIX}"))


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.array_equal(first.astype("<f4"), second.astype("<f4"), equal_nan=True))


class _Copies:
    """Files of the same content as a video: what `fetch` placed, here and in workspaces of other parameters, and DVC's object."""

    def __init__(self) -> None:
        self._objects = _dvc_objects()
        self._placed: dict[int, list[Path]] = {}
        for raw in (paths.RAW, *(workspace / paths.RAW for workspace in paths.WORKSPACES.glob("*"))):
            for path in (raw / VIDEOS).rglob("*"):
                if path.is_file():
                    self._placed.setdefault(path.stat().st_size, []).append(path)

    def of(self, video: Path, digest: str) -> tuple[list[Path], list[Path]]:
        """Those that stages read, and DVC's."""
        md5 = digest_of(video, "md5")
        stored = [self._objects / md5[:2] / md5[2:]] if self._objects else []
        placed, there = (
            [path for path in group if path.is_file() and sha256_of(path) == digest]
            for group in (self._placed.get(video.stat().st_size, []), stored)
        )
        return placed, there


def _remove(
    source: Path, before: os.stat_result, record: VideoRecord, placed: list[Path], stored: list[Path]
) -> tuple[list[Path], list[str]]:
    """Delete copies and then the video, the record in the place of each that stages read; what went, and notes.

    The log has a line before and one after: killed in between, the next call finds the video and goes on.

    Raises:
        DataError: Where the file is another than the one that was looked at.
    """
    line = {
        "video": str(source),
        "sha256": record.poses.video_sha256,
        "bytes": before.st_size,
        "frames": record.info.n_frames,
    }
    gone: list[Path] = []
    notes: list[str] = []
    _require_unchanged(source, before)
    _log({**line, "state": "removing"})
    try:
        for path in placed:
            record_of(path).unlink(missing_ok=True)
            place(record_of(source), record_of(path))
        for path in (*placed, *stored):
            path.unlink()
            gone.append(path)
        _require_unchanged(source, before)
        if (others := source.stat().st_nlink - 1) > 0:
            notes.append(f"{source}: {others} other names of it are elsewhere on this disk")
        source.unlink()
        gone.append(source)
    except DataError:
        _put_aside(source, "")
        raise
    finally:
        try:
            _log({**line, "state": "removed" if source in gone else "kept", "files": [str(path) for path in gone]})
        except OSError as error:
            notes.append(f"{paths.REMOVED}: has no line of {source} ({error}), of which {len(gone)} files went")
    return gone, notes


def _require_unchanged(path: Path, before: os.stat_result) -> None:
    now = path.stat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise DataError("was changed while it was looked at, and stays")


def _log(line: dict[str, object]) -> None:
    with paths.REMOVED.open("a") as log:
        log.write(json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **line}) + "\n")
        log.flush()
        os.fsync(log.fileno())


def _dvc_objects() -> Path | None:
    """Folder of DVC's cache by content, None outside a DVC repository."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return Path(repo.cache.local.path)
    except NotDvcRepoError:
        return None
