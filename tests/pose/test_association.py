"""Distances between poses and one-to-one matching, by hand and against all permutations."""

from itertools import permutations

import numpy as np

from pan_core.pose.association import (
    are_same,
    distinct,
    match,
    person_sizes,
    pose_distances,
    without_joints_outside,
)
from pan_core.pose.tracks import person_scores


def person(x: float, y: float, *, score: float = 1.0) -> np.ndarray:
    """18 joints on a vertical line of 17 pixels that starts at x, y; no limb of it gives a larger stature."""
    joints = np.zeros((18, 3))
    joints[:, 0], joints[:, 1], joints[:, 2] = x, y + np.arange(18) / 1000, score
    joints[17, 1] = y + 17
    return joints


def test_distance_is_the_mean_shift_over_the_size() -> None:
    first, second = person(0, 0), person(3, 4)
    np.testing.assert_allclose(person_sizes(np.stack([first])), [17.0])
    np.testing.assert_allclose(pose_distances(first[None], second[None]), [[5 / 17]])


def test_fewer_than_three_shared_joints_are_no_evidence() -> None:
    first, second = person(0, 0), person(1, 0)
    second[2:, 2] = 0
    assert np.isinf(pose_distances(first[None], second[None])).all()
    second[2, 2] = 0.1
    assert np.isfinite(pose_distances(first[None], second[None])).all()


def test_score_counts_missing_joints() -> None:
    half = person(0, 0, score=0.8)
    half[:9, 2] = 0
    np.testing.assert_allclose(person_scores(half), 0.4)


def test_match_is_the_cheapest_assignment() -> None:
    distances = np.random.default_rng(2).uniform(0, 1, (4, 4))
    best = min(permutations(range(4)), key=lambda order: sum(distances[i, j] for i, j in enumerate(order)))
    assert match(distances, np.ones(4)) == list(enumerate(best))


def test_match_respects_each_gate() -> None:
    distances = np.array([[0.2, 0.9], [np.inf, 0.4]])
    assert match(distances, np.array([0.3, 0.3])) == [(0, 0)]
    assert match(distances, np.array([0.3, 0.5])) == [(0, 0), (1, 1)]
    assert match(np.empty((0, 3)), np.empty(0)) == []


def test_a_person_seen_in_two_crops_counts_once() -> None:
    people = np.stack([person(0, 0, score=0.5), person(1, 0, score=0.9), person(40, 0, score=0.3)])
    kept = distinct(people)
    np.testing.assert_allclose(kept[:, 0, 2], [0.9, 0.3])
    assert distinct(people[:0]).shape == (0, 18, 3)


def test_a_pose_with_half_of_somebody_elses_joints_is_the_same_person_although_it_is_far_on_average() -> None:
    whole, mixed, beside = person(0, 0, score=0.9), person(0, 0, score=0.5), person(25, 0, score=0.4)
    mixed[9:, 0] += 80
    people = np.stack([whole, mixed, beside])
    assert pose_distances(whole[None], mixed[None])[0, 0] > 0.3
    assert are_same(people, people).tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    np.testing.assert_allclose(distinct(people)[:, 0, 2], [0.9, 0.4])
    nobody = np.zeros((1, 18, 3))
    assert not are_same(nobody, nobody).any()


def test_joints_beyond_the_borders_are_not_seen() -> None:
    pose = person(0, 0, score=0.9)
    pose[:4, :2] = [(-1, 5), (5, 40), (39, 29), (-0.4, 29.4)]
    kept = without_joints_outside(pose, np.zeros((30, 40, 3), np.uint8))
    assert kept[:4, 2].tolist() == [0, 0, 0.9, 0.9]
    assert np.isnan(kept[:2, :2]).all() and (pose[:4, 2] == 0.9).all()
