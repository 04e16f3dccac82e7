"""Drawing a scene: people from far to near, faces, shadows, lens and sensor; with the true joints."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pan_core.datasets.actors.appearance import Colour, Look, Part
from pan_core.datasets.actors.backdrop import Backdrop, Background
from pan_core.datasets.actors.kinematics import POINTS, SIDES
from pan_core.datasets.actors.shapes import SHIFT, ProjectedPart, fill_disc, seen_joints
from pan_core.datasets.actors.viewpoint import Viewpoint
from pan_core.skeletons import OPENPOSE18

HIDDEN_SCORE = 0.5


@dataclass(frozen=True)
class DrawnPerson:
    """One person of a scene.

    Attributes:
        points: Shape (T, P, 3), places of all `POINTS`.
        parts: What the person is drawn from.
        look: Colours and clothes.
        height: Standing height in metres.
    """

    points: np.ndarray
    parts: list[Part]
    look: Look
    height: float


class _Details:
    """Face and shirt print of a person, drawn where they are turned to the camera."""

    def __init__(self, person: DrawnPerson, camera: Viewpoint) -> None:
        self.pixels, self.depths = camera.project(person.points)
        self.scale = camera.focal * person.height
        self.look = person.look

    def draw(self, kind: str, picture: np.ndarray, frame: int) -> None:
        """Paint the "face" or the "print"."""
        if kind == "face":
            self._draw_face(picture, frame)
        elif self.look.print is not None:
            self._draw_print(picture, frame, self.look.print)

    def _draw_face(self, picture: np.ndarray, frame: int) -> None:
        head = self.depths[frame, POINTS.index("head")]
        unit, skin = self.scale / head, self.look.skin
        for side in SIDES:
            self._draw_ear(picture, frame, POINTS.index(f"{side}_ear"), head)
            self._draw_eye(picture, frame, POINTS.index(f"{side}_eye"), head)
        nose = POINTS.index("nose")
        if self.depths[frame, nose] < head + 0.02:
            place = self.pixels[frame, nose]
            fill_disc(picture, place, (0.010 * unit, 0.011 * unit), tuple(0.72 * c for c in skin))
            fill_disc(picture, place - 0.003 * unit, (0.007 * unit, 0.009 * unit), tuple(1.06 * c for c in skin))
        corners = [POINTS.index(f"{side}_mouth") for side in SIDES]
        if self.depths[frame, corners].mean() < head - 0.02:
            ends = np.round(self.pixels[frame, corners] * (1 << SHIFT)).astype(int).tolist()
            cv2.line(picture, ends[0], ends[1], (60, 50, 130), 1, cv2.LINE_AA, SHIFT)

    def _draw_eye(self, picture: np.ndarray, frame: int, eye: int, head: float) -> None:
        if self.depths[frame, eye] > head - 0.012:
            return
        place, unit = self.pixels[frame, eye], self.scale / head
        fill_disc(picture, place, (0.0125 * unit, 0.009 * unit), (235, 235, 235))
        fill_disc(picture, place, (0.006 * unit, 0.007 * unit), (30, 30, 35))
        fill_disc(picture, place - (0, 0.017 * unit), (0.014 * unit, 0.004 * unit), self.look.hair)

    def _draw_ear(self, picture: np.ndarray, frame: int, ear: int, head: float) -> None:
        if self.depths[frame, ear] > head + 0.02:
            return
        place, unit = self.pixels[frame, ear], self.scale / head
        fill_disc(picture, place, (0.011 * unit, 0.017 * unit), tuple(0.62 * c for c in self.look.skin))
        fill_disc(picture, place, (0.007 * unit, 0.012 * unit), tuple(0.95 * c for c in self.look.skin))

    def _draw_print(self, picture: np.ndarray, frame: int, colour: Colour) -> None:
        chest, front = self.depths[frame, [POINTS.index("chest"), POINTS.index("chest_front")]]
        if chest - front > 0.05:
            unit = self.scale / front
            fill_disc(picture, self.pixels[frame, POINTS.index("chest_front")], (0.03 * unit, 0.025 * unit), colour)


def film(
    *,
    people: list[DrawnPerson],
    things: list[Part],
    camera: Viewpoint,
    backdrop: Backdrop,
    middle: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw a scene.

    Args:
        people: Who is seen; the parts of person m have the owner m.
        things: Furniture and what stands in the way.
        camera: Where it is seen from.
        backdrop: Where it is.
        middle: Shape (2,) or (3,), the place on the ground behind which the wall stands.
        rng: Source of the sensor noise.

    Returns:
        Frames (T, H, W, 3) uint8 BGR.
    """
    parts = [part for person in people for part in person.parts] + things
    items = [ProjectedPart(part, camera, backdrop.light) for part in parts]
    shadows = [ProjectedPart(_flatten(part, backdrop.sun), camera, scale=0.5) for part in parts]
    details = [_Details(person, camera) for person in people]
    background = Background(backdrop=backdrop, camera=camera, middle=middle)
    grain = _grain(rng, backdrop.noise, camera)
    frames = np.empty((len(camera.position), camera.height, camera.width, 3), np.uint8)
    for index, frame in enumerate(frames):
        picture = _shade(background.frame(index), shadows, index, backdrop.shadow)
        for item in sorted(items, key=lambda item: -item.order[index]):
            item.draw(picture, index)
            if item.part.detail:
                details[item.part.owner].draw(item.part.detail, picture, index)
        picture = cv2.GaussianBlur(picture, (5, 5), backdrop.blur)
        top, left = rng.integers(0, 64, 2)
        noise = grain[top : top + camera.height, left : left + camera.width]
        cv2.addWeighted(picture, backdrop.exposure, noise, 1.0, -128.0, dst=frame)
    return frames


def true_joints(*, people: list[DrawnPerson], things: list[Part], camera: Viewpoint) -> np.ndarray:
    """Joints of a scene's people, shape (M, T, 18, 3), float32, in the layout openpose18.

    The last axis is x, y in pixels and a score: 1 for a joint that is seen, 0.5 for one that lies in the picture but
    is hidden by the body, another person or a thing, and 0, with NaN for x and y, for one outside the picture.
    """
    parts = [part for person in people for part in person.parts] + things
    items = [ProjectedPart(part, camera) for part in parts]
    places, depths = zip(*(camera.project(person.points[:, : OPENPOSE18.size]) for person in people), strict=True)
    pixels = np.stack(places)
    inside = np.all((pixels >= 0) & (pixels <= (camera.width - 1, camera.height - 1)), axis=-1)
    score = np.where(seen_joints(items, pixels, np.stack(depths)), 1.0, HIDDEN_SCORE) * inside
    found = np.where(inside[..., None], pixels, np.nan)
    return np.concatenate([found, score[..., None]], axis=-1).astype(np.float32)


def _flatten(part: Part, sun: np.ndarray) -> Part:
    """The part pressed on the ground along the light: its shadow."""
    places = part.places.copy()
    places[..., :2] += places[..., 2:] * sun
    places[..., 2] = 0.0
    return replace(part, places=places, radii=0.8 * part.radii)


def _shade(picture: np.ndarray, shadows: list[ProjectedPart], frame: int, darkness: float) -> np.ndarray:
    mask = np.zeros((picture.shape[0] // 2, picture.shape[1] // 2), np.uint8)
    for shadow in shadows:
        cv2.fillConvexPoly(mask, shadow.outline(frame), 255, cv2.LINE_8, SHIFT)
    mask = cv2.resize(cv2.GaussianBlur(mask, (9, 9), 1.5), picture.shape[1::-1])
    light = cv2.cvtColor(255 - cv2.convertScaleAbs(mask, alpha=darkness), cv2.COLOR_GRAY2BGR)
    return cv2.multiply(picture, light, scale=1 / 255)


def _grain(rng: np.random.Generator, deviation: float, camera: Viewpoint) -> np.ndarray:
    """Sensor noise around 128, larger than the picture so that each frame takes another cut of it."""
    shape = (camera.height + 64, camera.width + 64, 3)
    return (128.5 + deviation * rng.standard_normal(shape, dtype=np.float32)).clip(0, 255).astype(np.uint8)
