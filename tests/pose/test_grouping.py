"""Grouping on maps that are painted from known people."""

import math

import numpy as np
import pytest

from pan_core.pose.grouping import (
    GroupingSettings,
    HeatmapPeaks,
    assemble_people,
    cells_to_pixels,
    find_peaks,
    group_people,
    score_limbs,
)
from pan_core.pose.maps import LIMB_JOINTS, LIMB_MAPS
from pan_core.skeletons import OPENPOSE18

SETTINGS = GroupingSettings()
# A standing person, 20 cells high, seen from the front; x, y in cells relative to the neck.
STANDING = np.array([
    (0, -2), (0, 0), (-2, 0), (-3, 3), (-3, 6), (2, 0), (3, 3), (3, 6), (-1.3, 6), (-1.3, 10), (-1.3, 14),
    (1.3, 6), (1.3, 10), (1.3, 14), (-0.6, -2.7), (0.6, -2.7), (-1.3, -2.2), (1.3, -2.2),
])  # fmt: skip


def paint(people: list[np.ndarray], *, height: int = 28, width: int = 40) -> np.ndarray:
    """Maps (57, h, w) as the network was trained to give them: Gaussians, and unit vectors along the limbs."""
    maps = np.zeros((57, height, width), np.float32)
    y, x = np.mgrid[:height, :width]
    for person in people:
        for joint, (px, py) in enumerate(person):
            maps[joint] = np.maximum(maps[joint], np.exp(-((x - px) ** 2 + (y - py) ** 2) / 2))
        for (a, b), channel in zip(LIMB_JOINTS, LIMB_MAPS, strict=True):
            line = person[b] - person[a]
            length = np.linalg.norm(line)
            unit = line / length
            along = (x - person[a][0]) * unit[0] + (y - person[a][1]) * unit[1]
            across = np.abs((x - person[a][0]) * unit[1] - (y - person[a][1]) * unit[0])
            on = (along >= -0.5) & (along <= length + 0.5) & (across <= 1)
            maps[19 + channel][on], maps[20 + channel][on] = unit
    return maps


def test_limbs_are_the_bones_of_the_layout_and_the_two_shoulder_ear_limbs() -> None:
    limbs = {tuple(int(j) for j in limb) for limb in LIMB_JOINTS}
    assert limbs == set(OPENPOSE18.bones) | {(2, 16), (5, 17)}
    assert sorted(LIMB_MAPS) == list(range(0, 38, 2))


@pytest.mark.parametrize("place", [(10.0, 7.0), (10.3, 6.8), (0.2, 0.0), (38.9, 26.6)])
def test_peak_of_a_gaussian_is_found_between_the_cells(place: tuple[float, float]) -> None:
    y, x = np.mgrid[:28, :40]
    confidence = np.zeros((18, 28, 40), np.float32)
    confidence[4] = 0.8 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 2)
    peaks = find_peaks(confidence, min_score=0.1)
    assert peaks.joint.tolist() == [4]
    # At the border one neighbour is missing, so the place is only known to the cell.
    inside = 1 <= place[0] <= 38 and 1 <= place[1] <= 25
    np.testing.assert_allclose(peaks.place[0], place, atol=1e-3 if inside else 0.6)


def test_peaks_keep_only_the_highest_of_each_joint() -> None:
    confidence = np.zeros((18, 9, 30), np.float32)
    confidence[0, 4, 2::4] = np.linspace(0.2, 0.9, 7)
    confidence[3, 2, 2] = 0.5
    peaks = find_peaks(confidence, min_score=0.1, limit=2)
    assert peaks.joint.tolist() == [0, 0, 3]
    np.testing.assert_allclose(peaks.score, [0.9, 0.9 - 0.7 / 6, 0.5], atol=1e-6)


def slow_limb_score(affinity: np.ndarray, channel: int, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """One limb, one sample after the other: score and share of agreeing samples."""
    length = math.dist(a, b)
    values = []
    for step in range(10):
        x, y = (a[i] + (b[i] - a[i]) * step / 9 for i in (0, 1))
        column = min(max(round(x), 0), affinity.shape[2] - 1)
        row = min(max(round(y), 0), affinity.shape[1] - 1)
        vector = affinity[channel, row, column], affinity[channel + 1, row, column]
        values.append((vector[0] * (b[0] - a[0]) + vector[1] * (b[1] - a[1])) / length)
    score = sum(values) / 10 + min(0.5 * affinity.shape[1] / length - 1, 0)
    return score, sum(v > SETTINGS.min_affinity for v in values) / 10


def test_limb_scores_equal_a_slow_evaluation() -> None:
    rng = np.random.default_rng(5)
    affinity = rng.uniform(-0.2, 1.0, (38, 20, 24)).astype(np.float32)
    joints = np.repeat(np.arange(18), 3)
    peaks = HeatmapPeaks(joints, rng.uniform((0, 0), (23, 19), (54, 2)), np.full(54, 0.5))
    pairs, scores = score_limbs(affinity, peaks, settings=SETTINGS)
    expected = {}
    for (first, second), channel in zip(LIMB_JOINTS, LIMB_MAPS, strict=True):
        for a in np.flatnonzero(joints == first):
            for b in np.flatnonzero(joints == second):
                score, share = slow_limb_score(affinity, channel, peaks.place[a], peaks.place[b])
                if share >= SETTINGS.min_agreement and score > 0:
                    expected[int(a), int(b)] = score
    assert 0 < len(expected) < 19 * 9
    found = {(int(a), int(b)): float(score) for (a, b), score in zip(pairs, scores, strict=True)}
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[k] for k in expected], list(expected.values()), atol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_two_parts_with_the_same_joint_are_not_merged() -> None:
    # Two necks (0, 1), two right shoulders (2, 3): the third limb would give one person two necks.
    peaks = HeatmapPeaks(np.array([1, 1, 2, 2]), np.zeros((4, 2)), np.ones(4))
    members = assemble_people(peaks, np.array([(0, 2), (1, 3), (0, 3)]))
    assert sorted(tuple(row[1:3].tolist()) for row in members) == [(0, 2), (1, 3)]


@pytest.mark.parametrize("offset", [12.0, 5.0, 3.4])
def test_two_people_side_by_side(offset: float) -> None:
    people = [STANDING + np.array(neck) for neck in ((10.2, 8.1), (10.2 + offset, 9.4))]
    found = group_people(paint(people), settings=SETTINGS)
    assert found.shape == (2, 18, 3)
    order = np.argsort(found[:, 1, 0])
    np.testing.assert_allclose(found[order][..., :2], people, atol=0.6)
    assert (found[..., 2] > 0.5).all()


def test_missing_joints_are_nan_with_score_zero() -> None:
    maps = paint([STANDING + np.array([15, 8])])
    maps[[4, 10]] = 0.0
    (person,) = group_people(maps, settings=SETTINGS)
    assert np.flatnonzero(person[:, 2] == 0).tolist() == [4, 10]
    assert np.isnan(person[[4, 10], :2]).all()


def test_an_empty_picture_has_nobody() -> None:
    assert group_people(np.zeros((57, 10, 10), np.float32), settings=SETTINGS).shape == (0, 18, 3)


def test_first_cell_is_centred_between_the_fourth_and_fifth_pixel() -> None:
    np.testing.assert_allclose(cells_to_pixels(np.array([[0.0, 2.0, 0.7]])), [[3.5, 19.5, 0.7]])
