"""Record of a removed video: a file in its place with its skeletons, size, rate and length."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.errors import DataError
from pan_core.pose.joints_file import DamagedFileError, read_joints, write_joints
from pan_core.pose.tracks import Tracks, VideoPoses
from pan_core.video import VideoInfo, probe

SUFFIX = ".skeletons.npz"
# Version 1 has an array of the people of the whole video, as many as were looked for at a time.
VERSION = 2


@dataclass(frozen=True)
class VideoRecord:
    """Record of a video that was removed.

    Attributes:
        poses: Skeletons of all of it, with the hash of the video and the identity of the extractor.
        info: Its size, rate and length.
    """

    poses: VideoPoses
    info: VideoInfo


def record_of(video: Path) -> Path:
    """Path of a video's record."""
    return video.with_name(video.name + SUFFIX)


def is_removed(video: Path) -> bool:
    """Whether a video is missing and its record exists; a record beside its video has no effect."""
    return not video.exists() and record_of(video).is_file()


def write_record(video: Path, record: VideoRecord) -> None:
    """Write the record of a video, whole or not at all, down to the disk: the video may be gone the next moment."""
    joints, poses = record.poses.as_stored()
    facts = {"version": VERSION, "info": asdict(record.info), "poses": poses}
    write_joints(record_of(video), joints, facts, synced=True)


def read_info(video: Path) -> VideoInfo:
    """Size, rate and length of a video, from its record where it was removed.

    Raises:
        VideoError: If the video cannot be decoded.
        DataError: If the record is damaged.
    """
    return read_record(video).info if is_removed(video) else probe(video)


def read_record(video: Path) -> VideoRecord:
    """The record of a video.

    Raises:
        DataError: If it is damaged; there is no video any more to make it anew from.
    """
    path = record_of(video)

    def parse(joints: np.ndarray, facts: dict[str, Any]) -> VideoRecord:
        info = VideoInfo(**facts["info"])
        if facts["version"] == 1:
            return VideoRecord(_read_people(joints, facts["poses"], info), info)
        if facts["version"] != VERSION:
            raise DataError(f"{path}: of version {facts['version']}, expected {VERSION}", code="video-record.version")
        return VideoRecord(VideoPoses.from_stored(joints, facts["poses"]), info)

    try:
        return read_joints(path, parse)
    except DamagedFileError as error:
        raise DataError(
            f"{path}: damaged ({error}); bring it back from a copy, or take the video out of the labels",
            code="video-record.damaged",
        ) from error


def _read_people(joints: np.ndarray, facts: dict[str, Any], info: VideoInfo) -> VideoPoses:
    """Poses of a record of version 1; everybody in it was believed."""
    found = {name: facts[name] for name in ("fps", "width", "height", "extractor", "video_sha256")}
    return VideoPoses(Tracks.of(joints), n_frames=info.n_frames, min_person_score=0.0, **found)
