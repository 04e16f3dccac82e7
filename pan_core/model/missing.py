"""Places for joints that were not found, so that the network reads finite numbers only.

A joint that is missing keeps its score of 0, which the network reads as a feature, and gets a place by these rules:

1. where the joint was seen before (or, when the whole clip is known, after): its last seen place, or the line
   between the two seen places around the gap;
2. where it was never seen: the place of its nearest ancestor in the layout that was;
3. where none was: the mean place of all joints with a place;
4. where nobody was seen: the origin.

Shapes: B clips, T frames, V joints; `...` stands for any leading axes.
"""

import numpy as np

from pan_core.skeletons import SkeletonLayout

ROUNDING = 1e-5
"""Share of the time between two poses that is nothing."""


def seen_joints(joints: np.ndarray) -> np.ndarray:
    """Which joints were found: score above 0 and a finite place; (..., V, 3) -> bool (..., V)."""
    return (joints[..., 2] > 0) & np.isfinite(joints[..., 0]) & np.isfinite(joints[..., 1])


def hold_last(places: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hold every joint at its last seen place; frame t depends on frames up to t only.

    Args:
        places: Shape (B, T, V, 2); ignored where not seen.
        seen: Shape (B, T, V), bool.

    Returns:
        Places (B, T, V, 2), 0 before the first sight, and a bool (B, T, V): seen at least once up to the frame.
    """
    places = np.where(seen[..., None], places, 0)
    last = _last_seen(seen)
    known = last >= 0
    held = np.take_along_axis(places, np.maximum(last, 0)[..., None], axis=1)
    return np.where(known[..., None], held, 0), known


def between(before: np.ndarray, after: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Poses on the lines between pairs of poses; a joint that one of the two lacks is at its place in the other.

    Nothing but the two is read, so a live stream can do it as soon as the second one is there.

    Args:
        before: Shape (..., V, 3).
        after: Shape (..., V, 3).
        share: How far on the way from the first to the second, 0..1, (...); at the ends, but for rounding, the other
            pose is not read.

    Returns:
        Shape (..., V, 3); scores are on the line too, a missing joint's counting as 0.
    """
    way = np.asarray(share, dtype=before.dtype)[..., None]
    way = np.where(way < ROUNDING, 0, np.where(way > 1 - ROUNDING, 1, way)).astype(before.dtype)
    in_before, in_after = seen_joints(before) & (way < 1), seen_joints(after) & (way > 0)
    first = np.where(in_before[..., None], before[..., :2], after[..., :2])
    second = np.where(in_after[..., None], after[..., :2], before[..., :2])
    place = (1 - way[..., None]) * first + way[..., None] * second
    score = (1 - way) * np.where(in_before, before[..., 2], 0) + way * np.where(in_after, after[..., 2], 0)
    return np.concatenate([place, score[..., None]], axis=-1)


def bridge_gaps(places: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put missing joints on the line between the seen places around the gap; the ends of a clip hold still.

    Args:
        places: Shape (B, T, V, 2); ignored where not seen.
        seen: Shape (B, T, V), bool.

    Returns:
        Places (B, T, V, 2), 0 for joints never seen, and a bool (B, T, V): seen at least once in the clip.
    """
    frames = seen.shape[1]
    places = np.where(seen[..., None], places, 0)
    before = _last_seen(seen)
    after = frames - 1 - _last_seen(seen[:, ::-1])[:, ::-1]
    known = np.broadcast_to(seen.any(axis=1, keepdims=True), seen.shape)
    before = np.where(before < 0, after, before).clip(0, frames - 1)
    after = np.where(after >= frames, before, after).clip(0, frames - 1)
    gap = np.maximum(after - before, 1)
    share = ((np.arange(frames)[None, :, None] - before) / gap).clip(0, 1)[..., None].astype(places.dtype)
    start = np.take_along_axis(places, before[..., None], axis=1)
    end = np.take_along_axis(places, after[..., None], axis=1)
    return start + share * (end - start), known


class UnseenPlacer:
    """Gives joints that have no place yet one beside the joints that have (rules 2 to 4).

    Args:
        layout: Its bones say who the ancestors of a joint are.
    """

    def __init__(self, layout: SkeletonLayout) -> None:
        self.parents = layout.parents()
        self._tops = np.flatnonzero(self.parents == np.arange(layout.size)).tolist()
        self._order = _parents_first(self.parents)

    def __call__(self, places: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Places for all joints.

        Args:
            places: Shape (..., V, 2); ignored where not known.
            known: Shape (..., V), bool.
        """
        if known.all():
            return places
        filled = np.where(known[..., None], places, 0)
        count = np.maximum(known.sum(axis=-1), 1)[..., None]
        mean = filled.sum(axis=-2) / count
        for joint in self._tops:
            filled[..., joint, :] = np.where(known[..., joint, None], filled[..., joint, :], mean)
        for joint in self._order:
            parent = filled[..., self.parents[joint], :]
            filled[..., joint, :] = np.where(known[..., joint, None], filled[..., joint, :], parent)
        return filled


def _last_seen(seen: np.ndarray) -> np.ndarray:
    """Index of the last frame up to t in which a joint was seen, -1 before the first; (B, T, V)."""
    index = np.where(seen, np.arange(seen.shape[1])[None, :, None], -1)
    return np.maximum.accumulate(index, axis=1)


def _parents_first(parents: np.ndarray) -> list[int]:
    """Joints that have a parent, each after its parent."""
    above = [int(parent) for parent in parents]
    depth = [0] * len(above)
    for joint in range(len(above)):
        ancestor = joint
        while above[ancestor] != ancestor:
            ancestor = above[ancestor]
            depth[joint] += 1
    return sorted((joint for joint in range(len(above)) if depth[joint] > 0), key=depth.__getitem__)
