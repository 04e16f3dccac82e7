"""Percentage of correct keypoints (PCK) of exported networks, on films of drawn people, whose joints are known."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pan_core.errors import GateError
from pan_core.export.reference import drawn_scenes
from pan_core.pose.accuracy import found_in_crops, pck, visible
from pan_core.pose.association import pose_distances
from pan_core.pose.crops import square_around
from pan_core.pose.declared import open_estimator
from pan_core.pose.estimation import Estimator
from pan_core.pose.extraction_settings import ExtractionSettings

MOST_LOST = 0.01
"""Largest loss of PCK@0.1 against the networks that they were made from."""
FRAMES = 16
SEARCHED = 4
"""Of so many frames one is searched."""


@dataclass(frozen=True)
class ScenePck:
    """PCK@0.1 on drawn people.

    Attributes:
        looks: In crops around their true place.
        searches: In whole frames.
    """

    looks: float
    searches: float


def scene_pck(model: Path, settings: ExtractionSettings, *, scenes: int) -> ScenePck:
    """PCK@0.1 of what `open_estimator` takes; if nobody is found, every joint counts as missed."""
    estimator, people = open_estimator(model, **settings.of_estimator()), list(_draw_people(scenes))
    looks = found_in_crops(estimator, ((frame, square_around(person), person) for frame, person in people))
    found = np.stack([_nearest(estimator, frame, person) for frame, person in people[::SEARCHED]])
    true = visible(np.stack([person for _, person in people[::SEARCHED]]))
    return ScenePck(pck(*looks).overall, pck(found, true).overall)


def require_pck(model: Path, value: ScenePck, reference: ScenePck) -> None:
    """Refuse networks that find fewer joints.

    Raises:
        GateError: If a PCK is below that of the reference by more than the bound; names all such.
    """
    faults = [
        f"finds {100 * got:.1f} % of the joints (PCK@0.1) {where}, what it was made from {100 * wanted:.1f} %"
        for where, got, wanted in (
            ("in crops", value.looks, reference.looks), ("in whole frames", value.searches, reference.searches),
        )
        if not got >= wanted - MOST_LOST
    ]  # fmt: skip
    if faults:
        raise GateError(
            f"{model}: {'; '.join(faults)}; expected at most {100 * MOST_LOST:g} points less", code="pck.too-low"
        )


def _draw_people(scenes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames with the true joints of the person in each."""
    for film, joints in drawn_scenes(scenes, frames=FRAMES):
        yield from zip(film, joints, strict=True)


def _nearest(estimator: Estimator, frame: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Of the people that a search finds, the one nearest the true joints (V, 3); joints of score 0 if nobody is found."""
    found = estimator.search(frame)
    if not len(found):
        return np.zeros_like(person)
    distances = pose_distances(visible(person)[None], found)[0]
    return found[int(np.argmin(distances))]
