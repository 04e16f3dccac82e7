"""Skeletons and captions in a picture; sizes follow the picture's, so a small video stays readable."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from pan_core.errors import DataError
from pan_core.skeletons import SkeletonLayout
from pan_core.viewer.lettering import readable

Colour = tuple[int, int, int]

# Okabe and Ito's colours as blue, green, red: one a person, told apart by colour-blind viewers, too.
PEOPLE: tuple[Colour, ...] = (
    (233, 180, 86), (0, 159, 230), (115, 158, 0), (167, 121, 204), (66, 228, 240), (0, 94, 213), (178, 114, 0),
)  # fmt: skip
FONT = cv2.FONT_HERSHEY_SIMPLEX
# Lines are placed to 1/16 pixel; rounding to whole pixels makes a slow limb jump.
SHIFT = 4
# Attention of so many even shares has the brightest colour. A fixed scale: one by each frame's maximum would flicker.
FULL_ATTENTION = 4.0
# Line widths are made for a person of this many pixels from end to end, in a picture of 240 lines or more.
USUAL_PERSON = 110.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


def person_colour(person: int) -> Colour:
    """Colour of a person by track number; it repeats after seven."""
    return PEOPLE[person % len(PEOPLE)]


def draw_skeleton(
    frame: np.ndarray,
    joints: np.ndarray,
    layout: SkeletonLayout,
    *,
    attention: np.ndarray | None = None,
    colour: Colour = PEOPLE[0],
    min_score: float = 0.05,
) -> None:
    """Draw one person into the frame, in place; a joint that was not found is left out with its bones.

    Args:
        frame: Picture, shape (height, width, 3), uint8, blue-green-red.
        joints: x and y in pixels and score, shape (V, 3).
        layout: Joints and bones.
        attention: Weight of each joint, shape (V,): shown by the colour and size of the joints.
        colour: Colour of bones, and of joints without attention.
        min_score: Joints below this score are not drawn.

    Raises:
        DataError: If an array's shape does not fit the layout.
    """
    if joints.shape != (layout.size, 3):
        raise DataError(
            f"Expected `joints` to have shape ({layout.size}, 3), but got {joints.shape}", code="drawing.shape"
        )
    if attention is not None and attention.shape != (layout.size,):
        raise DataError(
            f"Expected `attention` to have shape ({layout.size},), but got {attention.shape}", code="drawing.shape"
        )
    seen = np.isfinite(joints).all(axis=1) & (joints[:, 2] >= max(min_score, 1e-9))
    # Places far outside would overflow OpenCV's integers; they are not visible anyway.
    limit = 4 * max(frame.shape[:2])
    places = np.clip(np.where(seen[:, None], joints[:, :2], 0), -limit, limit)
    points = np.round(places * (1 << SHIFT)).astype(int)
    unit = _line_unit(frame, places[seen])
    for parent, child in layout.bones:
        if seen[parent] and seen[child]:
            _draw_line(frame, points[parent], points[child], (30, 30, 30), max(2, round(4 * unit)))
            _draw_line(frame, points[parent], points[child], colour, max(1, round(2 * unit)))
    for joint in np.flatnonzero(seen).tolist():
        fill, radius = _joint_style(joint, attention, colour)
        size = max(1.2, radius * unit)
        _draw_disc(frame, points[joint], size + max(0.6, 0.5 * unit), (30, 30, 30))
        _draw_disc(frame, points[joint], size, fill)


def _line_unit(frame: np.ndarray, places: np.ndarray) -> float:
    """Pixels of a line of width 1: by the picture's size, thinner for a person who is small in it."""
    picture = min(frame.shape[:2]) / 240
    extent = float(np.ptp(places, axis=0).max()) if len(places) else 0.0
    return max(min(picture, extent / USUAL_PERSON), 0.35 * picture)


def _draw_line(frame: np.ndarray, start: np.ndarray, end: np.ndarray, colour: Colour, thickness: int) -> None:
    cv2.line(frame, start.tolist(), end.tolist(), colour, thickness, cv2.LINE_AA, SHIFT)


def _draw_disc(frame: np.ndarray, centre: np.ndarray, radius: float, colour: Colour) -> None:
    cv2.circle(frame, centre.tolist(), round(radius * (1 << SHIFT)), colour, cv2.FILLED, cv2.LINE_AA, SHIFT)


def _joint_style(joint: int, attention: np.ndarray | None, colour: Colour) -> tuple[Colour, float]:
    """Fill and radius of a joint, in pixels of a picture of 240 lines."""
    if attention is None:
        return colour, 2.2
    strength = float(np.clip(attention[joint] * len(attention) / FULL_ATTENTION, 0, 1))
    shade = np.full((1, 1), round(255 * strength), dtype=np.uint8)
    blue, green, red = cv2.applyColorMap(shade, cv2.COLORMAP_VIRIDIS)[0, 0]
    return (int(blue), int(green), int(red)), 1.8 + 4.0 * strength


def draw_caption(
    frame: np.ndarray,
    lines: str | Sequence[str],
    *,
    anchor: tuple[float, float] = (0, 0),
    colour: Colour = PEOPLE[0],
    above: bool = False,
    avoid: Sequence[Box] = (),
) -> Box:
    """Write lines on a dark box with a coloured edge, in place; the box is moved and shrunk to stay in the picture.

    Args:
        frame: Picture, shape (height, width, 3), uint8.
        lines: One or more lines of text.
        anchor: x and y in pixels of the box's upper left corner, or of its lower left corner with `above`.
        colour: Colour of the edge.
        above: Place the box above the anchor, as for a caption over somebody's head.
        avoid: Boxes that are not to be covered: where there is room, the new one goes above or below them.

    Returns:
        The box that was drawn.
    """
    texts = [readable(text, _has_glyph) for text in ([lines] if isinstance(lines, str) else lines)]
    height, width = frame.shape[:2]
    scale = max(0.35, min(height, width) / 520)
    pad = max(2, round(8 * scale))
    room = max(width - 3 * pad, 1)
    widest = max(cv2.getTextSize(text, FONT, scale, 1)[0][0] for text in texts)
    scale *= min(1.0, room / max(widest, 1))
    step = round(30 * scale) + 2
    wide = round(min(widest, room)) + 3 * pad
    tall = step * len(texts) + pad
    left = int(np.clip(anchor[0], 0, max(width - wide, 0)))
    top = int(np.clip(anchor[1] - (tall if above else 0), 0, max(height - tall, 0)))
    box = _move_free(Box(left, top, min(left + wide, width), min(top + tall, height)), avoid, height)
    patch = frame[box.top : box.bottom, box.left : box.right]
    patch[:] = (patch * 0.25 + np.array([24, 20, 16]) * 0.75).astype(np.uint8)
    patch[:, : max(2, pad // 2)] = colour
    for number, text in enumerate(texts):
        place = (box.left + 2 * pad, box.top + step * (number + 1) - round(4 * scale))
        cv2.putText(frame, text, place, FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return box


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    """Whether OpenCV's font draws a character; others look like a question mark."""
    return character.isprintable() and (character.isascii() or _drawn_alone(character) != _drawn_alone("?"))


def _drawn_alone(character: str) -> bytes:
    picture = np.zeros((60, 90), np.uint8)
    cv2.putText(picture, character, (10, 40), FONT, 1.0, (255,), 1, cv2.LINE_AA)
    return picture.tobytes()


def _move_free(box: Box, taken: Sequence[Box], height: int) -> Box:
    """The box at the nearest height where it covers none of the others; where it was if there is none."""
    tall = box.bottom - box.top
    beside = [other for other in taken if other.left < box.right and box.left < other.right]
    tops = [box.top, *(other.top - tall for other in beside), *(other.bottom for other in beside)]
    for top in sorted(tops, key=lambda top: abs(top - box.top)):
        inside = 0 <= top <= height - tall
        if inside and not any(other.top < top + tall and top < other.bottom for other in beside):
            return replace(box, top=top, bottom=top + tall)
    return box
