"""From confidence maps and part affinity fields to people: the grouping of Cao et al. (2017), OpenPose.

Peaks of the confidence maps are joint candidates. A limb joins two of them with the mean of the affinity field
along the straight line between them, projected on its direction. Limbs are then accepted best first, over all
limb types at once, and each merges two part people unless both already have the same joint.

Places are in cells of the maps here, (0, 0) at the centre of the first one; `cells_to_pixels` brings them into the
network's input. Shape letters: P peaks, C limb candidates, N people, V = 18 joints, h x w cells.
"""

from dataclasses import dataclass

import numpy as np

from pan_core.pose.maps import CONFIDENCE_MAPS, JOINTS, LIMB_JOINTS, LIMB_MAPS, STRIDE

LINE_SAMPLES = 10
MAX_PEAKS_PER_JOINT = 24
_TINY = 1e-6
# Number of the limb from one joint to another, -1 where there is none.
_LIMB_OF_JOINTS = np.full((JOINTS, JOINTS), -1)
_LIMB_OF_JOINTS[LIMB_JOINTS[:, 0], LIMB_JOINTS[:, 1]] = np.arange(len(LIMB_JOINTS))


@dataclass(frozen=True)
class GroupingSettings:
    """Thresholds of the grouping.

    Attributes:
        min_joint_score: Lowest confidence of a joint candidate.
        min_affinity: A sample on the line agrees with a limb from this projected affinity on.
        min_agreement: Share of the samples that must agree.
        min_joints: People with fewer joints are dropped.
    """

    min_joint_score: float = 0.05
    min_affinity: float = 0.05
    min_agreement: float = 0.7
    min_joints: int = 4


@dataclass(frozen=True)
class HeatmapPeaks:
    """Joint candidates: their joint (P,), place in cells (P, 2) as x, y, and confidence (P,)."""

    joint: np.ndarray
    place: np.ndarray
    score: np.ndarray


def find_peaks(confidence: np.ndarray, *, min_score: float, limit: int = MAX_PEAKS_PER_JOINT) -> HeatmapPeaks:
    """Local maxima in a 3x3 neighbourhood, refined below one cell.

    The maps were trained to be Gaussians, whose logarithm is a parabola: three values a side give its vertex.

    Args:
        confidence: (V, h, w) confidence maps without the background.
        min_score: Lowest value of a peak.
        limit: At most so many peaks a joint, the highest first.
    """
    padded = np.pad(confidence, ((0, 0), (1, 1), (1, 1)), constant_values=-1.0)
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    highest = np.maximum(np.maximum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])
    joint, y, x = np.nonzero((confidence >= highest) & (confidence >= min_score))
    score = confidence[joint, y, x]
    order = np.lexsort((-score, joint))
    joint, y, x, score = joint[order], y[order], x[order], score[order]
    rank = np.arange(len(joint)) - np.searchsorted(joint, joint)
    joint, y, x, score = (values[rank < limit] for values in (joint, y, x, score))
    logarithm = np.log(np.maximum(padded, _TINY))
    row, column = y + 1, x + 1  # in the padded maps
    centre = logarithm[joint, row, column]
    shift_x = _vertex_shift(logarithm[joint, row, column - 1], centre, logarithm[joint, row, column + 1])
    shift_y = _vertex_shift(logarithm[joint, row - 1, column], centre, logarithm[joint, row + 1, column])
    return HeatmapPeaks(joint, np.stack([x + shift_x, y + shift_y], axis=1), np.clip(score, 0.0, 1.0))


def _vertex_shift(before: np.ndarray, centre: np.ndarray, after: np.ndarray) -> np.ndarray:
    curvature = before - 2 * centre + after
    shift = np.where(curvature < -_TINY, 0.5 * (before - after) / np.minimum(curvature, -_TINY), 0.0)
    return np.clip(shift, -0.5, 0.5)


def score_limbs(
    affinity: np.ndarray, peaks: HeatmapPeaks, *, settings: GroupingSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Line integrals of the affinity field over every possible limb (Cao et al., equations 10 and 11).

    A limb longer than half the picture loses score, as in OpenPose, so that it does not reach over to a neighbour.

    Args:
        affinity: (38, h, w).
        peaks: Joint candidates.
        settings: Thresholds.

    Returns:
        Pairs of peaks (C, 2) that pass, and their scores (C,), best first.
    """
    limbs = _LIMB_OF_JOINTS[peaks.joint[:, None], peaks.joint[None]]
    start, end = np.nonzero(limbs >= 0)
    line = peaks.place[end] - peaks.place[start]
    length = np.maximum(np.linalg.norm(line, axis=1), _TINY)
    steps = np.linspace(0.0, 1.0, LINE_SAMPLES)
    points = peaks.place[start, None] + steps[None, :, None] * line[:, None]  # (C, samples, 2)
    height, width = affinity.shape[1:]
    column = np.clip(np.rint(points[..., 0]).astype(np.intp), 0, width - 1)
    row = np.clip(np.rint(points[..., 1]).astype(np.intp), 0, height - 1)
    channel = LIMB_MAPS[limbs[start, end]][:, None]
    along = affinity[channel, row, column] * line[:, :1] + affinity[channel + 1, row, column] * line[:, 1:]
    along /= length[:, None]
    score = along.mean(axis=1) + np.minimum(0.5 * height / length - 1.0, 0.0)
    agreement = (along > settings.min_affinity).mean(axis=1)
    passed = np.flatnonzero((agreement >= settings.min_agreement) & (score > 0))
    passed = passed[np.argsort(-score[passed], kind="stable")]
    return np.stack([start[passed], end[passed]], axis=1), score[passed]


def assemble_people(peaks: HeatmapPeaks, pairs: np.ndarray) -> np.ndarray:
    """Merge peaks into people, best limb first.

    Args:
        peaks: Joint candidates.
        pairs: (C, 2) peaks that a limb joins, best first.

    Returns:
        (N, V) index of each person's peaks, -1 where a joint is missing.
    """
    people: dict[int, np.ndarray] = {}
    owner = np.arange(len(peaks.joint))
    for start, end in pairs:
        first, second = int(owner[start]), int(owner[end])
        if first == second:
            continue
        mine, theirs = _members_of(people, peaks, first), _members_of(people, peaks, second)
        if ((mine >= 0) & (theirs >= 0)).any():
            continue
        people[first] = np.maximum(mine, theirs)
        people.pop(second, None)
        owner[owner == second] = first
    return np.stack(list(people.values())) if people else np.empty((0, JOINTS), np.intp)


def _members_of(people: dict[int, np.ndarray], peaks: HeatmapPeaks, key: int) -> np.ndarray:
    if key in people:
        return people[key]
    alone = np.full(JOINTS, -1, np.intp)
    alone[peaks.joint[key]] = key
    return alone


def group_people(maps: np.ndarray, *, settings: GroupingSettings) -> np.ndarray:
    """All people in one picture, the most completely seen first.

    Args:
        maps: (57, h, w) output of the network, S before L.
        settings: Thresholds.

    Returns:
        (N, V, 3): x and y in cells, score; NaN, NaN, 0 where a joint is missing.
    """
    peaks = find_peaks(maps[:JOINTS], min_score=settings.min_joint_score)
    pairs, _ = score_limbs(maps[CONFIDENCE_MAPS:], peaks, settings=settings)
    members = assemble_people(peaks, pairs)
    members = members[(members >= 0).sum(axis=1) >= settings.min_joints]
    people = np.full((len(members), JOINTS, 3), np.nan)
    people[..., 2] = 0.0
    person, joint = np.nonzero(members >= 0)
    chosen = members[person, joint]
    people[person, joint, :2] = peaks.place[chosen]
    people[person, joint, 2] = peaks.score[chosen]
    return people[np.argsort(-people[..., 2].sum(axis=1), kind="stable")]


def cells_to_pixels(people: np.ndarray) -> np.ndarray:
    """Places in cells to pixels of the network's input, (..., 3) x, y, score.

    Pixel centres are whole numbers, and the centre of a cell lies between its fourth and fifth pixel.
    """
    pixels = people.copy()
    pixels[..., :2] = (people[..., :2] + 0.5) * STRIDE - 0.5
    return pixels
