"""Carry joints on from one frame to the next by optical flow, which costs a tenth of a look at the person."""

from dataclasses import dataclass

import cv2
import numpy as np

from pan_core.pose.association import person_sizes
from pan_core.pose.maps import JOINTS, LIMB_JOINTS

# Longer side of the grey picture in which joints are followed.
SIDE = 480
WINDOW = 25
LEVELS = 3
# In body sizes: a joint that comes back from the next frame further from where it was is not the same point.
RETURN_GATE = 0.015
# Score left to a joint that was lost and guessed from its neighbours.
GUESSED = 0.7
LINKED = np.zeros((JOINTS, JOINTS), bool)
LINKED[LIMB_JOINTS[:, 0], LIMB_JOINTS[:, 1]] = True
LINKED |= LINKED.T


@dataclass(frozen=True)
class GreyFrame:
    """A frame as optical flow reads it.

    Attributes:
        picture: Grey, made smaller where it is large.
        scale: Pixels of the picture for one of the frame.
    """

    picture: np.ndarray
    scale: float

    @classmethod
    def of(cls, frame: np.ndarray) -> "GreyFrame":
        """Of a frame (H, W, 3) uint8, BGR."""
        scale = min(1.0, SIDE / max(frame.shape[:2]))
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if scale < 1:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return cls(grey, scale)


def follow_joints(before: GreyFrame, now: GreyFrame, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the joints of the frame before are now, by pyramidal Lucas-Kanade (Bouguet, 2001), there and back.

    Args:
        before: The frame of the poses.
        now: The next one, of the same size.
        people: (N, V, 3) poses in pixels of the frame.

    Returns:
        Poses (N, V, 3), in which a joint that was lost has score 0, and the share of each person's joints that was
        kept, (N,).
    """
    found = people[..., 2] > 0
    moved = people.copy()
    if not found.any():
        return moved, np.zeros(len(people))
    start = ((people[found][:, :2] + 0.5) * before.scale - 0.5).astype(np.float32)[:, None]
    end, there = _track_points(before, now, start)
    back, again = _track_points(now, before, end)
    sizes = np.broadcast_to(person_sizes(people)[:, None], found.shape)[found] * before.scale
    kept = there & again & (np.linalg.norm(back - start, axis=-1)[:, 0] <= RETURN_GATE * sizes)
    places = np.full((len(start), 3), np.nan)
    places[kept, :2] = (end[kept, 0] + 0.5) / before.scale - 0.5
    places[:, 2] = np.where(kept, people[found][:, 2], 0.0)
    moved[found] = places
    return moved, (moved[..., 2] > 0).sum(axis=1) / np.maximum(found.sum(axis=1), 1)


def with_neighbours(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """A pose (V, 3) in which each joint that flow lost went as those it hangs on by a limb did, or else as all did.

    Args:
        before: The pose that was carried on.
        now: What came of it; lost joints have score 0.
    """
    lost, kept = (before[:, 2] > 0) & (now[:, 2] == 0), now[:, 2] > 0
    if not lost.any() or not kept.any():
        return now
    way, filled = now[:, :2] - before[:, :2], now.copy()
    for joint in np.flatnonzero(lost):
        near = kept & LINKED[joint]
        shift = np.median(way[near if near.any() else kept], axis=0)
        filled[joint] = [*(before[joint, :2] + shift), before[joint, 2] * GUESSED]
    return filled


def _track_points(before: GreyFrame, now: GreyFrame, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    end, status, _ = cv2.calcOpticalFlowPyrLK(
        before.picture, now.picture, points, points.copy(), winSize=(WINDOW, WINDOW), maxLevel=LEVELS
    )
    return end, status[:, 0] == 1
