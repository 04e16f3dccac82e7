"""Extract the poses of many videos on all cores, or on a cluster; what is finished is never lost.

Workers write whole entries into the cache themselves, so a killed run resumes where it stopped.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pan_core.errors import DataError, PanError
from pan_core.pose.cache import PoseCache
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.clusters import scheduler_address, work_on_cluster
from pan_core.pose.extraction import extractor_identity
from pan_core.pose.extraction_job import (
    ExtractionJob,
    ExtractionOutcome,
    extract_on_cluster,
    extract_one,
    extract_or_report,
    report_missing,
    try_blank_picture,
)
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import ClipPoses
from pan_core.pose.records import is_removed, read_record
from pan_core.pose.tracks import VideoPoses
from pan_core.runtimes.cuda import CPU, CUDA, choose_device, missing_provider
from pan_core.runtimes.network_server import NetworkServer
from pan_core.video import DECODE_SECONDS
from pan_core.workers.supervised import TaskFailure, run_supervised

_log = logging.getLogger(__name__)

# Longest time that a frame, or opening the video, may take; a picture of 8K with its poses takes about one second.
STALL_SECONDS = 60.0
NO_PERSON = "no person found"


@dataclass(frozen=True)
class Failure:
    """A clip without poses.

    Attributes:
        clip_id: The clip.
        reason: Why it has no poses, for people.
        code: The same for programs: that of the video's error, "pose.no-person", "pose.stuck" or "pose.process-died".
    """

    clip_id: str
    reason: str
    code: str = ""


def extract_clips(
    videos: Mapping[str, Path],
    *,
    model_path: Path,
    settings: ExtractionSettings,
    cache: Path,
    workers: int,
    device: str = CPU,
    progress: Callable[[int, int], None] | None = None,
    decode_seconds: float = DECODE_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> Iterator[VideoPoses | Failure]:
    """Extract the poses of many clips that are not in the cache yet.

    All the work is done before the first result is returned; the results are then read from the cache one by one,
    so that a large dataset needs little memory.

    Args:
        videos: Clip id -> video.
        model_path: Exported pose network.
        settings: How to search and follow.
        cache: Folder of the cache.
        workers: Processes, each on one core; 0 works in this process, where nothing can end a decoder that hangs.
        device: Where the networks run: `auto`, `cpu`, `cuda`, or the address of a `NetworkServer`. On a GPU one process runs them
            for all workers; a worker of a cluster decides for itself.
        progress: Called with the number of clips done and of all clips.
        decode_seconds: Time that decoding a video may take longer than the video lasts.
        stall_seconds: Time without a heartbeat after which a worker that decodes is killed.

    Returns:
        One result a clip, in the order of `videos`; a `Failure` if the video cannot be decoded in that time, shows
        no person, or ends its worker process twice.

    Raises:
        ConfigError: If `cuda` is asked for and there is none; before anything is extracted.
        PanError: If the model cannot be used or the disk is full; and, after everything else is done, if a machine
            is to blame: it lacks memory, does not see a video that is here, ends processes whatever they do, or loses
            entries.
            What is finished stays in the cache.
    """
    identity = extractor_identity(model_path, settings=settings)
    job = ExtractionJob(model_path, settings, cache, identity, decode_seconds, device)
    outcomes = {clip_id: ExtractionOutcome(removed=True) for clip_id, video in videos.items() if is_removed(video)}
    left = {clip_id: video for clip_id, video in videos.items() if clip_id not in outcomes}
    for clip_id, outcome in _extract_all(left, job, workers, stall_seconds):
        outcomes[clip_id] = outcome
        if progress:
            progress(len(outcomes), len(videos))
    if faults := [outcome.fault for outcome in outcomes.values() if outcome.fault]:
        raise PanError(
            f"{len(faults)} of {len(videos)} videos could not be extracted, which is not their fault, the first because "
            f"{faults[0]}; put that right and run again: finished videos are kept",
            code="pose.machine-fault",
        )
    return _read_results(videos, outcomes, job)


def _extract_all(
    videos: Mapping[str, Path], job: ExtractionJob, workers: int, stall_seconds: float
) -> Iterator[tuple[str, ExtractionOutcome]]:
    if address := scheduler_address():
        there = {clip_id: video.absolute() for clip_id, video in videos.items() if video.is_file()}
        yield from ((name, report_missing(videos[name])) for name in videos if name not in there)
        killed = {}
        for clip_id, found in work_on_cluster(there, partial(extract_on_cluster, job=job.absolute()), address=address):
            if found is None:
                killed[clip_id] = videos[clip_id]
            else:
                yield clip_id, found
        # Workers die for many reasons; a process of its own on this machine shows whether the video is one of them.
        yield from _extract_supervised(killed, replace(job, device=CPU), 1, stall_seconds)
    elif not videos:
        return
    elif workers < 1:
        yield from ((clip_id, extract_or_report(video, job=job)) for clip_id, video in videos.items())
    else:
        with _place_of_networks(job.device) as device:
            yield from _extract_supervised(videos, replace(job, device=device), workers, stall_seconds)


@contextmanager
def _place_of_networks(device: str) -> Iterator[str]:
    """The device for workers on this machine: in place of "cuda" the address of the one process that has the GPU."""
    if "/" in device or choose_device(device, missing_provider) == CPU:
        yield device if "/" in device else CPU
        return
    with NetworkServer() as server:
        if choose_device(device, lambda: server.fault) == CUDA:
            _log.info("poses are found on the GPU")
            yield server.address
            return
    yield CPU


def _extract_supervised(
    videos: Mapping[str, Path], job: ExtractionJob, workers: int, stall_seconds: float
) -> Iterator[tuple[str, ExtractionOutcome]]:
    healthy: bool | None = None
    extract = partial(extract_one, job=job)
    for clip_id, result in run_supervised(videos, extract, workers=workers, stall_seconds=stall_seconds):
        if not isinstance(result, TaskFailure):
            yield clip_id, result
            continue
        if result is TaskFailure.DIED and healthy is None:
            ((_, survived),) = run_supervised({"": job}, try_blank_picture, workers=1, stall_seconds=stall_seconds)
            healthy = survived is True
        if result is TaskFailure.DIED and not healthy:
            fault = f"{videos[clip_id]}: processes die here whatever they extract; see whether memory is free"
            yield clip_id, ExtractionOutcome(fault=fault)
            continue
        outcome = _report_task_failure(videos[clip_id], result, stall_seconds)
        _log.warning("%s", outcome.reason)
        yield clip_id, outcome


def _report_task_failure(video: Path, failure: TaskFailure, stall_seconds: float) -> ExtractionOutcome:
    if failure is TaskFailure.STUCK:
        reason = f"decoding took longer than {stall_seconds:.0f} s for a frame, its process was ended"
        return ExtractionOutcome(reason=f"{video}: {reason}; encode the video anew or remove it", code="pose.stuck")
    reason = "the process that reads this video dies each time"
    return ExtractionOutcome(reason=f"{video}: {reason}; encode the video anew or remove it", code="pose.process-died")


def _read_results(
    videos: Mapping[str, Path], outcomes: Mapping[str, ExtractionOutcome], job: ExtractionJob
) -> Iterator[VideoPoses | Failure]:
    cache = PoseCache(job.cache, identity=job.identity)
    others = 0
    for clip_id in videos:
        if outcomes[clip_id].removed:
            kept = replace(read_record(videos[clip_id]).poses, video_id=clip_id)
            others += kept.extractor != job.identity
            yield kept
            continue
        digest, reason = outcomes[clip_id].sha256, outcomes[clip_id].reason
        if reason:
            yield Failure(clip_id, reason, outcomes[clip_id].code)
            continue
        poses = cache.read(digest)
        if poses is None:
            raise PanError(
                f"{cache.path(digest)}: the poses of {videos[clip_id]} were stored there, but are not there any more or "
                "damaged; workers and this machine must have the same cache (PAN_CACHE), and nothing else may clear it; "
                "run again: finished videos are kept",
                code="pose.entry-lost",
            )
        yield replace(poses, video_id=clip_id) if len(poses.tracks) else Failure(clip_id, NO_PERSON, "pose.no-person")
    if others:
        _log.warning(
            "%d videos were removed after another network or other settings had found their skeletons: they keep those",
            others,
        )


def clip_of(video: VideoPoses | Failure, clip: Any) -> ClipPoses | Failure:
    """Poses of a clip, cut from those of its video, or why it has none."""
    if isinstance(video, Failure):
        return Failure(clip.clip_id, video.reason, video.code)
    start_s, end_s = clip.start_frame / clip.fps, (clip.start_frame + clip.n_frames) / clip.fps
    try:
        poses = slice_clip(video, clip.clip_id, start_s=start_s, end_s=end_s)
    except DataError as error:
        return Failure(clip.clip_id, str(error), error.code)
    if len(poses.joints):
        return poses
    whole = not clip.start_frame and clip.n_frames >= video.n_frames
    where = "" if whole else f" between {start_s:.1f} and {end_s:.1f} s"
    return Failure(clip.clip_id, f"{NO_PERSON}{where}", "pose.no-person")
