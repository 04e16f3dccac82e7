"""Which pictures a training of the pose network learns from, which it holds out, and which judge it."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pan_core.datasets import dataset_by_name
from pan_core.errors import ConfigError, DataError
from pan_core.params.load import Params
from pan_core.pose.estimation import PoseEstimator
from pan_core.pose.records import is_removed
from pan_core.pose_training.pictures import TrainingPicture, from_coco, from_truth, from_videos
from pan_core.tables import read_table
from pan_core.video import VIDEO_SUFFIXES
from pan_core.workspace import paths

# Of pictures that come without a split, every so manieth is held out; neighbours in time go together.
HOLD_OUT_EVERY = 10
JUDGED_EVERY = 12

Pictures = list[TrainingPicture]


def pictures_of(
    source: str,
    params: Params,
    *,
    every: int,
    folder: Path | None = None,
    annotations: Path | None = None,
    images: Path | None = None,
) -> tuple[Pictures, Pictures, Pictures]:
    """Pictures to learn from, to hold out, and with true joints to judge by.

    Args:
        source: `videos`, `truth` or `coco`.
        params: Of the workspace.
        every: Frames from one picture of a video to the next.
        folder: Videos, instead of the workspace's.
        annotations: COCO's JSON.
        images: Folder of its pictures.

    Raises:
        ConfigError: If a file that the source needs was not named.
        DataError: If there are none.
    """
    if source == "coco":
        if annotations is None or images is None:
            raise ConfigError("pan pose train", ["--source coco: expected --annotations FILE and --images FOLDER"])
        return *_held_out(from_coco(annotations, images)), []
    if folder is not None:
        videos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        if source != "videos" or not videos:
            raise DataError(f"{folder}: expected videos in it, and --source videos")
        return *_held_out(from_videos(videos, _finder(), every=every)), []
    truth = dataset_by_name(params.dataset).truth(paths.RAW)
    split = read_table("clips", paths.CLIPS).groupby(f"split{params.split.splits[0]}")
    parts = {str(name): part for name, part in split}
    judged = [] if truth is None else from_truth(_named(parts["test"]), truth.poses, every=JUDGED_EVERY)
    if source == "truth":
        if truth is None:
            raise DataError(f"{params.dataset}: has no true joints; --source videos learns from a teacher")
        learnt, held_out = (from_truth(_named(parts[name]), truth.poses, every=every) for name in ("train", "val"))
        return learnt, held_out, judged
    finder = _finder()
    learnt, held_out = (from_videos(_paths(parts[name]), finder, every=every) for name in ("train", "val"))
    return learnt, held_out, judged


def _held_out(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """The last tenth is held out, so that frames of one video are rarely on both sides."""
    last = len(pictures) - len(pictures) // HOLD_OUT_EVERY
    return pictures[:last], pictures[last:]


def _named(clips: pd.DataFrame) -> Iterable[tuple[str, Path]]:
    return ((clip.clip_id, paths.RAW / clip.path) for clip in clips.itertuples(index=False))


def _paths(clips: pd.DataFrame) -> list[Path]:
    found = [path for name in dict.fromkeys(clips["path"]) if not is_removed(path := paths.RAW / name)]
    if not found:
        raise DataError(
            "all videos to learn from were removed (pose.keep_video); name a folder of videos with --folder"
        )
    return found


def _finder() -> PoseEstimator:
    return PoseEstimator(
        paths.own_pose_network(), stages=3, search_stages=3, search_size=(432, 368), glance_size=(256, 224),
        crop_size=224, min_joint_score=0.05,
    )  # fmt: skip
