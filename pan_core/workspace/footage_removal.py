"""Removal of your own footage once its skeletons are stored: `pose.keep_video: false`.

A video is removed if the pose set has the same skeletons as the cache of poses, frame for frame, and its record can be read
back. The record takes its place, so that all stages can run again. `paths.REMOVED` has a line before each removal and one after.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.datasets.holdout import HOLDOUT
from pan_core.datasets.manifests.manifest import footage_files
from pan_core.datasets.surveillance import VIDEOS, Surveillance, place
from pan_core.errors import DataError, VideoError
from pan_core.files import cache_folder, digest_of, sha256_of
from pan_core.params.load import Params
from pan_core.pose.batch_extraction import clip_of
from pan_core.pose.cache import PoseCache
from pan_core.pose.extraction import extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.pose.pose_set import ClipPoses, PoseSet
from pan_core.pose.records import SUFFIX, VideoRecord, read_record, record_of, write_record
from pan_core.progress import progress_bar
from pan_core.tables import read_table
from pan_core.video import is_video_name, probe
from pan_core.workspace import paths
from pan_core.workspace.context import dataset_context


@dataclass(frozen=True)
class RemovalNote:
    """Why a video stays, or what else a person should know of it.

    Attributes:
        video: The video.
        reason: In words.
        code: As of `PanError`; "system" for what the operating system refused.
    """

    video: Path
    reason: str
    code: str

    def __str__(self) -> str:
        return f"{self.video}: {self.reason}"


@dataclass(frozen=True)
class Removal:
    """Result of a removal.

    Attributes:
        videos: Removed videos.
        files: All removed files, with the copies in data/raw, in workspaces and in DVC's cache.
        kept: One note for each video that stays, and notes on the others.
    """

    videos: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    kept: tuple[RemovalNote, ...] = ()

    def describe(self) -> str:
        """The notes and the number of removed videos, in lines."""
        lines = [str(note) for note in self.kept]
        if self.videos:
            lines.append(
                f"removed {len(self.videos)} videos ({len(self.files)} files) whose skeletons are stored; {paths.REMOVED} has "
                "each. What looked at them looks at the skeletons in the next run"
            )
        return "\n".join(lines or ["no video is left in the footage"])


def remove_videos(params: Params) -> Removal:
    """Remove every video of the footage whose skeletons are stored, with all its copies in this project.

    Raises:
        DataError: If the parameters do not ask for it, the footage serves retraining, or its stages have not run.
    """
    folder = _require_removable(params)
    remover = VideoRemover(folder, params)
    files = remover.videos
    videos: list[Path] = []
    gone: list[Path] = []
    kept: list[RemovalNote] = []
    with progress_bar("remove videos", "video") as update:
        for done, (name, video) in enumerate(files.items(), start=1):
            update(done, len(files))
            try:
                removed, notes = remover.remove(name, video)
            except (DataError, VideoError, OSError) as error:
                kept.append(RemovalNote(video, str(error), getattr(error, "code", "system")))
                continue
            videos.append(video)
            gone += removed
            kept += notes
    return Removal(tuple(videos), tuple(gone), tuple(kept))


def _require_removable(params: Params) -> Path:
    """Folder of the footage.

    Raises:
        DataError: If its videos must not be removed.
    """
    if not params.removes_videos:
        raise DataError(
            "videos are removed if params.yaml has dataset: surveillance and pose.keep_video: false, but it has "
            f"{params.dataset} and {str(params.pose.keep_video).lower()}",
            code="removal.not-asked",
        )
    folder = Surveillance().source(dataset_context(params))
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder, so nothing can be said of the videos that belong there",
            code="removal.no-footage",
        )
    retraining = (
        folder / HOLDOUT,
        folder / paths.LEDGER,
        paths.FOOTAGE / paths.LEDGER,
        paths.FOOTAGE.with_suffix(".dvc"),
    )
    if used := [path for path in retraining if path.exists()]:
        raise DataError(
            f"{used[0]}: retraining judges every version on the videos of one holdout, so they are kept",
            code="removal.retraining",
        )
    return folder


class VideoRemover:
    """Removes videos of a footage folder, each if it meets all conditions.

    Args:
        folder: The footage.
        params: Parameters that its skeletons were extracted with.

    Attributes:
        videos: Name in the footage -> file, of all that are named as videos or have clips.
    """

    def __init__(self, folder: Path, params: Params) -> None:
        self._folder, files = folder, footage_files(folder)
        self._names = Counter(_file_of(path) for path in files.values())
        self._clips = {
            str(path).removeprefix(f"{VIDEOS}/"): list(group.itertuples(index=False))
            for path, group in read_table("clips", paths.CLIPS).groupby("path")
        }
        self.videos = {name: path for name, path in files.items() if is_video_name(path) or name in self._clips}
        self._poses = PoseSet(paths.POSES)
        settings = ExtractionSettings(**params.pose.extraction())
        identity = extractor_identity(network_file(params.pose.network, quality=params.pose.quality), settings=settings)
        self._cache, self._copies = PoseCache(cache_folder() / "poses", identity=identity), VideoCopies()

    def remove(self, name: str, video: Path) -> tuple[list[Path], list[RemovalNote]]:
        """Remove a video and its copies; returns the removed files, and notes.

        Args:
            name: Name in the footage, as the clip table has it.
            video: The file.

        Raises:
            DataError: If it must stay, with the reason.
        """
        self._require_plain_file(video)
        before, digest = video.stat(), sha256_of(video)
        _put_record_aside(video, digest)
        if name not in self._clips:
            raise DataError(
                "no clip of it is in the clip table; label it, or remove it yourself", code="removal.unlabelled"
            )
        record = self._store_record(video, digest, self._clips[name])
        return _remove_files(video, before, record, *self._copies.of(video, digest))

    def _require_plain_file(self, video: Path) -> None:
        linked = video.resolve() != self._folder.resolve() / video.relative_to(self._folder)
        if linked or self._names[_file_of(video)] > 1:
            raise DataError(
                "is a link, or has two names in the footage; put one plain file in its place", code="removal.linked"
            )

    def _store_record(self, video: Path, digest: str, clips: list[Any]) -> VideoRecord:
        """The record of a video, written and read back.

        Raises:
            DataError: If its skeletons are not all stored.
        """
        entry = self._cache.read(digest)
        if entry is None:
            raise DataError(
                "its skeletons are not in the cache of poses; run the stage pose", code="removal.not-cached"
            )
        self._require_skeletons(clips, anybody=bool(len(entry.tracks)))
        for clip in clips:
            cut, kept = clip_of(entry, clip), self._poses.clip(clip.clip_id)
            if not isinstance(cut, ClipPoses) or kept.video_sha256 != digest or not _same(cut.joints, kept.joints):
                raise DataError(
                    f"the stored skeletons of {clip.clip_id} are not those of this file; run the stage pose",
                    code="removal.other-skeletons",
                )
        record = VideoRecord(entry, probe(video))
        write_record(video, record)
        if not _reads_back(video, record):
            record_of(video).unlink()
            raise DataError("its record could not be read back as it was written", code="removal.record-unreadable")
        return record

    def _require_skeletons(self, clips: list[Any], *, anybody: bool) -> None:
        """Refuse a video of which a labelled clip has no skeletons."""
        lost = [clip.clip_id for clip in clips if clip.clip_id not in self._poses]
        if len(lost) == len(clips):
            where = "its labelled spans" if anybody else "it"
            raise DataError(
                f"nobody was found in {where}, so nothing would be left of its clips; look at it",
                code="removal.nobody-found",
            )
        if lost:
            raise DataError(
                f"{len(lost)} of its labelled spans have no skeletons, such as {lost[0]}; look at them, or take them out of the labels",
                code="removal.span-without-skeletons",
            )


def _file_of(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino


def _reads_back(video: Path, record: VideoRecord) -> bool:
    try:
        found = read_record(video)
    except DataError:
        return False
    (joints, facts), (expected_joints, expected) = (each.poses.as_stored() for each in (found, record))
    return found.info == record.info and facts == expected and _same(joints, expected_joints)


def _put_record_aside(video: Path, digest: str) -> None:
    """Rename a record of another video that once had this name, so that it is not taken for the record of this one."""
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


class VideoCopies:
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


def _remove_files(
    source: Path, before: os.stat_result, record: VideoRecord, placed: list[Path], stored: list[Path]
) -> tuple[list[Path], list[RemovalNote]]:
    """Delete copies and then the video, and put the record in the place of each that stages read; what went, and notes.

    The log has a line before and one after: after a kill in between, the next call finds the video and goes on.

    Raises:
        DataError: If the file is another one than at the start.
    """
    line = {
        "video": str(source),
        "sha256": record.poses.video_sha256,
        "bytes": before.st_size,
        "frames": record.info.n_frames,
    }
    gone: list[Path] = []
    notes: list[RemovalNote] = []
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
            reason = f"{others} other names of it are elsewhere on this disk"
            notes.append(RemovalNote(source, reason, "removal.other-names"))
        source.unlink()
        gone.append(source)
    except DataError:
        _put_record_aside(source, "")
        raise
    finally:
        try:
            _log({**line, "state": "removed" if source in gone else "kept", "files": [str(path) for path in gone]})
        except OSError as error:
            reason = f"has no line of {source} ({error}), of which {len(gone)} files went"
            notes.append(RemovalNote(paths.REMOVED, reason, "removal.unlogged"))
    return gone, notes


def _require_unchanged(path: Path, before: os.stat_result) -> None:
    now = path.stat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise DataError("was changed while it was checked, and stays", code="removal.changed")


def _log(line: dict[str, object]) -> None:
    with paths.REMOVED.open("a") as log:
        log.write(json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **line}) + "\n")
        log.flush()
        os.fsync(log.fileno())


def _dvc_objects() -> Path | None:
    """Folder of DVC's cache by content, None outside a DVC repository."""
    from dvc.exceptions import NotDvcRepoError  # late: start-up
    from dvc.repo import Repo  # late: start-up

    try:
        with Repo() as repo:
            return Path(repo.cache.local.path)
    except NotDvcRepoError:
        return None
