"""Parts as a camera sees them: their outlines, how they are shaded, and which joints they hide."""

import cv2
import numpy as np

from pan_core.datasets.actors.appearance import Part
from pan_core.datasets.actors.viewpoint import Viewpoint

CORNERS = 12
CIRCLE = np.stack([f(np.arange(CORNERS) * 2 * np.pi / CORNERS) for f in (np.cos, np.sin)], axis=-1)
# Nested layers of a part: its size, and the brightness of its colour; together they read as a round, lit surface.
LAYERS = ((1.0, 0.62), (0.84, 0.80), (0.64, 0.93), (0.42, 1.03), (0.2, 1.09))
SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


class ProjectedPart:
    """A part in the picture, all frames at once.

    Args:
        part: The part.
        camera: The camera.
        light: Shape (2,), direction in the picture from which light comes; without it only the outline is known.
        scale: Pixels of the picture that is drawn on for each pixel of the camera's.
    """

    def __init__(self, part: Part, camera: Viewpoint, light: np.ndarray | None = None, scale: float = 1.0) -> None:
        centres, depths = camera.project(part.places)
        self.part = part
        self.centres = scale * centres  # (T, S, 2)
        self.radii = scale * camera.focal * part.radii / depths  # (T, S)
        self.depths = depths  # (T, S)
        self.order = depths.mean(1) - 0.5 * part.radii.mean()
        layers = LAYERS[:1] if light is None else LAYERS
        sizes = np.array([size for size, _ in layers])[:, None, None]
        offsets = sizes * CIRCLE + 0.55 * (1 - sizes) * (0.0 if light is None else light)  # (L, CORNERS, 2)
        rims = self.centres[:, None, :, None] + self.radii[:, None, :, None, None] * offsets[:, None]
        shape = (len(centres), len(layers), -1, 1, 2)
        self._rims = np.round(rims * (1 << SHIFT)).astype(np.int32).reshape(shape)
        self._colours = [tuple(min(255.0, tone * c) for c in part.colour) for _, tone in layers]

    def outline(self, frame: int) -> np.ndarray:
        """Convex outline (N, 1, 2) in units of 2**-SHIFT pixels."""
        return cv2.convexHull(self._rims[frame, 0])

    def draw(self, picture: np.ndarray, frame: int) -> None:
        """Paint the part over what is there."""
        for rim, colour in zip(self._rims[frame], self._colours, strict=True):
            cv2.fillConvexPoly(picture, cv2.convexHull(rim), colour, cv2.LINE_AA, SHIFT)

    def hides(self, frame: int, place: np.ndarray, depth: float) -> bool:
        """Whether the part covers a point at `place` (2,) in pixels, `depth` metres away."""
        corner = (place * (1 << SHIFT)).tolist()
        if cv2.pointPolygonTest(self.outline(frame), corner, False) < 0:
            return False
        weight = 1 / (((self.centres[frame] - place) ** 2).sum(-1) + 1)
        return bool((self.depths[frame] * weight).sum() / weight.sum() < depth - self.part.margin)


def fill_disc(picture: np.ndarray, place: np.ndarray, axes: tuple[float, float], colour: tuple[float, ...]) -> None:
    """Paint an upright ellipse with half axes in pixels."""
    rim = np.round((place + CIRCLE * axes) * (1 << SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(picture, rim, colour, cv2.LINE_AA, SHIFT)


def seen_joints(items: list[ProjectedPart], pixels: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Which joints no part hides.

    Args:
        items: All parts of the scene.
        pixels: Shape (M, T, V, 2), places of the joints.
        depths: Shape (M, T, V), in metres.

    Returns:
        Shape (M, T, V), of bool.
    """
    seen = np.ones(depths.shape, dtype=bool)
    for item in items:
        low = (item.centres - item.radii[..., None]).min(1)[:, None]
        high = (item.centres + item.radii[..., None]).max(1)[:, None]
        candidates = seen & ((pixels > low) & (pixels < high)).all(-1)
        candidates &= depths > item.depths.min(1)[:, None] + item.part.margin
        if item.part.owner >= 0:
            candidates[item.part.owner, :, list(item.part.joints)] = False
        for person, frame, joint in np.argwhere(candidates):
            place = pixels[person, frame, joint]
            seen[person, frame, joint] = not item.hides(frame, place, depths[person, frame, joint])
    return seen
