"""A pinhole camera that may pan, follow and shake, and the choice of one for a clip."""

from dataclasses import dataclass

import numpy as np

# Cameras mostly see people from the front or the side, as in filmed actions; a share of them stands anywhere.
FRONTAL = 0.75  # standard deviation, in radians from straight ahead
ANY_SIDE = 0.15


@dataclass(frozen=True)
class Viewpoint:
    """Pinhole camera, frame by frame.

    Attributes:
        position: Shape (T, 3), in metres.
        axes: Shape (T, 3, 3), rows are right, down and forward in world axes.
        focal: Focal length in pixels.
        width: Picture width in pixels.
        height: Picture height in pixels.
    """

    position: np.ndarray
    axes: np.ndarray
    focal: float
    width: int
    height: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (T, N, 2) and depths (T, N) in metres of world points (T, N, 3)."""
        local = np.einsum("tij,tnj->tni", self.axes, points - self.position[:, None])
        depth = np.maximum(local[..., 2], 0.05)
        centre = np.array([self.width / 2, self.height / 2])
        return centre + self.focal * local[..., :2] / depth[..., None], depth

    def plane_to_picture(self, frame: int, origin: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Homography (3, 3) from coordinates (a, b) on the plane origin + a u + b v to pixels of one frame."""
        lens = np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1.0]])
        plane = np.stack([u, v, origin - self.position[frame]], axis=1)
        return lens @ self.axes[frame] @ plane


def look_at(
    position: np.ndarray, target: np.ndarray, *, focal: float, width: int, height: int, roll: float = 0.0
) -> Viewpoint:
    """Viewpoint at `position` (T, 3) which looks at `target` (T, 3), level but for `roll` radians."""
    forward = target - position
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    tilted = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    return Viewpoint(np.asarray(position), np.stack([*tilted, forward], axis=1), focal, width, height)


def smoothed(path: np.ndarray, width: float) -> np.ndarray:
    """A path (T, C) after a Gaussian of `width` frames, its ends continued as they stand."""
    reach = int(3 * width) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(c, weights / weights.sum(), mode="valid") for c in padded.T], axis=1)


def draw_viewpoint(
    rng: np.random.Generator, *, pelvis: np.ndarray, stature: float, width: int, height: int
) -> Viewpoint:
    """A camera that keeps a moving person, who starts facing along x, in the picture.

    It stands still for a person who stays; it pans with, and travels beside, a person who goes further than the
    picture is wide. The person fills about 52 to 76 % of the picture's height.

    Args:
        rng: Source of the variation.
        pelvis: Shape (T, 3), the person's pelvis.
        stature: The person's height in metres.
        width: Picture width in pixels.
        height: Picture height in pixels.
    """
    path = smoothed(pelvis[:, :2], 3.0)
    middle = (path.min(0) + path.max(0)) / 2
    extent = float(np.linalg.norm(path.max(0) - path.min(0)))
    distance, azimuth = rng.uniform(3.8, 7.0), rng.normal(0, FRONTAL)
    if rng.random() < ANY_SIDE:
        azimuth = rng.uniform(-np.pi, np.pi)
    share = rng.uniform(0.52, 0.76)
    room = rng.uniform(0.2, 0.9)
    travel = max(0.0, 1 - room / max(extent, 1e-6)) * (path - middle)
    pan = rng.uniform(0.0, 1.0) if extent > 0.3 else 0.0
    tremble = smoothed(rng.normal(0, 1, (len(path), 3)), 2.0) * (rng.uniform(0, 0.03) if rng.random() < 0.5 else 0.0)
    base = middle + distance * np.array([np.cos(azimuth), np.sin(azimuth)])
    position = np.column_stack([base + travel, np.full(len(path), rng.uniform(0.8, 2.3))])
    aim = middle + travel + pan * (path - middle - travel) + rng.normal(0, 0.12, 2)
    target = np.column_stack([aim, np.full(len(path), rng.uniform(0.46, 0.56) * stature)]) + tremble
    focal = share * height * distance / stature
    return look_at(position, target, focal=focal, width=width, height=height, roll=rng.normal(0, 0.02))


@dataclass(frozen=True)
class Framing:
    """What of a person a picture shows.

    Attributes:
        name: What is seen.
        shares: Least and greatest standing height of the person, in heights of the picture.
        middles: Least and greatest height of the picture's middle above the ground, in standing heights.
    """

    name: str
    shares: tuple[float, float]
    middles: tuple[float, float]


FRAMINGS = (
    Framing("whole", (0.5, 0.85), (0.42, 0.58)),
    Framing("far", (0.25, 0.5), (0.3, 0.7)),
    Framing("without feet", (0.85, 1.5), (0.55, 0.72)),
    Framing("upper body", (1.5, 2.4), (0.70, 0.84)),
)
HANDHELD_FRONTAL = 0.9  # standard deviation, in radians from straight ahead
HANDHELD_ANY_SIDE, HANDHELD_ANY_SIDE_MOVING = 0.4, 0.85  # shares that stand anywhere, of people who stay and who move
NEAR, WIDE = (0.2, 0.1, 0.35, 0.35), (0.5, 0.3, 0.15, 0.05)
"""Shares of the framings: people who stand are filmed from near, people who move their feet or lie down from far."""


def draw_handheld_viewpoint(
    rng: np.random.Generator, *, pelvis: np.ndarray, feet: np.ndarray, stature: float, width: int, height: int
) -> Viewpoint:
    """A camera as people hold it for a person who starts facing along x.

    It stands still, follows the person more or less well, or comes nearer or goes away; it may shake and drift. It keeps the
    person in the picture for most of the clip. `FRAMINGS` says how much of the person is seen.

    Args:
        rng: Source of the variation.
        pelvis: Shape (T, 3), the person's pelvis.
        feet: Shape (T, 2, 3), the person's ankles.
        stature: The person's height in metres.
        width: Picture width in pixels.
        height: Picture height in pixels.
    """
    path, time = smoothed(pelvis[:, :2], 3.0), np.linspace(-0.5, 0.5, len(pelvis))
    middle = (path.min(0) + path.max(0)) / 2
    extent = float(np.linalg.norm(path.max(0) - path.min(0)))
    moves = np.linalg.norm(np.ptp(feet, axis=0), axis=-1).max() > 0.5 or pelvis[:, 2].min() < 0.18 * stature
    framing = FRAMINGS[rng.choice(len(FRAMINGS), p=WIDE if moves else NEAR)]
    any_side = rng.random() < (HANDHELD_ANY_SIDE_MOVING if moves else HANDHELD_ANY_SIDE)
    azimuth = rng.uniform(-np.pi, np.pi) if any_side else rng.normal(0, HANDHELD_FRONTAL)
    toward = np.array([np.cos(azimuth), np.sin(azimuth)])
    follow = rng.uniform(0.3, 1.05) if rng.random() < 0.5 else 0.0
    across = (1 - follow) * float(np.ptp(path @ np.array([-toward[1], toward[0]])))
    share = min(rng.uniform(*framing.shares), max(0.25, 1.15 * stature / max(across, 0.1)))
    distance = max(rng.uniform(3.2, 8.0), 0.7 * extent + 2.0)
    dolly = rng.normal(0, 0.3) if rng.random() < 0.5 else rng.normal(0, 0.04)
    base = middle + np.outer(distance * np.exp(dolly * time), toward) + follow * (path - middle)
    position = np.column_stack([base, np.full(len(path), min(rng.uniform(0.5, 2.5) ** 1.2, 0.55 * distance))])
    aim = middle + follow * (path - middle) + rng.normal(0, 0.12 / max(1.0, share), 2)
    heights = rng.uniform(*framing.middles) * stature + np.zeros(len(path))
    if rng.random() < 0.35:
        heights += rng.uniform(0.0, 0.9) * (smoothed(pelvis[:, 2:], 4.0)[:, 0] - pelvis[:, 2].max())
    restless = stature / max(0.5, share) * (rng.gamma(1.0, 0.5) if rng.random() < 0.6 else 0.1)
    drift = time[:, None] * rng.normal(0, 0.16, 3) + smoothed(rng.normal(0, 1, (len(path), 3)), 2.5) * 0.06
    target = np.column_stack([aim, heights]) + restless * drift
    focal = share * height * distance / stature
    return look_at(position, target, focal=focal, width=width, height=height, roll=rng.normal(0, 0.05))
