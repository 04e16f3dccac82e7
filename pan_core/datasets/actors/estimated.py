"""Joints as a pose network finds them in films of people: shaken, confused, cut off at the border, with scores.

The strengths follow what the default extractor shows on JHMDB's training part: second differences of 2 to 15 % of the torso,
scores around 0.5, hardly a joint missing inside the picture, guesses at its border, legs missing below it.
"""

from dataclasses import dataclass

import numpy as np

from pan_core.datasets.actors.viewpoint import smoothed
from pan_core.skeletons import OPENPOSE18

PAIRS = tuple(
    (OPENPOSE18.index(f"right_{joint}"), OPENPOSE18.index(f"left_{joint}"))
    for joint in ("wrist", "elbow", "ankle", "knee")
)
DOUBT = np.array([
    1.5 if joint.endswith(("wrist", "ankle")) else 1.05 if joint.endswith(("elbow", "knee")) else 0.6
    for joint in OPENPOSE18.joints
])  # fmt: skip
"""How hard each joint is to find, (V,)."""
GUESSED = np.array([
    0.1 if joint.endswith(("hip", "knee", "ankle")) else 0.35 for joint in OPENPOSE18.joints
])  # fmt: skip
"""Probability that a joint far outside the picture is taken to be at its border all the same, (V,)."""
LEAST_SCORE, GREATEST_SCORE = 0.06, 0.92


@dataclass(frozen=True)
class Doubt:
    """How badly joints are found.

    Attributes:
        film: 0 in a sharp film, 1 in a bad one.
        joints: Doubt of each joint at each frame, (T, V); about 1 if it is hardly visible.
    """

    film: float
    joints: np.ndarray


def estimate(pixels: np.ndarray, *, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """What a pose network makes of joints.

    Args:
        pixels: Shape (T, 18, 2), true places; they may lie outside the picture.
        width: Picture width in pixels.
        height: Picture height in pixels.
        rng: Source of the errors.

    Returns:
        Shape (T, 18, 3), float32: x, y and score; NaN and 0 for a missing joint.
    """
    doubt = _draw_doubt(len(pixels), rng)
    torso = pixels[:, OPENPOSE18.index("neck")] - pixels[
        :, [OPENPOSE18.index(f"{s}_hip") for s in ("right", "left")]
    ].mean(1)
    size = max(float(np.median(np.linalg.norm(torso, axis=-1))), 8.0)
    noise = 0.55 * rng.normal(size=pixels.shape) + 1.5 * _wander(rng, pixels.shape)
    found = pixels + size * (0.015 + 0.13 * doubt.joints)[..., None] * noise
    _confuse(found, doubt, rng)
    score = 0.72 * np.exp(-0.75 * doubt.joints - 0.25 * doubt.film)
    score += rng.normal(0, 0.07, (1, OPENPOSE18.size)) + rng.normal(0, 0.05, score.shape)
    edge = np.array([width - 1, height - 1])
    outside = np.maximum(-pixels, pixels - edge).max(axis=-1)
    lost = (outside > 0.15 * size) & ~(rng.random(OPENPOSE18.size) < GUESSED)
    score = np.clip(score, LEAST_SCORE, GREATEST_SCORE) * np.where(outside > 0, 0.6, 1.0) * ~lost
    places = np.where(lost[..., None], np.nan, np.clip(found, 0, edge))
    return np.concatenate([places, score[..., None]], axis=-1).astype(np.float32)


def _draw_doubt(frames: int, rng: np.random.Generator) -> Doubt:
    film = float(rng.beta(1.2, 2.0))
    joints = (film * rng.gamma(2.0, 0.5, OPENPOSE18.size)).clip(0, 2) * DOUBT
    return Doubt(film, joints * np.exp(1.4 * _wander(rng, (frames, OPENPOSE18.size))))


def _wander(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise that lasts some frames; standard deviation about 0.43."""
    return smoothed(rng.normal(size=(shape[0], int(np.prod(shape[1:])))), 1.5).reshape(shape)


def _confuse(found: np.ndarray, doubt: Doubt, rng: np.random.Generator) -> None:
    """Take left for right for some frames, or both for one; changes `found` and raises the doubt."""
    for right, left in PAIRS:
        if rng.random() < 0.35 * doubt.film:
            start = int(rng.integers(len(found)))
            span = slice(start, start + int(rng.integers(1, 7)))
            first, second = found[span, right].copy(), found[span, left].copy()
            found[span, right] = second
            if rng.random() < 0.5:
                found[span, left] = first
            doubt.joints[span, right] += 1.0
            doubt.joints[span, left] += 0.5
