"""Which pictures are learnt from, held out and judged, for each source."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from bad_videos import encode
from refusals import refused

from pan_core.pose.crops import Square
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.pose.records import record_of
from pan_core.pose_training.sources import (
    VideoDataset,
    add_folders,
    split_coco,
    split_folder,
    split_truth,
    split_videos,
)
from pan_core.skeletons import OPENPOSE18


class FindsOne:
    """Finds one person at the same place in every frame."""

    searches_crops = False

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        return standing()[None]

    def look(self, frame: np.ndarray, squares: list[Square]) -> list[np.ndarray]:
        raise AssertionError("no crop is looked at")


def standing() -> np.ndarray:
    """18 joints, each at its own place."""
    return np.column_stack([np.linspace(20, 40, 18), np.linspace(10, 50, 18), np.ones(18)])


@pytest.fixture
def dataset(tmp_path: Path) -> VideoDataset:
    """A video of 24 frames in each part, with one person whose joints are known."""
    names = ("train", "val", "test")
    for name in names:
        encode(tmp_path / f"{name}.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 24)
    joints = np.repeat(standing()[None, None], 24, axis=1).astype(np.float32)
    write_pose_set(tmp_path / "truth", OPENPOSE18, [ClipPoses(name, joints, 15.0, 64, 64, "drawn") for name in names])
    parts = {name: pd.DataFrame({"clip_id": [name], "path": [f"{name}.mp4"]}) for name in names}
    return VideoDataset("drawn", tmp_path, parts, PoseSet(tmp_path / "truth"))


def without_truth(dataset: VideoDataset) -> VideoDataset:
    return VideoDataset(dataset.name, dataset.folder, dataset.parts, None)


def test_true_joints_follow_the_parts_of_the_dataset(dataset: VideoDataset) -> None:
    split = split_truth(dataset, every=6)
    assert [len(part) for part in split] == [4, 4, 2]  # frames 0, 6, 12, 18; frames 0 and 12 judge
    np.testing.assert_allclose(split.learnt[0].people[0], standing(), rtol=1e-6)
    with refused("pose-training.no-truth"):
        split_truth(without_truth(dataset), every=6)


def test_a_teacher_annotates_the_frames_in_which_somebody_is_found(dataset: VideoDataset) -> None:
    split = split_videos(dataset, FindsOne(), every=8)
    assert [len(part) for part in split] == [3, 3, 2]
    assert all(picture.people is None for picture in split.learnt + split.held_out)
    assert split_videos(without_truth(dataset), FindsOne(), every=8).judged == []


def test_removed_videos_cannot_be_learnt_from(dataset: VideoDataset) -> None:
    video = dataset.folder / "train.mp4"
    video.unlink()
    record_of(video).touch()
    with refused("pose-training.videos-removed"):
        split_videos(without_truth(dataset), FindsOne(), every=8)


def test_of_a_folder_the_last_tenth_is_held_out(dataset: VideoDataset, tmp_path: Path) -> None:
    split = split_folder(dataset.folder, FindsOne(), every=2)
    assert [len(part) for part in split] == [33, 3, 0]
    (tmp_path / "empty").mkdir()
    with refused("pose-training.no-videos"):
        split_folder(tmp_path / "empty", FindsOne(), every=2)


def test_videos_of_more_folders_follow_those_that_are_there(dataset: VideoDataset, tmp_path: Path) -> None:
    split = split_truth(dataset, every=6)
    more = add_folders(split, dataset.folder, None, FindsOne(), every=12)
    assert more.learnt[: len(split.learnt)] == split.learnt
    assert [picture.people for picture in more.learnt[len(split.learnt) :]] == [
        None
    ] * 6  # three videos, frames 0 and 12
    assert (more.held_out, more.judged) == (split.held_out, split.judged)
    assert len(add_folders(split, None, dataset.folder, FindsOne(), every=12).held_out) == len(split.held_out) + 6
    with refused("pose-training.no-videos"):
        add_folders(split, tmp_path / "absent", None, FindsOne(), every=12)


def test_of_coco_the_last_tenth_is_held_out(tmp_path: Path) -> None:
    marks = {"num_keypoints": 17, "keypoints": [20, 30, 2] * 17, "bbox": [10, 20, 20, 30]}
    content: dict[str, list] = {"images": [], "annotations": []}
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((72, 96, 3), 90, np.uint8))
        content["images"].append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 72})
        content["annotations"].append({"image_id": number, **marks})
    (tmp_path / "marks.json").write_text(json.dumps(content))
    split = split_coco(tmp_path / "marks.json", tmp_path)
    assert [len(part) for part in split] == [18, 2, 0]
    assert [picture.image.name for picture in split.held_out] == ["18.png", "19.png"]
