"""Where a clip is set: a textured wall and ground seen in perspective, light, and things that stand in the way."""

from dataclasses import dataclass

import cv2
import numpy as np

from pan_core.datasets.actors.appearance import Part
from pan_core.datasets.actors.viewpoint import Viewpoint

TEXTURE = 384
WALL_METRES = 9.0
GROUND_METRES = 6.0


@dataclass(frozen=True)
class Backdrop:
    """Surroundings of a clip.

    Attributes:
        wall: Shape (S, S, 3) uint8, texture of the wall, or of what is seen far behind.
        ground: Shape (S, S, 3) uint8, texture of the ground.
        wall_distance: Metres from the people to the wall.
        sun: Shape (2,), shift of a shadow on the ground by metre of height.
        light: Shape (2,), direction in the picture from which light comes.
        shadow: Darkness of the shadow, 0..1.
        noise: Standard deviation of the sensor noise, in grey levels.
        blur: Standard deviation of the lens blur, in pixels.
        exposure: Brightness of the whole picture.
    """

    wall: np.ndarray
    ground: np.ndarray
    wall_distance: float
    sun: np.ndarray
    light: np.ndarray
    shadow: float
    noise: float
    blur: float
    exposure: float


def draw_backdrop(rng: np.random.Generator) -> Backdrop:
    """Surroundings at random."""
    angle = rng.uniform(-2.6, -0.5)  # from above, left or right
    return Backdrop(
        wall=_wall(rng),
        ground=_ground(rng),
        wall_distance=rng.uniform(1.2, 6.0),
        sun=rng.uniform(-0.7, 0.7, 2),
        light=np.array([np.cos(angle), np.sin(angle)]),
        shadow=rng.uniform(0.2, 0.55),
        noise=rng.uniform(1.5, 5.0),
        blur=rng.uniform(0.3, 0.75),
        exposure=rng.uniform(0.85, 1.12),
    )


def _clouds(rng: np.random.Generator, octaves: tuple[int, ...]) -> np.ndarray:
    """Fractal noise of about unit deviation, shape (S, S)."""
    layers = [
        cv2.resize(rng.normal(0, 1, (n, n)).astype(np.float32), (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)
        for n in octaves
    ]
    return sum(layers) / np.sqrt(len(layers))


def _tint(rng: np.random.Generator, grey: np.ndarray, depth: float) -> np.ndarray:
    base = rng.uniform(70, 200) + rng.uniform(-20, 20, 3)
    return base + depth * grey[..., None] * rng.uniform(0.7, 1.0, 3)


def _wall(rng: np.random.Generator) -> np.ndarray:
    picture = _tint(rng, _clouds(rng, (4, 9, 40, 128)), rng.uniform(5, 20))
    kind = rng.integers(4)
    step = int(rng.integers(18, 60))
    if kind == 0:  # bricks or panels
        picture[::step] *= 0.75
        for row in range(0, TEXTURE, step):
            picture[row : row + step, (row // step % 2) * step :: 2 * step] *= 0.75
    elif kind == 1:  # planks
        picture[:, ::step] *= 0.7
        picture *= 1 + 0.08 * rng.normal(0, 1, TEXTURE // step + 1)[np.arange(TEXTURE) // step][None, :, None]
    elif kind == 2:  # open air: hills under a sky
        skyline = (0.5 + 0.06 * _clouds(rng, (6, 12))[0]) * TEXTURE
        sky = np.arange(TEXTURE)[:, None] < skyline[None]
        picture = np.where(sky[..., None], np.array([225.0, 205, 190]) + 8 * _clouds(rng, (3, 6))[..., None], picture)
    return _with_things(rng, picture.clip(0, 255).astype(np.uint8))


def _with_things(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Windows, posters and bushes: edges and blobs that a detector must not take for people."""
    for _ in range(rng.integers(2, 9)):
        colour = tuple(float(v) for v in rng.uniform(30, 220, 3))
        x, y = (int(v) for v in rng.integers(0, TEXTURE, 2))
        if rng.random() < 0.6:
            w, h = (int(v) for v in rng.integers(15, 80, 2))
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
            cv2.rectangle(picture, (x, y), (x + w, y + h), tuple(0.5 * c for c in colour), 2)
        else:
            axes = tuple(int(v) for v in rng.integers(8, 40, 2))
            cv2.ellipse(picture, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 2.0)))


def _ground(rng: np.random.Generator) -> np.ndarray:
    picture = _tint(rng, _clouds(rng, (5, 30, 120, 190)), rng.uniform(6, 18))
    if rng.random() < 0.4:
        step = int(rng.integers(24, 64))
        picture[::step] *= 0.8
        picture[:, ::step] *= 0.8
    return picture.clip(0, 255).astype(np.uint8)


class Background:
    """The empty backdrop as one camera sees it; a still camera is computed once."""

    def __init__(self, *, backdrop: Backdrop, camera: Viewpoint, middle: np.ndarray) -> None:
        self.backdrop = backdrop
        self.camera = camera
        self.middle = np.array([middle[0], middle[1], 0.0])
        away = self.middle - camera.position[0]
        away[2] = 0.0
        away /= np.linalg.norm(away)
        self.wall_base = self.middle + backdrop.wall_distance * away
        self.wall_right = np.array([away[1], -away[0], 0.0])
        self._last: tuple[bytes, np.ndarray] | None = None

    def frame(self, index: int) -> np.ndarray:
        """Picture (H, W, 3) uint8 of one frame; the caller must not change it."""
        key = self.camera.position[index].tobytes() + self.camera.axes[index].tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, self._render(index)
        return self._last[1]

    def _render(self, index: int) -> np.ndarray:
        camera, backdrop = self.camera, self.backdrop
        wall = camera.plane_to_picture(index, self.wall_base, self.wall_right, np.array([0.0, 0.0, 1.0]))
        floor = camera.plane_to_picture(index, self.middle, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
        ends = wall @ np.array([[-30.0, 0, 1], [30.0, 0, 1]]).T
        (x0, x1), (y0, y1) = ends[:2] / ends[2]
        edge = y0 + (y1 - y0) / (x1 - x0) * (np.arange(camera.width) - x0)  # row where wall and ground meet
        top, bottom = (int(np.clip(v, 0, camera.height)) for v in (edge.min(), edge.max() + 1))
        picture = np.empty((camera.height, camera.width, 3), np.uint8)
        _warp(backdrop.ground, floor @ _texture_scale(GROUND_METRES), picture, top, camera.height)
        upper = picture[:bottom].copy()
        _warp(backdrop.wall, wall @ _texture_scale(WALL_METRES, flip=True), upper, 0, bottom)
        mask = (np.arange(bottom)[:, None] < edge).astype(np.uint8)
        picture[:bottom] = cv2.copyTo(upper, mask, picture[:bottom])
        return picture


def _warp(texture: np.ndarray, to_picture: np.ndarray, picture: np.ndarray, top: int, bottom: int) -> None:
    """Fill rows top..bottom of the picture with a repeated texture."""
    if top >= bottom:
        return
    shift = np.array([[1.0, 0, 0], [0, 1, -top], [0, 0, 1]])
    size = (picture.shape[1], bottom - top)
    picture[top:bottom] = cv2.warpPerspective(texture, shift @ to_picture, size, borderMode=cv2.BORDER_REFLECT)


def _texture_scale(metres: float, *, flip: bool = False) -> np.ndarray:
    """From texture pixels to metres on the plane; a wall's texture has its middle at the height of 2 m."""
    step = metres / TEXTURE
    if flip:
        return np.array([[step, 0, -metres / 2], [0, -step, metres / 2 + 2.0], [0, 0, 1]])
    return np.array([[step, 0, -metres / 2], [0, step, -metres / 2], [0, 0, 1]])


def draw_occluder(
    rng: np.random.Generator, *, camera: Viewpoint, middle: np.ndarray, stature: float, chance: float
) -> list[Part]:
    """Sometimes a post or a low barrier between camera and person; it hides a limb or two, or the lower legs."""
    if rng.random() >= chance:
        return []
    toward = camera.position[0, :2] - middle[:2]
    toward /= np.linalg.norm(toward)
    along = np.array([-toward[1], toward[0]])
    base = middle[:2] + rng.uniform(0.8, 1.3) * toward
    blue, green, red = rng.uniform(30, 200, 3).tolist()
    if rng.random() < 0.5:
        foot = base + rng.choice([-1, 1]) * rng.uniform(0.12, 0.45) * along
        corners, radius = [(*foot, 0.0), (*foot, 1.3 * stature)], rng.uniform(0.03, 0.07)
    else:
        ends = [base - 2.5 * along, base + rng.choice([0.0, 0.2, 2.5]) * along]
        top = rng.uniform(0.12, 0.3) * stature
        corners, radius = [(*end, z) for end in ends for z in (0.03, top)], 0.02
    places = np.repeat(np.array(corners)[None], len(camera.position), axis=0)
    return [Part(places=places, radii=np.full(len(corners), radius), colour=(blue, green, red))]
