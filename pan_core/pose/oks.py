"""COCO's measures of keypoints: object keypoint similarity, and the average precision that follows from it.

Every joint's distance is judged by how far human annotators are apart on it, relative to the person's size
(https://cocodataset.org/#keypoints-eval). Joints that COCO does not have, such as the neck, do not count.

Shape letters: N people found, M true people, V joints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pan_core.errors import DataError
from pan_core.pose.accuracy import box_sides
from pan_core.skeletons import SkeletonLayout

# Standard deviation of annotators over the square root of the person's area, by kind of joint.
SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_PEOPLE = 20
# If a person has no outline, the area is estimated as this share of the box around the joints.
AREA_OF_BOX = 0.53


@dataclass(frozen=True)
class AnnotatedPicture:
    """People found in one picture, and the true ones.

    Attributes:
        found: (N, V, 3) poses; score 0 where a joint was not found.
        truth: (M, V, 3) true joints, 0 in the place of the score where a joint is not marked.
        areas: (M,) of the true people in square pixels.
    """

    found: np.ndarray
    truth: np.ndarray
    areas: np.ndarray


def box_areas(truth: np.ndarray) -> np.ndarray:
    """Areas of people by the box around their marked joints, (M, V, 3) -> (M,)."""
    return AREA_OF_BOX * np.maximum(np.nan_to_num(box_sides(truth)), 1.0).prod(axis=-1)


def similarities(picture: AnnotatedPicture, layout: SkeletonLayout) -> np.ndarray:
    """Object keypoint similarity of every person found to every true person, (N, M) in 0..1.

    A joint that was not found is infinitely far away, so that leaving out is not better than guessing.
    """
    counted, sigmas = _coco_joints(layout)
    found, truth = picture.found[:, None, counted], picture.truth[None, :, counted]
    marked = truth[..., 2] > 0
    apart = ((found[..., :2] - truth[..., :2]) ** 2).sum(axis=-1)
    apart = np.where(found[..., 2] > 0, apart, np.inf)
    error = apart / (2 * (2 * sigmas) ** 2 * (picture.areas[None, :, None] + np.spacing(1)))
    close = np.where(marked, np.exp(-np.where(marked, error, 0)), 0.0)
    return close.sum(axis=-1) / np.maximum(marked.sum(axis=-1), 1)


def average_precision(pictures: Sequence[AnnotatedPicture], layout: SkeletonLayout) -> float:
    """Mean over the ten thresholds of OKS of the precision at 101 recalls, as COCO's evaluation has it.

    People without a marked joint are not there.

    Raises:
        DataError: If there is no true person in any picture.
    """
    parts = [_match_people(picture, layout) for picture in pictures]
    scores = np.concatenate([scores for scores, _, _ in parts])
    hits = np.concatenate([hits for _, hits, _ in parts], axis=1)
    people = sum(count for _, _, count in parts)
    if not people:
        raise DataError(
            "no picture shows a person with marked joints, so there is nothing to find", code="oks.no-truth"
        )
    order = np.argsort(-scores, kind="stable")
    return float(np.mean([_area_under_curve(right[order], people) for right in hits]))


def _match_people(picture: AnnotatedPicture, layout: SkeletonLayout) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (N,) of the surest people, who of them was right at each threshold (10, N), and the true people."""
    counted, _ = _coco_joints(layout)
    scores = _average_joint_scores(picture.found)
    best = np.argsort(-scores, kind="stable")[:MAX_PEOPLE]
    real: np.ndarray = np.any(picture.truth[:, counted, 2] > 0, axis=1)
    alike = similarities(picture, layout)[best]
    hits = np.zeros((len(THRESHOLDS), len(best)), bool)
    for row, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(real), bool)
        for person in range(len(best)):
            fits = np.where(free & real, alike[person], -1.0)
            if fits.size and fits.max() >= threshold:
                match = int(fits.argmax())
                free[match], hits[row, person] = False, True
    return scores[best], hits, int(real.sum())


def _average_joint_scores(people: np.ndarray) -> np.ndarray:
    """Score of each person: the mean score of the joints found."""
    return people[..., 2].sum(axis=-1) / np.maximum((people[..., 2] > 0).sum(axis=-1), 1)


def _area_under_curve(hits: np.ndarray, people: int) -> float:
    right = np.cumsum(hits)
    recall, precision = right / people, right / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(at, len(precision))].mean())


def _coco_joints(layout: SkeletonLayout) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the layout's joints that COCO has, and their sigmas."""
    kinds = {index: name.split("_")[-1] for index, name in enumerate(layout.joints)}
    counted = [index for index, kind in kinds.items() if kind in SIGMAS]
    return np.array(counted), np.array([SIGMAS[kinds[index]] for index in counted])
