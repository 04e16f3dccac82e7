"""Extraction of one video into the cache: the job of a worker process, here or on a cluster."""

import platform
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pan_core.errors import VideoError
from pan_core.files import sha256_of
from pan_core.pose.cache import PoseCache
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.records import is_removed
from pan_core.runtimes.cuda import CPU, CUDA, choose_device, open_on_cuda
from pan_core.runtimes.network_server import NetworkClient
from pan_core.runtimes.session import Opener, open_model
from pan_core.workers.memory_errors import lacks_memory
from pan_core.workers.supervised import Heartbeat


@dataclass(frozen=True)
class ExtractionJob:
    """What every worker needs to know to extract a video.

    Attributes:
        model_path: Exported pose network.
        settings: How to search and follow.
        cache: Folder of the cache.
        identity: Identity of the extractor.
        decode_seconds: Time that decoding a video may take longer than the video lasts.
        device: Where the networks run: `auto`, `cpu`, `cuda`, or the address of a `NetworkServer`.
    """

    model_path: Path
    settings: ExtractionSettings
    cache: Path
    identity: str
    decode_seconds: float
    device: str = CPU

    def absolute(self) -> "ExtractionJob":
        """The same job for workers in other working directories."""
        return replace(self, model_path=self.model_path.absolute(), cache=self.cache.absolute())


@dataclass(frozen=True)
class ExtractionOutcome:
    """Result of one video.

    Attributes:
        sha256: Hash of the video whose poses are in the cache now.
        reason: Fault of the video, if it has no poses.
        code: Code of that fault.
        fault: Fault of a machine, if that is why there are no poses.
        removed: Whether the video was removed; its record then has its poses.
    """

    sha256: str = ""
    reason: str = ""
    code: str = ""
    fault: str = ""
    removed: bool = False


_extractor: tuple[ExtractionJob, PoseExtractor] | None = None
_loading = threading.Lock()


def _load_extractor(job: ExtractionJob) -> PoseExtractor:
    """The extractor of this process, which its threads share; loading the network takes longer than many a clip."""
    global _extractor
    with _loading:
        if _extractor is None or _extractor[0] != job:
            _extractor = job, PoseExtractor(job.model_path, settings=job.settings, opener=_opener(job.device))
        return _extractor[1]


def _opener(device: str) -> Opener:
    if "/" in device:
        return NetworkClient(device)
    return open_on_cuda if choose_device(device) == CUDA else open_model


def extract_one(video: Path, heartbeat: Heartbeat | None, *, job: ExtractionJob) -> ExtractionOutcome:
    """Make sure that a video's entry is in the cache."""
    cache = PoseCache(job.cache, identity=job.identity)
    if is_removed(video):  # meanwhile
        return ExtractionOutcome(removed=True)
    if not video.is_file():
        return report_missing(video)
    try:
        digest = sha256_of(video)
    except OSError as error:
        return ExtractionOutcome(fault=f"{video}: cannot be read on {platform.node()} ({error})")
    if cache.read(digest) is not None:
        return ExtractionOutcome(digest)
    extractor, beat = _load_extractor(job), heartbeat.beat if heartbeat else _ignore_beat
    try:
        poses = extractor.extract(video, seconds=job.decode_seconds, beat=beat)
    except VideoError as error:
        return ExtractionOutcome(reason=str(error), code=error.code)
    if heartbeat:
        heartbeat.rest()
    cache.write(digest, poses)
    return ExtractionOutcome(digest)


def report_missing(video: Path) -> ExtractionOutcome:
    """Outcome of a video that is no file."""
    if video.exists():
        return ExtractionOutcome(reason=f"{video}: not a regular file", code="video.not-a-file")
    return ExtractionOutcome(reason=f"{video}: no such video", code="video.missing")


def extract_or_report(video: Path, *, job: ExtractionJob) -> ExtractionOutcome:
    """The same in a process that must go on: a want of memory is the machine's fault."""
    try:
        return extract_one(video, None, job=job)
    except Exception as error:
        if not lacks_memory(error):
            raise
        fault = (
            f"{video}: too little memory on {platform.node()} ({error}); free some, or cut the video into smaller ones"
        )
        return ExtractionOutcome(fault=fault)


def extract_on_cluster(video: Path, *, job: ExtractionJob) -> ExtractionOutcome:
    """The same on a worker of a cluster, for a video that exists on the machine that submitted it."""
    if not video.is_file():
        return ExtractionOutcome(
            fault=f"{video}: not seen by the worker on {platform.node()}, which must have the same folders"
        )
    return extract_or_report(video, job=job)


def try_blank_picture(job: ExtractionJob, heartbeat: Heartbeat) -> bool:
    """Extract from a blank picture, to see whether a process survives that."""
    _load_extractor(job).tracker().update(np.zeros((240, 320, 3), np.uint8))
    return True


def _ignore_beat() -> None:
    pass
