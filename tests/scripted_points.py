"""Points of the pose benchmark whose network is a script, and poses that nobody extracted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pan_core.pose.tracks import Tracks, VideoPoses


def skeleton(x: float, y: float, size: float = 100.0) -> np.ndarray:
    """Eighteen joints (18, 3) on a diagonal of a square with the corner (x, y)."""
    along = np.linspace(0, size, 18)
    return np.stack([x + along, y + along, np.full(18, 0.9)], axis=1)


def poses_of(people: np.ndarray) -> VideoPoses:
    """Poses of a video, from an array (N, T, 18, 3)."""
    return VideoPoses(Tracks.of(people), 15.0, 640, 480, people.shape[1], 0.1, "script")


@dataclass(frozen=True)
class ScriptedPoint:
    """Stands in for a `PosePoint`.

    Attributes:
        tracker: Makes a tracker.
        estimator: What looks at single pictures.
    """

    tracker: Callable[[], Any] | None = None
    estimator: Any = None

    def extractor(self, *, people: int | None = None) -> "ScriptedPoint":
        return self


class ListedTracker:
    """Gives the people of a list, frame by frame."""

    def __init__(self, people: list[list[tuple[int, np.ndarray]]]) -> None:
        self.people = iter(people)

    def update(self, frame: np.ndarray) -> list[tuple[int, np.ndarray]]:
        return next(self.people)
