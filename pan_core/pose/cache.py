"""Extract many videos on all cores; nothing is extracted twice and nothing finished is lost.

An entry is one file, named by the hash of the video below the identity of the extractor. Workers write entries
themselves and whole, so a killed run goes on where it stopped.
"""

import errno
import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pan_core.errors import PanError, VideoError
from pan_core.files import atomic_path, sha256_of
from pan_core.pose.extraction import ExtractedPoses, ExtractionSettings, PoseExtractor, extractor_identity
from pan_core.pose.store import ClipPoses
from pan_core.processes import process_pool

_log = logging.getLogger(__name__)

# Tasks handed to the pool beyond those that run, so that no worker waits.
QUEUED_PER_WORKER = 2
NO_PERSON = "no person found"


@dataclass(frozen=True)
class Failure:
    """A clip without poses, and why."""

    clip_id: str
    reason: str


class PoseCache:
    """Extracted poses on disk, by video and extractor.

    Args:
        folder: Where the entries lie.
        identity: Identity of the extractor.
    """

    def __init__(self, folder: Path, *, identity: str) -> None:
        self._folder = folder / identity

    def path(self, video_sha256: str) -> Path:
        """File of a video's entry."""
        return self._folder / video_sha256[:2] / f"{video_sha256}.npz"

    def read(self, video_sha256: str) -> ExtractedPoses | None:
        """A video's poses, or None where there is no whole entry; a damaged one is reported and removed."""
        path = self.path(video_sha256)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as entry:
                facts = json.loads(str(entry["facts"]))
                return ExtractedPoses(joints=entry["joints"], **facts)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("%s: damaged pose cache entry (%s); the video is extracted again", path, error)
            path.unlink(missing_ok=True)
            return None

    def write(self, video_sha256: str, poses: ExtractedPoses) -> None:
        """Store a video's poses; the entry appears whole or not at all.

        Raises:
            PanError: Where the disk is full.
        """
        facts = {name: value for name, value in asdict(poses).items() if name != "joints"}
        path = self.path(video_sha256)
        try:
            with atomic_path(path) as partial:
                np.savez(partial, joints=poses.joints, facts=json.dumps(facts))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PanError(
                    f"{path.parent}: the disk is full, the poses of a video cannot be stored; make space, then run "
                    "again: finished videos are kept"
                ) from error
            raise


def extract_clips(
    videos: Mapping[str, Path],
    *,
    model_path: Path,
    settings: ExtractionSettings,
    cache: Path,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[ClipPoses | Failure]:
    """Poses of many clips, from the cache where they are there.

    All the work is done before the first result is handed out; the results are then read from the cache one by
    one, so that a large dataset needs little memory.

    Args:
        videos: Clip id -> video.
        model_path: Exported pose network.
        settings: How to search and follow.
        cache: Folder of the cache.
        workers: Processes, each on one core; 1 works in this process.
        progress: Called with the number of clips done and of all clips.

    Returns:
        One result a clip, in the order of `videos`; a `Failure` where the video cannot be decoded, shows no person,
        or ends its worker process twice.

    Raises:
        PanError: Where the model cannot be used or the disk is full; what is finished stays in the cache.
    """
    identity = extractor_identity(model_path, settings=settings)
    job = _Job(model_path, settings, cache, identity)
    outcomes = _run(videos, job, workers, progress or (lambda done, total: None))
    return _results(videos, outcomes, job)


@dataclass(frozen=True)
class _Job:
    """What every worker needs to know."""

    model_path: Path
    settings: ExtractionSettings
    cache: Path
    identity: str


# Video's hash, or why there is none.
_Outcome = tuple[str, str]
_extractor: tuple[_Job, PoseExtractor] | None = None


def _extractor_of(job: _Job) -> PoseExtractor:
    """The extractor of this process; loading the network takes longer than many a clip."""
    global _extractor
    if _extractor is None or _extractor[0] != job:
        _extractor = job, PoseExtractor(job.model_path, settings=job.settings)
    return _extractor[1]


def _extract_one(job: _Job, video: Path) -> _Outcome:
    """Make sure that a video's entry is in the cache: (hash, "") or ("", reason)."""
    cache = PoseCache(job.cache, identity=job.identity)
    if not video.is_file():
        return "", f"{video}: no such video"
    digest = sha256_of(video)
    if cache.read(digest) is None:
        try:
            cache.write(digest, _extractor_of(job).extract(video))
        except VideoError as error:
            return "", str(error)
    return digest, ""


def _run(
    videos: Mapping[str, Path], job: _Job, workers: int, progress: Callable[[int, int], None]
) -> dict[str, _Outcome]:
    outcomes: dict[str, _Outcome] = {}

    def finish(clip_id: str, outcome: _Outcome) -> None:
        outcomes[clip_id] = outcome
        progress(len(outcomes), len(videos))

    if workers <= 1:
        for clip_id, video in videos.items():
            finish(clip_id, _extract_one(job, video))
        return outcomes
    waiting = dict(videos)
    while waiting:
        suspects = _run_pool(waiting, job, workers, finish)
        _run_alone({clip_id: videos[clip_id] for clip_id in suspects}, job, finish)
        waiting = {clip_id: video for clip_id, video in waiting.items() if clip_id not in outcomes}
    return outcomes


def _run_pool(
    videos: Mapping[str, Path], job: _Job, workers: int, finish: Callable[[str, _Outcome], None]
) -> list[str]:
    """Work on clips until all are done or a worker dies; returns the clips that were with the workers then."""
    queue = iter(videos.items())
    running: dict[Future[_Outcome], str] = {}
    pool = process_pool(workers)
    try:
        while True:
            while len(running) < workers * QUEUED_PER_WORKER and (entry := next(queue, None)) is not None:
                running[pool.submit(_extract_one, job, entry[1])] = entry[0]
            if not running:
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                finish(running.pop(future), outcome)
    except BrokenProcessPool:
        _log.warning("a worker process died during pose extraction; its clips are tried again one by one")
        return list(running.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_alone(videos: Mapping[str, Path], job: _Job, finish: Callable[[str, _Outcome], None]) -> None:
    """Work on clips one at a time in one worker, so that it is known which video kills its reader."""
    queue = list(videos.items())
    while queue:
        with process_pool(1) as pool:
            try:
                while queue:
                    finish(queue[0][0], pool.submit(_extract_one, job, queue[0][1]).result())
                    queue.pop(0)
            except BrokenProcessPool:
                clip_id, video = queue.pop(0)
                finish(clip_id, ("", f"{video}: the process that reads this video dies each time; remove it"))


def _results(videos: Mapping[str, Path], outcomes: Mapping[str, _Outcome], job: _Job) -> Iterator[ClipPoses | Failure]:
    cache = PoseCache(job.cache, identity=job.identity)
    for clip_id in videos:
        digest, reason = outcomes[clip_id]
        poses = cache.read(digest) if digest else None
        if reason or poses is None:
            yield Failure(clip_id, reason or "its entry vanished from the pose cache; run again")
        elif not len(poses.joints):
            yield Failure(clip_id, NO_PERSON)
        else:
            yield ClipPoses(
                clip_id, poses.joints, poses.fps, poses.width, poses.height, job.identity, video_sha256=digest
            )
