"""Annotated people in photographs: each in a crop, then everybody by one search of the whole picture."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pan_core.benchmark.poses.pose_points import PosePoint
from pan_core.errors import DataError
from pan_core.pose.accuracy import pck
from pan_core.pose.association import match
from pan_core.pose.crops import Square
from pan_core.pose.oks import AnnotatedPicture, average_precision, similarities
from pan_core.skeletons import COCO17, OPENPOSE18, convert

ANNOTATIONS = "person_keypoints.json"
MOST_PEOPLE = 20
LEAST_KEYPOINTS = 5
AROUND_BOX = 1.2
"""Side of a crop over the longer side of the annotated box."""


def measure_photographs(point: PosePoint, folder: Path) -> dict:
    """Accuracy on annotated photographs.

    Args:
        point: What looks at them.
        folder: Pictures and person_keypoints.json, in COCO's form.

    Raises:
        DataError: If the annotations are damaged, a picture is missing, or none shows an annotated person.
    """
    estimator, pairs, searched, scenes = point.extractor().estimator, [], [], []
    for image, people, areas, boxes in _read_pictures(folder):
        squares = [Square(np.array([x + w / 2, y + h / 2]), AROUND_BOX * max(w, h)) for x, y, w, h in boxes]
        looked = estimator.look(image, squares)
        pairs += [(each[0] if len(each) else np.zeros((18, 3)), one) for each, one in zip(looked, people, strict=True)]
        scene = AnnotatedPicture(estimator.search(image), people, areas)
        searched += pair_people(scene)
        scenes.append(scene)
    crops, whole = (tuple(np.stack(side) for side in zip(*each, strict=True)) for each in (pairs, searched))
    return {
        "people": len(pairs), "people_pck_0_1": pck(*crops).overall, "people_pck_0_05": pck(*crops, threshold=0.05).overall,
        "people_search_pck_0_1": pck(*whole).overall, "people_oks_ap": average_precision(scenes, OPENPOSE18),
    }  # fmt: skip


def pair_people(scene: AnnotatedPicture) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each true person (V, 3) of a picture with the one found who is most like them, or with nobody."""
    alike = similarities(scene, OPENPOSE18)
    partner = {column: row for row, column in match(1 - alike, np.full(len(alike), 1.0))}
    return [
        (scene.found[partner[number]] if number in partner else np.zeros_like(one), one)
        for number, one in enumerate(scene.truth)
    ]


def _read_pictures(folder: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, list[list[float]]]]:
    """Picture, people (M, 18, 3), their areas (M,) and boxes of each photograph that shows somebody."""
    try:
        return _read_annotations(folder, json.loads((folder / ANNOTATIONS).read_text()))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / ANNOTATIONS}: not COCO's keypoints of people ({type(error).__name__}: {error})",
            code="benchmark.bad-annotations",
        ) from error


def _read_annotations(folder: Path, content: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, list[list[float]]]]:
    read = []
    for entry in content["images"]:
        marked = [
            one
            for one in content["annotations"]
            if one["image_id"] == entry["id"] and one["num_keypoints"] >= LEAST_KEYPOINTS
        ]
        if not marked:
            continue
        image = cv2.imread(str(folder / entry["file_name"]))
        if image is None:
            raise DataError(
                f"{folder / entry['file_name']}: no picture that can be read, but {ANNOTATIONS} lists it",
                code="benchmark.bad-picture",
            )
        people = convert(np.array([one["keypoints"] for one in marked], float).reshape(-1, 17, 3), COCO17, OPENPOSE18)
        people[:, OPENPOSE18.index("neck"), 2] = 0  # COCO does not annotate it
        read.append((image, people, np.array([one["area"] for one in marked]), [one["bbox"] for one in marked]))
    if not read:
        raise DataError(f"{folder / ANNOTATIONS}: no annotated person", code="benchmark.no-people")
    return read
