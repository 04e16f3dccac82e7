"""Removal of one's own footage once its skeletons are stored: `pose.keep_video: false`.

A video goes when the pose set has the same skeletons as the cache of poses, frame for frame, and its record was read back. The
record takes its place, so that all stages can run again. What was removed stands in `paths.REMOVED`, a line a video.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.config import Params
from pan_core.datasets import dataset_by_name
from pan_core.datasets.manifests.manifest import video_files
from pan_core.datasets.surveillance import VIDEOS, Surveillance, place
from pan_core.errors import DataError, VideoError
from pan_core.files import sha256_of
from pan_core.pose.cache import PoseCache
from pan_core.pose.extraction import ExtractionSettings, extractor_identity
from pan_core.pose.records import VideoRecord, is_removed, read_record, record_of, write_record
from pan_core.pose.store import ClipPoses, PoseSet
from pan_core.progress import progress_bar
from pan_core.stages import paths
from pan_core.stages.pose import clip_of
from pan_core.stages.runner import dataset_context
from pan_core.tables import read_table
from pan_core.video import probe


@dataclass(frozen=True)
class Removal:
    """What became of the videos.

    Attributes:
        removed: Paths that are gone, copies in data/raw and in DVC's cache among them.
        kept: Videos that stay, each with the reason.
    """

    removed: tuple[Path, ...] = ()
    kept: tuple[str, ...] = ()


def remove_videos(params: Params) -> Removal:
    """Remove every video of the footage whose skeletons are stored, wherever this workspace has a copy of it.

    Raises:
        DataError: Where the dataset is not one's own footage, or its stages have not run.
    """
    dataset = dataset_by_name(params.dataset)
    if not isinstance(dataset, Surveillance):
        raise DataError(
            f"pose.keep_video: videos are removed of footage of your own only, not of {params.dataset}; set it to true"
        )
    clips, poses = read_table("clips", paths.CLIPS), PoseSet(paths.POSES)
    files = video_files(dataset.source(dataset_context(params)))
    cache = PoseCache(
        paths.cache() / "poses",
        identity=extractor_identity(Path(params.pose.network), settings=ExtractionSettings(**params.pose.extraction())),
    )
    removed: list[Path] = []
    kept: list[str] = []
    objects = _dvc_objects()
    with progress_bar("remove videos", "video") as update:
        groups = list(clips.groupby("path", sort=True))
        for done, (path, own) in enumerate(groups, start=1):
            update(done, len(groups))
            source = files.get(str(path).removeprefix(f"{VIDEOS}/"))
            if source is None:
                continue
            try:
                record = _verified(source, list(own.itertuples(index=False)), cache, poses)
            except (DataError, VideoError) as error:
                kept.append(f"{source}: {error}")
                continue
            removed += _remove(source, paths.RAW / str(path), record, objects)
    return Removal(tuple(removed), tuple(kept))


def _verified(video: Path, clips: list[Any], cache: PoseCache, poses: PoseSet) -> VideoRecord:
    """The record of a video, written and read back.

    Raises:
        DataError: Where its skeletons are not all stored.
    """
    digest = sha256_of(video)
    entry = cache.read(digest)
    if entry is None:
        raise DataError("its skeletons are not in the cache of poses; run the stage pose")
    stored = [poses.clip(clip.clip_id) for clip in clips if clip.clip_id in poses]
    if not stored:
        raise DataError("nobody was found in it, so nothing would be left; look at it, then remove it yourself")
    whole = ClipPoses("", entry.joints, entry.fps, entry.width, entry.height, stored[0].extractor, video_sha256=digest)
    for clip in (clip for clip in clips if clip.clip_id in poses):
        cut, kept = clip_of(whole, clip), poses.clip(clip.clip_id)
        if not isinstance(cut, ClipPoses) or kept.video_sha256 != digest or not _same(cut.joints, kept.joints):
            raise DataError(f"the stored skeletons of {clip.clip_id} are not those of this file; run the stage pose")
    record = VideoRecord(whole, probe(video))
    write_record(video, record)
    back = read_record(video)
    if back.info != record.info or not _same(back.poses.joints, whole.joints):
        record_of(video).unlink()
        raise DataError("its record could not be read back as it was written")
    return record


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.array_equal(first.astype("<f4"), second.astype("<f4"), equal_nan=True))


def _remove(source: Path, raw: Path, record: VideoRecord, objects: Path | None) -> list[Path]:
    """Delete a video and its copies, the original last: killed in between, the next call finds it and goes on."""
    copies = [raw]
    if objects:
        digest = _md5(source)
        copies.append(objects / digest[:2] / digest[2:])
    if not is_removed(raw) and not record_of(raw).exists():
        place(record_of(source), record_of(raw))
    size = source.stat().st_size
    gone = [path for path in (*copies, source) if path.exists()]
    line = {
        "video": str(source), "sha256": record.poses.video_sha256, "bytes": size, "frames": record.info.n_frames,
        "removed_at": datetime.now(UTC).isoformat(timespec="seconds"), "files": [str(path) for path in gone],
    }  # fmt: skip
    with paths.REMOVED.open("a") as log:
        log.write(json.dumps(line) + "\n")
    for path in gone:
        path.unlink()
    return gone


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _dvc_objects() -> Path | None:
    """Folder of DVC's cache by content, None outside a DVC repository."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return Path(repo.cache.local.path)
    except NotDvcRepoError:
        return None
