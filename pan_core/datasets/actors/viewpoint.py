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
