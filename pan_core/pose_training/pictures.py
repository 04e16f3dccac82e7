"""Training pictures, each with a person: from COCO, from drawn actors, or from any video."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from pan_core.errors import DataError
from pan_core.pose.crops import CROP_MARGIN, Square, square_around
from pan_core.pose.estimation import Estimator
from pan_core.pose.pose_set import PoseSet
from pan_core.skeletons import COCO17, OPENPOSE18, convert
from pan_core.video import FrameReader

# Longer side to which pictures are made smaller; a crop at the network's input has half of it.
SIDE = 480
MIN_KEYPOINTS = 5


@dataclass(frozen=True)
class TrainingPicture:
    """A picture and a person in it.

    Attributes:
        image: (H, W, 3) uint8, BGR, or the file that holds it: a large collection does not fit in memory.
        ratio: By what a file's picture is made smaller when it is read; places are those of the smaller one.
        square: Where the person is.
        people: (N, 18, 3) true joints of everybody, score 0 where one is not marked; None if a teacher annotates it.
        unmarked: (K, 4) x, y, width, height of people without marked joints, where nothing is to be learnt.
    """

    image: np.ndarray | Path
    square: Square
    people: np.ndarray | None = None
    unmarked: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    ratio: float = 1.0

    def read(self) -> np.ndarray:
        """The picture (H, W, 3) uint8, BGR.

        Raises:
            DataError: If its file cannot be read any more.
        """
        if isinstance(self.image, np.ndarray):
            return self.image
        image = cv2.imread(str(self.image))
        if image is None:
            raise DataError(
                f"{self.image}: cannot be read as a picture, expected a JPEG or PNG; fetch it again",
                code="pose-training.unreadable-picture",
            )
        return cv2.resize(image, None, fx=self.ratio, fy=self.ratio, interpolation=cv2.INTER_AREA)


def fingerprint(pictures: Sequence[TrainingPicture]) -> str:
    """Hash of the training pictures, or of the names, sizes and times of their files, and of every mark."""
    digest = hashlib.sha256()
    for one in pictures:
        if isinstance(one.image, np.ndarray):
            digest.update(str(one.image.shape).encode() + np.ascontiguousarray(one.image).tobytes())
        else:
            facts = one.image.stat()
            digest.update(f"{one.image.name} {facts.st_size} {facts.st_mtime_ns} {one.ratio}".encode())
        digest.update(np.array([*one.square.centre, one.square.side], float).tobytes())
        digest.update(b"told by a teacher" if one.people is None else one.people.astype(float).tobytes())
        digest.update(one.unmarked.astype(float).tobytes())
    return digest.hexdigest()


def from_coco(annotations: Path, images: Path) -> list[TrainingPicture]:
    """Pictures of COCO's person keypoints, one for each person with at least five marked joints.

    Raises:
        DataError: If the file is no COCO keypoints JSON, or a picture is missing.
    """
    try:
        content = json.loads(annotations.read_bytes())
        files = {entry["id"]: (entry["file_name"], max(entry["width"], entry["height"])) for entry in content["images"]}
        marked: dict[int, list[dict]] = defaultdict(list)
        for entry in content["annotations"]:
            marked[entry["image_id"]].append(entry)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{annotations}: not a COCO keypoints file ({error!r}), such as person_keypoints_train2017.json",
            code="pose-training.no-coco",
        ) from error
    pictures: list[TrainingPicture] = []
    for number, entries in marked.items():
        name, side = files[number]
        if not (images / name).is_file():
            raise DataError(
                f"{images / name}: no such picture, but {annotations} names it", code="pose-training.picture-missing"
            )
        pictures += _read_coco_image(images / name, min(1.0, SIDE / side), entries)
    return pictures


def _read_coco_image(image: Path, ratio: float, entries: list[dict]) -> Iterator[TrainingPicture]:
    whole = [entry for entry in entries if entry.get("num_keypoints", 0) > 0 and not entry.get("iscrowd")]
    given = np.array([entry["keypoints"] for entry in whole], float).reshape(-1, COCO17.size, 3)
    given[..., 2] = given[..., 2] > 0
    people = convert(np.where(given[..., 2:] > 0, given, [np.nan, np.nan, 0.0]), COCO17, OPENPOSE18)
    unmarked = np.array([entry["bbox"] for entry in entries if not any(entry is one for one in whole)]).reshape(-1, 4)
    people, unmarked = people * (ratio, ratio, 1), unmarked * ratio
    for entry in whole:
        if entry["num_keypoints"] >= MIN_KEYPOINTS:
            x, y, width, height = np.array(entry["bbox"]) * ratio
            square = Square(np.array([x + width / 2, y + height / 2]), CROP_MARGIN * max(width, height))
            yield TrainingPicture(image, square, people, unmarked, ratio)


def from_truth(videos: Iterable[tuple[str, Path]], truth: PoseSet, *, every: int) -> list[TrainingPicture]:
    """Every Nth frame of some videos (clip id, path) with true joints; hidden joints are marked, too."""
    pictures: list[TrainingPicture] = []
    for clip_id, video in videos:
        joints = truth.clip(clip_id).joints
        for number, frame in _read_frames(video, every=every):
            people = np.array(joints[:, min(number, joints.shape[1] - 1)], float)
            people = people[(people[..., 2] > 0).sum(axis=1) >= MIN_KEYPOINTS]
            pictures += [TrainingPicture(frame, square_around(person), people) for person in people]
    return pictures


def from_videos(videos: Iterable[Path], estimator: Estimator, *, every: int) -> list[TrainingPicture]:
    """Every Nth frame of some videos in which a person is found, for a teacher to annotate."""
    pictures: list[TrainingPicture] = []
    for video in videos:
        for _, frame in _read_frames(video, every=every):
            found = estimator.search(frame, closely=False)
            pictures += [TrainingPicture(frame, square_around(person)) for person in found[:2]]
    return pictures


def _read_frames(video: Path, *, every: int) -> Iterator[tuple[int, np.ndarray]]:
    with FrameReader(video) as reader:
        for number, frame in enumerate(reader.frames(step=every)):
            ratio = min(1.0, SIDE / max(frame.shape[:2]))
            yield number * every, frame if ratio == 1 else cv2.resize(frame, None, fx=ratio, fy=ratio)
