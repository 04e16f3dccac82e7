"""What the network reads of a pose: numbers per joint that do not depend on where or how large a person is.

Per joint: its place relative to a reference point, its place relative to the root joint, its bone, its motion over
short and long lags, its score, and its distances to all joints. Lengths are in body sizes.

The two input modes differ in what they may look at, never in what a number means:

- *clip*: the whole clip is known. Reference and body size are means over the clip; motion is measured ahead too.
- *online*: frame t is described by frames up to t. Reference and body size are running means that forget.
  `pan_core.model.online` computes the same numbers frame by frame.

Shapes: B clips, T frames, V joints, D joint features; `...` stands for any leading axes.
"""

import numpy as np

from pan_core.errors import DataError
from pan_core.model.missing import UnseenPlacer, bridge_gaps, hold_last, seen_joints
from pan_core.skeletons import SkeletonLayout

MODES = ("clip", "online")

LAGS = {"clip": (1, 4, -1, -4), "online": (1, 2, 4, 8)}
"""Frames over which motion is measured: short ones catch strikes, long ones slow displacement. A negative lag looks
ahead: how far a joint is from where it will be."""

FORGETTING = 1 - 1 / 60
"""What is kept per frame of the running means: they follow a person who walks away within some seconds."""

BOUND = 20.0
"""Largest magnitude of a feature, so that one wild joint cannot drive the network out of its range."""

EXTENT_SHARE = 0.2
"""Least body size as a share of the diagonal around the joints; a torso seen from its end is nearly a point."""


class BodyFrame:
    """Measures of one pose: its root place and its size.

    Args:
        layout: Says which joints are root and torso.
    """

    def __init__(self, layout: SkeletonLayout) -> None:
        self._root = list(layout.root)
        self._upper, self._lower = (list(group) for group in layout.torso)

    def root(self, places: np.ndarray) -> np.ndarray:
        """Mean place of the root joints, (..., V, 2) -> (..., 2)."""
        return places[..., self._root, :].mean(axis=-2)

    def size(self, places: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Body size in pixels: the torso length, but at least `EXTENT_SHARE` of the diagonal around the seen joints.

        Args:
            places: Shape (..., V, 2), finite.
            seen: Shape (..., V), bool.

        Returns:
            Shape (...); 0 where fewer than two joints were seen.
        """
        low = np.where(seen[..., None], places, np.inf).min(axis=-2)
        high = np.where(seen[..., None], places, -np.inf).max(axis=-2)
        anyone = seen.any(axis=-1, keepdims=True)
        span = np.where(anyone, high, 0) - np.where(anyone, low, 0)
        extent = np.hypot(span[..., 0], span[..., 1])
        torso_vector = places[..., self._upper, :].mean(axis=-2) - places[..., self._lower, :].mean(axis=-2)
        torso = np.hypot(torso_vector[..., 0], torso_vector[..., 1])
        whole = seen[..., self._upper + self._lower].all(axis=-1)
        return np.maximum(np.where(whole, torso, 0), EXTENT_SHARE * extent)


class PoseFeatures:
    """Features of whole clips.

    Args:
        layout: Skeleton layout of the joints.
        mode: "clip" or "online".

    Raises:
        DataError: Where the mode is unknown.
    """

    def __init__(self, layout: SkeletonLayout, *, mode: str) -> None:
        if mode not in MODES:
            raise DataError(
                f"unknown input mode {mode!r} of the recognizer; expected one of {', '.join(MODES)}",
                code="recognizer.mode",
            )
        self.layout = layout
        self.mode = mode
        self.body = BodyFrame(layout)
        self.place_unseen = UnseenPlacer(layout)

    @property
    def size(self) -> int:
        """Number of features of a joint, D."""
        return feature_count(self.layout)

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """Describe clips.

        In online mode frames after the end of a clip may hold anything: they change nothing before them.

        Args:
            joints: Shape (B, T, V, 3): x, y in pixels and score; a missing joint has score 0 and NaN places.

        Returns:
            Shape (B, T, V, D), float32, finite.

        Raises:
            DataError: Where the joints have another shape.
        """
        if joints.ndim != 4 or joints.shape[2:] != (self.layout.size, 3):
            raise DataError(
                f"Expected joints to have shape (B, T, {self.layout.size}, 3), but got {joints.shape}",
                code="joints.shape",
            )
        seen = seen_joints(joints)
        fill = hold_last if self.mode == "online" else bridge_gaps
        held, known = fill(joints[..., :2].astype(np.float32), seen)
        places = self.place_unseen(held, known)
        present = np.asarray(known.any(axis=-1))
        roots, sizes = self.body.root(places), self.body.size(places, seen)
        gather = running_mean if self.mode == "online" else _clip_mean
        reference = gather(roots, present)
        size = gather(sizes[..., None], sizes > 0)[..., 0]
        moves = [_displacement(places, known, lag) for lag in LAGS[self.mode]]
        scores = np.where(seen, joints[..., 2], 0)
        return describe(places, roots, moves, scores, reference, size, self.place_unseen.parents)


def feature_count(layout: SkeletonLayout) -> int:
    """Number of features of a joint, D: three places, a motion per lag, the score, a distance per joint.

    It is the same in both modes, so that they share one network.
    """
    return 2 * (3 + len(LAGS["online"])) + 1 + layout.size


def describe(
    places: np.ndarray,
    roots: np.ndarray,
    moves: list[np.ndarray],
    scores: np.ndarray,
    reference: np.ndarray,
    size: np.ndarray,
    parents: np.ndarray,
) -> np.ndarray:
    """Features of poses whose joints all have a place.

    Args:
        places: Shape (..., V, 2), pixels, finite.
        roots: Place of the root, (..., 2).
        moves: One displacement per lag, each (..., V, 2).
        scores: Shape (..., V), 0 where a joint was missing.
        reference: Origin of the first feature, (..., 2).
        size: Body size in pixels, (...); where it is 0, 1 is used.
        parents: Parent of each joint, (V,).

    Returns:
        Shape (..., V, D), float32, within ±`BOUND`.
    """
    unit = (1 / np.where(size > 0, size, 1))[..., None, None].astype(np.float32)
    relative = (places - roots[..., None, :]) * unit
    parts = [
        (places - reference[..., None, :].astype(np.float32)) * unit,
        relative,
        (places - places[..., parents, :]) * unit,
        *(move * unit for move in moves),
        scores[..., None],
    ]
    features = np.empty((*places.shape[:-1], 2 * (3 + len(moves)) + 1 + places.shape[-2]), dtype=np.float32)
    own = features.shape[-1] - places.shape[-2]
    np.concatenate(parts, axis=-1, out=features[..., :own], casting="same_kind")
    _distances(relative, out=features[..., own:])
    return np.clip(features, -BOUND, BOUND, out=features)


def _distances(places: np.ndarray, out: np.ndarray) -> None:
    """Distances of all pairs of joints, (..., V, 2) -> (..., V, V); each coordinate by itself, which is 4x faster."""
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
    squares, others = (value[..., :, None] - value[..., None, :] for value in (x, y))
    squares *= squares
    others *= others
    squares += others
    np.sqrt(squares, out=out, casting="same_kind")


def running_mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean of the counted values up to each frame; older ones weigh less by `FORGETTING` per frame.

    Args:
        values: Shape (B, T, C).
        counted: Shape (B, T), bool.

    Returns:
        Shape (B, T, C); 0 until the first counted value.
    """
    weights = counted.astype(np.float64)
    terms = np.where(counted[..., None], values, 0).astype(np.float64)
    for t in range(1, values.shape[1]):
        weights[:, t] += FORGETTING * weights[:, t - 1]
        terms[:, t] += FORGETTING * terms[:, t - 1]
    return terms / np.where(weights > 0, weights, 1)[..., None]


def _clip_mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean of the counted values of a clip, at every frame; 0 where none is counted."""
    total = np.where(counted[..., None], values, 0).sum(axis=1, keepdims=True, dtype=np.float64)
    mean = total / np.maximum(counted.sum(axis=1), 1)[:, None, None]
    return np.broadcast_to(mean, values.shape)


def _displacement(places: np.ndarray, known: np.ndarray, lag: int) -> np.ndarray:
    """How far each joint moved within `lag` frames, back in time or ahead; 0 where it had no seen place then."""
    moves = np.zeros_like(places)
    here, there = (slice(lag, None), slice(None, -lag)) if lag > 0 else (slice(None, lag), slice(-lag, None))
    moves[:, here] = np.where(known[:, there, :, None], places[:, here] - places[:, there], 0)
    return moves
