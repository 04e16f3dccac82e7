"""Association of detected people: distances between poses and one-to-one matching."""

import numpy as np

from pan_core.pose.assignment import assign
from pan_core.pose.crops import statures
from pan_core.pose.tracks import person_scores

MIN_SHARED_JOINTS = 3
# In body sizes: two poses closer than this are one person seen twice.
SAME_PERSON_GATE = 0.1
# So are two of which such a share of the joints, of the pose with fewer, lie so close to each other.
SAME_JOINT_GATE = 0.1
SAME_JOINTS_SHARE = 0.4
# Finite, so that the assignment stays solvable; far above any distance that can be accepted.
_IMPOSSIBLE = 1e6


def person_sizes(people: np.ndarray) -> np.ndarray:
    """Size of each person in pixels, (N, V, 3) -> (N,), at least 1.

    The larger one of the box around the joints and the stature by the limbs: somebody who crouches, or of whom
    only the head was found, is not small.
    """
    if not len(people):
        return np.empty(0)
    places = np.where(people[..., 2:] > 0, people[..., :2], np.nan)
    spans = np.nanmax(places, axis=1) - np.nanmin(places, axis=1)
    return np.maximum(np.maximum(spans.max(axis=1), statures(people)), 1.0)


def pose_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean distance of the joints that both poses have, over the larger person's size.

    Args:
        first: (N, V, 3).
        second: (M, V, 3).

    Returns:
        (N, M); infinite where fewer than three joints are shared.
    """
    return _mean_distances(*_joint_distances(first, second))


def are_same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether two poses are one person seen twice, (N, V, 3) and (M, V, 3) -> (N, M).

    A pose that mixes two people is on average far from both, but most of its joints are on one of them.
    """
    both, apart, sizes = _joint_distances(first, second)
    near = (both & (apart < SAME_JOINT_GATE * sizes[..., None])).sum(axis=-1)
    fewer = np.minimum((first[..., 2] > 0).sum(axis=1)[:, None], (second[..., 2] > 0).sum(axis=1)[None])
    return (near >= np.maximum(SAME_JOINTS_SHARE * fewer, 1)) | (_mean_distances(both, apart, sizes) < SAME_PERSON_GATE)


def _joint_distances(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether both poses have a joint and its distance in pixels, each (N, M, V); the larger person's size, (N, M)."""
    both = (first[:, None, :, 2] > 0) & (second[None, :, :, 2] > 0)
    apart = np.linalg.norm(first[:, None, :, :2] - second[None, :, :, :2], axis=-1)
    return both, apart, np.maximum(person_sizes(first)[:, None], person_sizes(second)[None])


def _mean_distances(both: np.ndarray, apart: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    shared = both.sum(axis=-1)
    total = np.where(both, apart, 0.0).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(shared >= MIN_SHARED_JOINTS, total / shared / sizes, np.inf)


def without_joints_outside(people: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Poses (..., V, 3) without the joints beyond the borders of a frame (H, W, 3), which a network guesses but nobody sees."""
    x, y = people[..., 0], people[..., 1]
    outside = (x < -0.5) | (y < -0.5) | (x > frame.shape[1] - 0.5) | (y > frame.shape[0] - 0.5)
    return np.where(outside[..., None], (np.nan, np.nan, 0.0), people)


def match(distances: np.ndarray, gates: np.ndarray) -> list[tuple[int, int]]:
    """One-to-one pairs with the least total distance.

    Args:
        distances: (N, M).
        gates: (N,) largest distance that each row accepts.

    Returns:
        Pairs (row, column), each within the row's gate.
    """
    if not distances.size:
        return []
    allowed = distances <= gates[:, None]
    return [pair for pair in assign(np.where(allowed, distances, _IMPOSSIBLE)) if allowed[pair]]


def distinct(people: np.ndarray) -> np.ndarray:
    """People without repetitions: of two poses that are one person the one with the higher score stays, (N, V, 3)."""
    people = people[np.argsort(-person_scores(people), kind="stable")]
    close = are_same(people, people)
    kept: list[int] = []
    for person in range(len(people)):
        if not close[person, kept].any():
            kept.append(person)
    return people[kept]
