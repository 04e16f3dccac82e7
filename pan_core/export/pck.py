"""Does an exported pose network still find joints? Share of correct keypoints on films of drawn people, whose joints are known."""

from pathlib import Path

import numpy as np

from pan_core.errors import GateError
from pan_core.export.reference import drawn_scenes
from pan_core.pose.accuracy import pck
from pan_core.pose.extraction import ExtractionSettings, PoseExtractor

MOST_LOST = 0.01
"""By so much PCK@0.1 may be lower than that of the network it was made from."""
FRAMES = 16


def scene_pck(model: Path, settings: ExtractionSettings, *, scenes: int) -> float:
    """PCK@0.1 of a pose network through the whole tracker; nobody found counts as every joint missed."""
    extractor = PoseExtractor(model, settings=settings)
    found, true = [], []
    for film, joints in drawn_scenes(scenes, frames=FRAMES):
        tracker = extractor.tracker()
        for frame, person in zip(film, joints, strict=True):
            people = tracker.update(frame)
            found.append(people[0][1] if people else np.zeros_like(person))
            true.append(np.concatenate([person[:, :2], person[:, 2:] >= 1], axis=1))
    return pck(np.stack(found), np.stack(true)).overall


def require_pck(model: Path, value: float, reference: float) -> None:
    """Refuse a pose network that finds fewer joints.

    Raises:
        GateError: Where it is worse than the bound allows.
    """
    if not value >= reference - MOST_LOST:
        raise GateError(
            f"{model}: finds {100 * value:.1f} % of the joints (PCK@0.1), the network that it was made from {100 * reference:.1f} %; "
            f"expected at most {100 * MOST_LOST:g} points less"
        )
