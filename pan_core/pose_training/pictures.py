"""What the network learns from: pictures with a person in each, from COCO, from drawn actors, or from any video."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from pan_core.errors import DataError
from pan_core.pose.crops import CROP_MARGIN, Square, square_around
from pan_core.pose.estimation import Estimator
from pan_core.pose.store import PoseSet
from pan_core.skeletons import COCO17, OPENPOSE18, convert
from pan_core.video import FrameReader

# Longer side to which pictures are made smaller; a crop at the network's input has half of it.
SIDE = 480
MIN_KEYPOINTS = 5


@dataclass(frozen=True)
class TrainingPicture:
    """A picture and a person in it.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        square: Where the person is.
        people: (N, 18, 3) true joints of everybody, score 0 where one is not marked; None where a teacher is to tell.
        unmarked: (K, 4) x, y, width, height of people without marked joints, where nothing is to be learnt.
    """

    image: np.ndarray
    square: Square
    people: np.ndarray | None = None
    unmarked: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))


def from_coco(annotations: Path, images: Path) -> list[TrainingPicture]:
    """Pictures of COCO's person keypoints, one for each person with at least five marked joints.

    Raises:
        DataError: Where the file is no COCO keypoints JSON, or a picture is missing.
    """
    try:
        content = json.loads(annotations.read_text())
        names = {entry["id"]: entry["file_name"] for entry in content["images"]}
        marked: dict[int, list[dict]] = defaultdict(list)
        for entry in content["annotations"]:
            marked[entry["image_id"]].append(entry)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{annotations}: not a COCO keypoints file ({error!r}), such as person_keypoints_train2017.json"
        ) from error
    pictures: list[TrainingPicture] = []
    for number, entries in marked.items():
        image = cv2.imread(str(images / names[number]))
        if image is None:
            raise DataError(f"{images / names[number]}: no such picture, but {annotations} names it")
        pictures += _of_coco_image(image, entries)
    return pictures


def _of_coco_image(image: np.ndarray, entries: list[dict]) -> Iterator[TrainingPicture]:
    whole = [entry for entry in entries if entry.get("num_keypoints", 0) > 0 and not entry.get("iscrowd")]
    given = np.array([entry["keypoints"] for entry in whole], float).reshape(-1, COCO17.size, 3)
    given[..., 2] = given[..., 2] > 0
    people = convert(np.where(given[..., 2:] > 0, given, [np.nan, np.nan, 0.0]), COCO17, OPENPOSE18)
    unmarked = np.array([entry["bbox"] for entry in entries if not any(entry is one for one in whole)]).reshape(-1, 4)
    ratio = min(1.0, SIDE / max(image.shape[:2]))
    image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    for entry in whole:
        if entry["num_keypoints"] >= MIN_KEYPOINTS:
            x, y, width, height = np.array(entry["bbox"]) * ratio
            square = Square(np.array([x + width / 2, y + height / 2]), CROP_MARGIN * max(width, height))
            yield TrainingPicture(image, square, people * (ratio, ratio, 1), unmarked * ratio)


def from_truth(videos: Iterable[tuple[str, Path]], truth: PoseSet, *, every: int) -> list[TrainingPicture]:
    """Every so manieth frame of some videos (clip id, path) with true joints; hidden joints are marked, too."""
    pictures: list[TrainingPicture] = []
    for clip_id, video in videos:
        joints = truth.clip(clip_id).joints
        for number, frame in _frames(video, every=every):
            people = np.array(joints[:, min(number, joints.shape[1] - 1)], float)
            people = people[(people[..., 2] > 0).sum(axis=1) >= MIN_KEYPOINTS]
            pictures += [TrainingPicture(frame, square_around(person), people) for person in people]
    return pictures


def from_videos(videos: Iterable[Path], estimator: Estimator, *, every: int) -> list[TrainingPicture]:
    """Every so manieth frame of some videos in which somebody is found, for a teacher to tell what is to be seen."""
    pictures: list[TrainingPicture] = []
    for video in videos:
        for _, frame in _frames(video, every=every):
            found = estimator.search(frame, closely=False)
            pictures += [TrainingPicture(frame, square_around(person)) for person in found[:2]]
    return pictures


def _frames(video: Path, *, every: int) -> Iterator[tuple[int, np.ndarray]]:
    with FrameReader(video) as reader:
        for number, frame in enumerate(reader.frames(step=every)):
            ratio = min(1.0, SIDE / max(frame.shape[:2]))
            yield number * every, frame if ratio == 1 else cv2.resize(frame, None, fx=ratio, fy=ratio)
