"""Accuracy of poses: share of correct keypoints (PCK), identity switches and coverage of tracks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.pose.association import match, pose_distances
from pan_core.pose.crops import Square
from pan_core.pose.estimation import Estimator
from pan_core.pose.main_person import main_person
from pan_core.pose.pose_set import PoseSet

# In body sizes: a track whose joints are on average further from a person's is not on them.
TRACK_GATE = 0.3


@dataclass(frozen=True)
class PckResult:
    """Share of correct keypoints.

    Attributes:
        overall: Over all visible joints; NaN where there are none.
        per_joint: (V,), NaN where a joint is never visible.
        counted: (V,) how often each joint was visible.
    """

    overall: float
    per_joint: np.ndarray
    counted: np.ndarray


def box_sides(truth: np.ndarray) -> np.ndarray:
    """Width and height of the box around the visible true joints, (..., V, 3) -> (..., 2); NaN where none is visible."""
    places = np.where(truth[..., 2:] > 0, truth[..., :2], np.nan)
    return np.fmax.reduce(places, axis=-2) - np.fmin.reduce(places, axis=-2)


def box_sizes(truth: np.ndarray) -> np.ndarray:
    """Longer side of that box, (..., V, 3) -> (...)."""
    return box_sides(truth).max(axis=-1)


def visible(truth: np.ndarray) -> np.ndarray:
    """Joints of drawn people (..., 3) without the hidden ones, whose visibility is between 0 and 1."""
    true = truth.copy()
    true[..., 2] = true[..., 2] >= 1
    return true


def found_in_crops(
    estimator: Estimator, people: Iterable[tuple[np.ndarray, Square, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Find people in crops around their true place, each by itself: a tracker would change the crops of later frames.

    Args:
        estimator: Looks into the crops.
        people: Frame, place and true joints (V, 3) of each person.

    Returns:
        Found and true joints (N, V, 3), for `pck`; if no person is found, every joint counts as missed; hidden joints do not count.
    """
    found, true = [], []
    for frame, square, person in people:
        (there,) = estimator.look(frame, [square])
        found.append(there[0] if len(there) else np.zeros_like(person))
        true.append(visible(person))
    return np.stack(found), np.stack(true)


def pck(
    predicted: np.ndarray, truth: np.ndarray, *, threshold: float = 0.1, scale: np.ndarray | None = None
) -> PckResult:
    """Share of visible true joints that were found within `threshold` x `scale` of their place.

    A joint that was not predicted counts as wrong. Joints without truth do not count.

    Args:
        predicted: (..., V, 3) x, y, score; score 0 where a joint was not found.
        truth: (..., V, 3) x, y, visibility; visibility 0 where there is no truth.
        threshold: Allowed distance as a share of the scale.
        scale: (...) size of each person in pixels; by default `box_sizes(truth)`.

    Raises:
        DataError: If the shapes do not fit.
    """
    if predicted.shape != truth.shape or truth.ndim < 2 or truth.shape[-1] != 3:
        raise DataError(
            f"Expected two arrays of shape (..., V, 3), but got {predicted.shape} and {truth.shape}", code="pck.shape"
        )
    size = box_sizes(truth) if scale is None else np.asarray(scale, float)
    if size.shape != truth.shape[:-2]:
        raise DataError(f"Expected `scale` to have shape {truth.shape[:-2]}, but got {size.shape}", code="pck.scale")
    visible = truth[..., 2] > 0
    apart = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    with np.errstate(invalid="ignore"):
        correct = visible & (predicted[..., 2] > 0) & (apart <= threshold * size[..., None])
    axes = tuple(range(visible.ndim - 1))
    counted, right = visible.sum(axis=axes), correct.sum(axis=axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return PckResult(float(np.divide(right.sum(), counted.sum())), right / counted, counted)


@dataclass(frozen=True)
class TrackResult:
    """How well people were followed.

    Attributes:
        switches: How often a person was taken up by another track than the one that had them last.
        covered: Share of the frames with a person in view, summed over people, in which a track was on them.
        frames: Those frames.
    """

    switches: int
    covered: float
    frames: int


def track_accuracy(tracks: np.ndarray, truth: np.ndarray) -> TrackResult:
    """Identity switches and coverage of tracks, matched to people frame by frame with the least total distance.

    Args:
        tracks: (N, T, V, 3), score 0 where a joint was not found.
        truth: (M, T, V, 3) x, y, visibility; a person without a visible joint is not in view.

    Raises:
        DataError: If the shapes do not fit.
    """
    if tracks.shape[1:] != truth.shape[1:]:
        raise DataError(
            f"Expected tracks and truth of the same (T, V, 3), but got {tracks.shape} and {truth.shape}",
            code="tracks.shape",
        )
    last: dict[int, int] = {}
    switches = covered = frames = 0
    for t in range(truth.shape[1]):
        there = np.flatnonzero((truth[:, t, :, 2] > 0).any(axis=1))
        seen = np.flatnonzero((tracks[:, t, :, 2] > 0).any(axis=1))
        frames += len(there)
        distances = pose_distances(truth[there, t], tracks[seen, t])
        for row, column in match(distances, np.full(len(there), TRACK_GATE)):
            person, track = int(there[row]), int(seen[column])
            switches += last.get(person, track) != track
            last[person] = track
            covered += 1
    return TrackResult(switches, covered / frames if frames else float("nan"), frames)


def accuracy_of(poses: PoseSet, truth: PoseSet, clip_ids: pd.Series) -> dict:
    """PCK of skeletons over all true joints of some clips; if no person was found, every joint counts as missed."""
    pairs = [_pair_with_truth(poses, truth, clip_id) for clip_id in clip_ids]
    found, true = (np.concatenate(side) for side in zip(*pairs, strict=True))
    result, strict = pck(found, true, threshold=0.1), pck(found, true, threshold=0.05)
    per_joint = zip(poses.layout.joints, result.per_joint, strict=True)
    return {
        "pck_0_1": result.overall,
        "pck_0_05": strict.overall,
        "pck_by_joint": {name: None if np.isnan(value) else float(value) for name, value in per_joint},
    }


def _pair_with_truth(poses: PoseSet, truth: PoseSet, clip_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Found and true joints of a clip's actor, (T, V, 3) each; hidden joints do not count as truth."""
    true = truth.clip(clip_id).joints[0].copy()
    true[..., 2] = true[..., 2] >= 1
    found = poses.clip(clip_id).joints if clip_id in poses else np.empty((0, 0))
    if not len(found):
        return np.zeros_like(true), true
    return found[main_person(found)], true[np.linspace(0, len(true) - 1, found.shape[1]).round().astype(int)]
