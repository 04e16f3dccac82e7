"""Extract many videos on all cores, or on a cluster; nothing is extracted twice and nothing finished is lost.

An entry is one file, named by the hash of the video below the identity of the extractor. Workers write entries
themselves and whole, so a killed run goes on where it stopped.
"""

import errno
import logging
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.errors import DataError, PanError, VideoError
from pan_core.files import sha256_of
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.clusters import scheduler_address, work_on_cluster
from pan_core.pose.extraction import ExtractedPoses, PoseExtractor, extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.joints_file import DamagedFileError, read_joints, write_joints
from pan_core.pose.pose_set import ClipPoses
from pan_core.pose.records import is_removed, read_record
from pan_core.video import DECODE_SECONDS
from pan_core.workers.supervised import Heartbeat, TaskFailure, run_supervised

_log = logging.getLogger(__name__)

# Longest time that a frame, or opening the video, may take; a picture of 8K with its poses takes about one second.
STALL_SECONDS = 60.0
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
            return read_joints(path, lambda joints, facts: ExtractedPoses(joints=joints, **facts))
        except DamagedFileError as error:
            _log.warning("%s: damaged pose cache entry (%s); the video is extracted again", path, error)
            path.unlink(missing_ok=True)
            return None

    def write(self, video_sha256: str, poses: ExtractedPoses) -> None:
        """Store a video's poses; the entry appears whole or not at all.

        Raises:
            PanError: If the disk is full.
        """
        facts = {name: value for name, value in asdict(poses).items() if name != "joints"}
        path = self.path(video_sha256)
        try:
            write_joints(path, poses.joints, facts)
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
    decode_seconds: float = DECODE_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> Iterator[ClipPoses | Failure]:
    """Poses of many clips, from the cache where they are there.

    All the work is done before the first result is handed out; the results are then read from the cache one by
    one, so that a large dataset needs little memory.

    Args:
        videos: Clip id -> video.
        model_path: Exported pose network.
        settings: How to search and follow.
        cache: Folder of the cache.
        workers: Processes, each on one core; 0 works in this process, where nothing can end a decoder that hangs.
        progress: Called with the number of clips done and of all clips.
        decode_seconds: Decoding a video may take so much longer than the video lasts.
        stall_seconds: A worker that shows no sign of life for so long while it decodes is killed.

    Returns:
        One result a clip, in the order of `videos`; a `Failure` where the video cannot be decoded in that time, shows
        no person, or ends its worker process twice.

    Raises:
        PanError: If the model cannot be used or the disk is full; and, after everything else is done, where a
            machine is to blame: it does not see a video that is here, ends processes whatever they do, or loses
            entries. What is finished stays in the cache.
    """
    identity = extractor_identity(model_path, settings=settings)
    job = _Job(model_path, settings, cache, identity, decode_seconds)
    outcomes = {clip_id: _Outcome(removed=True) for clip_id, video in videos.items() if is_removed(video)}
    left = {clip_id: video for clip_id, video in videos.items() if clip_id not in outcomes}
    for clip_id, outcome in _outcomes(left, job, workers, stall_seconds):
        outcomes[clip_id] = outcome
        if progress:
            progress(len(outcomes), len(videos))
    if faults := [outcome.fault for outcome in outcomes.values() if outcome.fault]:
        raise PanError(
            f"{len(faults)} of {len(videos)} videos could not be extracted, which is not their fault, the first because "
            f"{faults[0]}; put that right and run again: finished videos are kept"
        )
    return _results(videos, outcomes, job)


@dataclass(frozen=True)
class _Job:
    """What every worker needs to know."""

    model_path: Path
    settings: ExtractionSettings
    cache: Path
    identity: str
    decode_seconds: float

    def absolute(self) -> "_Job":
        """The same job for workers that stand in other folders."""
        return replace(self, model_path=self.model_path.absolute(), cache=self.cache.absolute())


@dataclass(frozen=True)
class _Outcome:
    """A video's hash; or why there is none, by a reason that lies in the video or by the fault of a machine.

    Of a video that was removed, its record has all that there is to know.
    """

    sha256: str = ""
    reason: str = ""
    fault: str = ""
    removed: bool = False


_extractor: tuple[_Job, PoseExtractor] | None = None


def _extractor_of(job: _Job) -> PoseExtractor:
    """The extractor of this process; loading the network takes longer than many a clip."""
    global _extractor
    if _extractor is None or _extractor[0] != job:
        _extractor = job, PoseExtractor(job.model_path, settings=job.settings)
    return _extractor[1]


def _extract_one(video: Path, heartbeat: Heartbeat | None, *, job: _Job) -> _Outcome:
    """Make sure that a video's entry is in the cache."""
    cache = PoseCache(job.cache, identity=job.identity)
    if is_removed(video):  # meanwhile
        return _Outcome(removed=True)
    if not video.is_file():
        return _Outcome(reason=_not_there(video))
    try:
        digest = sha256_of(video)
    except OSError as error:
        return _Outcome(fault=f"{video}: cannot be read on {platform.node()} ({error})")
    if cache.read(digest) is not None:
        return _Outcome(digest)
    extractor, beat = _extractor_of(job), heartbeat.beat if heartbeat else _no_beat
    try:
        poses = extractor.extract(video, seconds=job.decode_seconds, beat=beat)
    except VideoError as error:
        return _Outcome(reason=str(error))
    if heartbeat:
        heartbeat.rest()
    cache.write(digest, poses)
    return _Outcome(digest)


def _not_there(video: Path) -> str:
    return f"{video}: no such video" if not video.exists() else f"{video}: not a regular file"


def _extract_there(video: Path, *, job: _Job) -> _Outcome:
    """The same on a worker of a cluster, for a video that the one who asks has seen."""
    if not video.is_file():
        return _Outcome(fault=f"{video}: not seen by the worker on {platform.node()}, which must have the same folders")
    return _extract_one(video, None, job=job)


def _prove(job: _Job, heartbeat: Heartbeat) -> bool:
    """Extract from a picture without anything, to see whether a process lives through it."""
    _extractor_of(job).tracker().update(np.zeros((240, 320, 3), np.uint8))
    return True


def _no_beat() -> None:
    pass


def _outcomes(
    videos: Mapping[str, Path], job: _Job, workers: int, stall_seconds: float
) -> Iterator[tuple[str, _Outcome]]:
    if address := scheduler_address():
        there = {clip_id: video.absolute() for clip_id, video in videos.items() if video.is_file()}
        yield from ((name, _Outcome(reason=_not_there(videos[name]))) for name in videos if name not in there)
        killed = {}
        for clip_id, found in work_on_cluster(there, partial(_extract_there, job=job.absolute()), address=address):
            if found is None:
                killed[clip_id] = videos[clip_id]
            else:
                yield clip_id, found
        # Workers die of many things; whether the video is one of them shows in a process of its own here.
        yield from _outcomes_here(killed, job, 1, stall_seconds)
    elif workers < 1:
        yield from ((clip_id, _extract_one(video, None, job=job)) for clip_id, video in videos.items())
    else:
        yield from _outcomes_here(videos, job, workers, stall_seconds)


def _outcomes_here(
    videos: Mapping[str, Path], job: _Job, workers: int, stall_seconds: float
) -> Iterator[tuple[str, _Outcome]]:
    reasons = {
        TaskFailure.STUCK: f"decoding took longer than {stall_seconds:.0f} s for a frame, its process was ended; "
        "encode the video anew or remove it",
        TaskFailure.DIED: "the process that reads this video dies each time; encode the video anew or remove it",
    }
    healthy: bool | None = None
    extract = partial(_extract_one, job=job)
    for clip_id, result in run_supervised(videos, extract, workers=workers, stall_seconds=stall_seconds):
        if not isinstance(result, TaskFailure):
            yield clip_id, result
            continue
        if result is TaskFailure.DIED and healthy is None:
            healthy = dict(run_supervised({"": job}, _prove, workers=1, stall_seconds=stall_seconds))[""] is True
        if result is TaskFailure.DIED and not healthy:
            fault = f"{videos[clip_id]}: processes die here whatever they extract; see whether memory is free"
            yield clip_id, _Outcome(fault=fault)
            continue
        _log.warning("%s: %s", videos[clip_id], reasons[result])
        yield clip_id, _Outcome(reason=f"{videos[clip_id]}: {reasons[result]}")


def _results(videos: Mapping[str, Path], outcomes: Mapping[str, _Outcome], job: _Job) -> Iterator[ClipPoses | Failure]:
    cache = PoseCache(job.cache, identity=job.identity)
    others = 0
    for clip_id in videos:
        if outcomes[clip_id].removed:
            kept = replace(read_record(videos[clip_id]).poses, clip_id=clip_id)
            others += kept.extractor != job.identity
            yield kept
            continue
        digest, reason = outcomes[clip_id].sha256, outcomes[clip_id].reason
        if reason:
            yield Failure(clip_id, reason)
            continue
        poses = cache.read(digest)
        if poses is None:
            raise PanError(
                f"{cache.path(digest)}: the poses of {videos[clip_id]} were stored there, but are not there any more or "
                "damaged; workers and this machine must have the same cache (PAN_CACHE), and nothing else may clear it; "
                "run again: finished videos are kept"
            )
        if not len(poses.joints):
            yield Failure(clip_id, NO_PERSON)
        else:
            yield ClipPoses(
                clip_id, poses.joints, poses.fps, poses.width, poses.height, job.identity, video_sha256=digest
            )
    if others:
        _log.warning(
            "%d videos were removed after another network or other settings had found their skeletons: they keep those",
            others,
        )


def clip_of(video: ClipPoses | Failure, clip: Any) -> ClipPoses | Failure:
    """A clip's poses out of those of its video, or why it has none."""
    if isinstance(video, Failure):
        return Failure(clip.clip_id, video.reason)
    start_s, end_s = clip.start_frame / clip.fps, (clip.start_frame + clip.n_frames) / clip.fps
    try:
        poses = slice_clip(video, clip.clip_id, start_s=start_s, end_s=end_s)
    except DataError as error:
        return Failure(clip.clip_id, str(error))
    return poses if len(poses.joints) else Failure(clip.clip_id, NO_PERSON)
