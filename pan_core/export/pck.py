"""Percentage of correct keypoints (PCK) of an exported pose network, on films of drawn people, whose joints are known."""

from pathlib import Path

from pan_core.errors import GateError
from pan_core.export.reference import drawn_scenes
from pan_core.pose.accuracy import found_in_crops, pck
from pan_core.pose.crops import square_around
from pan_core.pose.estimation import PoseEstimator
from pan_core.pose.extraction_settings import ExtractionSettings

MOST_LOST = 0.01
"""Largest loss of PCK@0.1 against the network that it was made from."""
FRAMES = 16


def scene_pck(model: Path, settings: ExtractionSettings, *, scenes: int) -> float:
    """PCK@0.1 of a pose network in crops around drawn people; if nobody is found, every joint counts as missed."""
    estimator = PoseEstimator(
        model, stages=settings.stages, search_stages=settings.stages, search_size=settings.search_size,
        crop_size=settings.crop_size, narrowest=settings.narrowest_crop, min_joint_score=settings.min_joint_score,
    )  # fmt: skip
    people = (
        (frame, square_around(person), person)
        for film, joints in drawn_scenes(scenes, frames=FRAMES)
        for frame, person in zip(film, joints, strict=True)
    )
    return pck(*found_in_crops(estimator, people)).overall


def require_pck(model: Path, value: float, reference: float) -> None:
    """Refuse a pose network that finds fewer joints.

    Raises:
        GateError: If its PCK is below that of the reference by more than the bound.
    """
    if not value >= reference - MOST_LOST:
        raise GateError(
            f"{model}: finds {100 * value:.1f} % of the joints (PCK@0.1), the network that it was made from {100 * reference:.1f} %; "
            f"expected at most {100 * MOST_LOST:g} points less",
            code="pck.too-low",
        )
