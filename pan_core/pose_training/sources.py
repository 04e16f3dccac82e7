"""Pictures for training the pose network: from COCO, from a folder of videos, or from a prepared dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pan_core.errors import DataError
from pan_core.files import list_files
from pan_core.pose.estimation import Estimator, PoseEstimator
from pan_core.pose.pose_set import PoseSet
from pan_core.pose.records import is_removed
from pan_core.pose_training.pictures import TrainingPicture, from_coco, from_truth, from_videos
from pan_core.video import VIDEO_SUFFIXES

# If pictures come without a split, one in ten is held out; neighbours in time stay together.
HOLD_OUT_EVERY = 10
JUDGED_EVERY = 12


class PictureSplit(NamedTuple):
    """Pictures of a training, by use.

    Attributes:
        learnt: To learn from.
        held_out: To measure the losses on.
        judged: With true joints, to measure the accuracy on.
    """

    learnt: list[TrainingPicture]
    held_out: list[TrainingPicture]
    judged: list[TrainingPicture]


@dataclass(frozen=True)
class VideoDataset:
    """A prepared dataset of videos.

    Attributes:
        name: Name of the dataset, for messages.
        folder: Folder that the videos' paths start from.
        parts: Rows of the clips table (`clip_id`, `path`) for each of `train`, `val` and `test`.
        truth: True joints; None if the dataset has none.
    """

    name: str
    folder: Path
    parts: Mapping[str, pd.DataFrame]
    truth: PoseSet | None

    def named_videos(self, part: str) -> list[tuple[str, Path]]:
        """Clip id and video of every clip of a part."""
        return [(clip.clip_id, self.folder / clip.path) for clip in self.parts[part].itertuples(index=False)]

    def videos(self, part: str) -> list[Path]:
        """Videos of a part that still exist, each once.

        Raises:
            DataError: If all of them were removed.
        """
        names = dict.fromkeys(self.parts[part]["path"])
        found = [path for name in names if not is_removed(path := self.folder / name)]
        if not found:
            raise DataError(
                "all videos to learn from were removed (pose.keep_video); name a folder of videos with --folder",
                code="pose-training.videos-removed",
            )
        return found


def split_coco(annotations: Path, images: Path) -> PictureSplit:
    """Split pictures of COCO's person keypoints; none of them judges the accuracy.

    Args:
        annotations: JSON file of the keypoints.
        images: Folder of the pictures.

    Raises:
        DataError: If the file is no COCO keypoints JSON, or a picture is missing.
    """
    return _hold_out_last(from_coco(annotations, images))


def split_folder(folder: Path, finder: Estimator, *, every: int) -> PictureSplit:
    """Split frames of all videos in a folder, for a teacher to annotate.

    Args:
        folder: Folder with videos, also in its subfolders.
        finder: Finds the people in the frames.
        every: Frames from one picture of a video to the next.

    Raises:
        DataError: If there is no video.
    """
    return _hold_out_last(_pictures_of_folder(folder, finder, every=every))


def add_folders(
    split: PictureSplit, learnt: Path | None, held_out: Path | None, finder: Estimator, *, every: int
) -> PictureSplit:
    """Add frames of all videos in two folders, for a teacher to annotate, after the pictures that are there.

    Args:
        split: Pictures so far.
        learnt: Folder of more videos to learn from.
        held_out: Folder of more videos to measure the losses on.
        finder: Finds the people in the frames.
        every: Frames from one picture of a video to the next.

    Raises:
        DataError: If a folder has no video.
    """
    more = [[] if folder is None else _pictures_of_folder(folder, finder, every=every) for folder in (learnt, held_out)]
    return PictureSplit(split.learnt + more[0], split.held_out + more[1], split.judged)


def _pictures_of_folder(folder: Path, finder: Estimator, *, every: int) -> list[TrainingPicture]:
    videos = list_files(folder).ending_in(VIDEO_SUFFIXES)
    if not videos:
        raise DataError(f"{folder}: expected videos in it, and --source videos", code="pose-training.no-videos")
    return from_videos(videos, finder, every=every)


def split_truth(dataset: VideoDataset, *, every: int) -> PictureSplit:
    """Split frames of a dataset with its true joints, by the parts of the dataset.

    Args:
        dataset: Dataset with true joints.
        every: Frames from one picture of a video to the next.

    Raises:
        DataError: If the dataset has no true joints.
    """
    judged = _judging_pictures(dataset)
    if dataset.truth is None:
        raise DataError(
            f"{dataset.name}: has no true joints; --source videos learns from a teacher", code="pose-training.no-truth"
        )
    learnt = from_truth(dataset.named_videos("train"), dataset.truth, every=every)
    held_out = from_truth(dataset.named_videos("val"), dataset.truth, every=every)
    return PictureSplit(learnt, held_out, judged)


def split_videos(dataset: VideoDataset, finder: Estimator, *, every: int) -> PictureSplit:
    """Split frames of a dataset by its parts, for a teacher to annotate; true joints, if there are any, judge alone.

    Args:
        dataset: Any dataset with videos.
        finder: Finds the people in the frames.
        every: Frames from one picture of a video to the next.

    Raises:
        DataError: If all videos of a part were removed.
    """
    judged = _judging_pictures(dataset)
    learnt, held_out = (from_videos(dataset.videos(part), finder, every=every) for part in ("train", "val"))
    return PictureSplit(learnt, held_out, judged)


def person_finder(model: Path) -> PoseEstimator:
    """Estimator that finds the people in the frames of videos.

    Args:
        model: Exported pose network.
    """
    return PoseEstimator(
        model, stages=3, search_stages=3, search_size=(432, 368), glance_size=(256, 224), crop_size=224,
        min_joint_score=0.05,
    )  # fmt: skip


def _judging_pictures(dataset: VideoDataset) -> list[TrainingPicture]:
    if dataset.truth is None:
        return []
    return from_truth(dataset.named_videos("test"), dataset.truth, every=JUDGED_EVERY)


def _hold_out_last(pictures: list[TrainingPicture]) -> PictureSplit:
    """Hold out the last tenth, so that frames of one video are rarely on both sides."""
    last = len(pictures) - len(pictures) // HOLD_OUT_EVERY
    return PictureSplit(pictures[:last], pictures[last:], [])
