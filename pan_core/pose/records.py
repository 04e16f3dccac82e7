"""What stays of a video that was removed: its skeletons, and what the pipeline asks of a video, in a file in its place."""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pan_core.errors import DataError
from pan_core.files import atomic_path
from pan_core.pose.store import ClipPoses
from pan_core.video import VideoInfo

SUFFIX = ".skeletons.npz"


@dataclass(frozen=True)
class VideoRecord:
    """A video that is gone.

    Attributes:
        poses: Skeletons of all of it, with the hash of the video and the identity of the extractor.
        info: Its size, rate and length.
    """

    poses: ClipPoses
    info: VideoInfo


def record_of(video: Path) -> Path:
    """Where the record of a video lies."""
    return video.with_name(video.name + SUFFIX)


def is_removed(video: Path) -> bool:
    """Whether a video is gone and its record there; one beside its video was never needed."""
    return not video.exists() and record_of(video).is_file()


def write_record(video: Path, record: VideoRecord) -> None:
    """Write the record of a video, whole or not at all."""
    facts = {"info": asdict(record.info), "poses": asdict(record.poses)}
    joints = facts["poses"].pop("joints")
    with atomic_path(record_of(video)) as partial, partial.open("wb") as file:
        np.savez(file, joints=joints, facts=json.dumps(facts))


def read_record(video: Path) -> VideoRecord:
    """The record of a video.

    Raises:
        DataError: Where it is damaged; there is no video any more to make it anew from.
    """
    path = record_of(video)
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            return VideoRecord(ClipPoses(joints=stored["joints"], **facts["poses"]), VideoInfo(**facts["info"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: damaged ({error}); bring it back from a copy, or take the video out of the labels"
        ) from error
