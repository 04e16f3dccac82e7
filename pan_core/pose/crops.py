"""Geometry between a frame and the network's input: square crops around people, and the whole frame made smaller."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pan_core.pose.maps import STRIDE
from pan_core.skeletons import OPENPOSE18

# What the network saw beyond the borders of its training pictures.
BORDER_VALUE = 128
# The outermost joints are eyes and ankles; hands overhead, feet and the next step need room around them.
CROP_MARGIN = 1.5
MIN_CROP_SIDE = 32.0
# Few shapes of crops: for each new one the runtime plans its memory anew.
SIDE_STEP = 16
# Length of limbs as a share of the stature, from the segment lengths of Drillis and Contini (1966).
LIMB_SHARES = {
    (1, 2): 0.129, (1, 5): 0.129, (1, 8): 0.303, (1, 11): 0.303, (1, 0): 0.115, (2, 3): 0.186, (5, 6): 0.186,
    (3, 4): 0.146, (6, 7): 0.146, (8, 9): 0.245, (11, 12): 0.245, (9, 10): 0.246, (12, 13): 0.246,
}  # fmt: skip
# Limbs that point to the camera look short and wrong joints make some look long: so a high quantile.
STATURE_QUANTILE = 0.75


# A crop is turned where its person leans by more than this, in degrees; above 45, so that it does not flicker.
TURN_AT = 60.0


@dataclass(frozen=True)
class Square:
    """Where to look for a person; a square, or an upright rectangle in it where a part of it would show nothing new.

    Attributes:
        centre: (2,) x, y in pixels of the frame.
        side: Longer side in pixels.
        turn: Quarter turns, counter-clockwise, after which the person stands upright in the crop. The network was
            trained on people who stand or sit and hardly finds those who lie.
        shares: Width and height in the frame, as shares of `side`.
    """

    centre: np.ndarray
    side: float
    turn: int = 0
    shares: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class NetworkInput:
    """A picture for the network and where it was taken from.

    Attributes:
        image: (h, w, 3) uint8, sides multiples of 8.
        origin: (2,) x, y of the upper left corner in the frame, in pixels.
        scale: (2,) frame pixels for one pixel of the picture before it was turned.
        turn: Quarter turns, counter-clockwise, by which `image` was turned.
    """

    image: np.ndarray
    origin: np.ndarray
    scale: np.ndarray
    turn: int = 0

    def to_frame(self, joints: np.ndarray) -> np.ndarray:
        """Joints (..., 3) from pixels of `image` to pixels of the frame."""
        x, y = joints[..., 0], joints[..., 1]
        bottom, right = self.image.shape[0] - 1, self.image.shape[1] - 1
        straight = [(x, y), (bottom - y, x), (right - x, bottom - y), (y, right - x)][self.turn]
        placed = joints.copy()
        placed[..., :2] = self.origin + (np.stack(straight, axis=-1) + 0.5) * self.scale - 0.5
        return placed


def extent(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (2,) and sides (2,) of the upright box around the joints that were found.

    Args:
        joints: (V, 3), at least one joint with a score above 0.
    """
    places = joints[joints[:, 2] > 0, :2]
    low, high = places.min(axis=0), places.max(axis=0)
    return (low + high) / 2, high - low


def statures(people: np.ndarray) -> np.ndarray:
    """Height in pixels that each person would have standing, from the limbs found; 0 without any.

    Args:
        people: (N, V, 3) poses.
    """
    limbs, shares = np.array(list(LIMB_SHARES)), np.array(list(LIMB_SHARES.values()))
    ends = people[:, limbs]  # (N, limbs, 2 ends, 3)
    found = np.all(ends[..., 2] > 0, axis=2)
    heights = np.where(found, np.linalg.norm(ends[:, :, 0, :2] - ends[:, :, 1, :2], axis=2) / shares, np.inf)
    heights = np.sort(np.append(heights, np.zeros((len(people), 1)), axis=1), axis=1)  # a person without limbs has 0
    # The quantile over the limbs found, as np.nanquantile has it at forty times the price.
    place = np.maximum(STATURE_QUANTILE * (found.sum(axis=1) - 1), -1) + 1
    below = np.floor(place).astype(int)
    above, part = np.minimum(below + 1, found.sum(axis=1)), place - below
    rows = np.arange(len(people))
    return heights[rows, below] * (1 - part) + heights[rows, above] * part


def square_around(joints: np.ndarray, *, turn: int = 0) -> Square:
    """Crop around a pose (V, 3), with the margin that the next frame needs.

    Its side is never below the person's stature. A crop around the found joints alone closes in on a face as soon
    as the rest of a body is missed once, and then the rest is never found again.

    Args:
        joints: Pose in pixels of the frame.
        turn: Turn of the crop so far; kept unless the person leans far from upright in it.
    """
    centre, sides = extent(joints)
    longer = float(sides.max())
    wanted = max(longer * CROP_MARGIN, float(statures(joints[None])[0]), MIN_CROP_SIDE)
    # The same room on all sides.
    width, height = (float(side) + wanted - longer for side in sides)
    return Square(centre, wanted, upright_turn(joints, turn=turn), (width / wanted, height / wanted))


def upright_turn(joints: np.ndarray, *, turn: int) -> int:
    """Quarter turns that set a pose (V, 3) upright, by its torso; `turn` where that is still good or unknown."""
    ends = [joints[list(group)] for group in OPENPOSE18.torso]
    places = [end[end[:, 2] > 0, :2] for end in ends]
    if not all(len(place) for place in places):
        return turn
    upper, lower = (place.mean(axis=0) for place in places)
    right, down = lower - upper
    lean = math.degrees(math.atan2(right, down))
    off = (lean + 90 * turn + 180) % 360 - 180
    return turn if abs(off) <= TURN_AT else round(-lean / 90) % 4


def cut_square(frame: np.ndarray, square: Square, *, size: int, narrowest: float = 1.0) -> NetworkInput:
    """Part of a frame, resized to at most `size` x `size` and turned; what lies outside the frame is grey.

    Args:
        frame: (H, W, 3) uint8.
        square: What to cut; rounded to whole pixels.
        size: Longer side of the result.
        narrowest: Smallest share of `size` for its shorter side; 1 always cuts a square.
    """
    shares = [float(np.clip(share, narrowest, 1.0)) for share in square.shares]
    target = [min(size, math.ceil(size * share / SIDE_STEP) * SIDE_STEP) for share in shares]
    return _cut_rectangle(frame, square, sides=[square.side * side / size for side in target], target=target)


def cut_region(frame: np.ndarray, square: Square, *, target: tuple[int, int]) -> NetworkInput:
    """As `cut_square`, but in the shape that a model asks for: all that `square` holds, and more at two sides.

    Args:
        frame: (H, W, 3) uint8.
        square: What to cut.
        target: Width and height of the result, after the turn.
    """
    before = target if square.turn % 2 == 0 else target[::-1]
    scale = max(square.side * share / side for share, side in zip(square.shares, before, strict=True))
    return _cut_rectangle(frame, square, sides=[scale * side for side in before], target=list(before))


def _cut_rectangle(frame: np.ndarray, square: Square, *, sides: list[float], target: list[int]) -> NetworkInput:
    height, width = frame.shape[:2]
    across, down = (max(STRIDE, round(side)) for side in sides)
    left, top = np.round(square.centre - (across / 2, down / 2)).astype(int)
    x0, x1 = np.clip([left, left + across], 0, width)
    y0, y1 = np.clip([top, top + down], 0, height)
    part = np.full((down, across, 3), BORDER_VALUE, np.uint8)
    part[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    image = np.rot90(_resize(part, target[0], target[1]), square.turn)
    scale = np.array([across / target[0], down / target[1]])
    return NetworkInput(image, np.array([left, top], float), scale, square.turn)


def shrink_frame(frame: np.ndarray, *, size: tuple[int, int], turn: int = 0) -> NetworkInput:
    """Whole frame, scaled to fit into `size` with its proportions and turned, sides rounded to multiples of 8.

    Args:
        frame: (H, W, 3) uint8.
        size: Largest width and height before the turn.
        turn: Quarter turns, counter-clockwise.
    """
    height, width = frame.shape[:2]
    ratio = min(size[0] / width, size[1] / height)
    target = [max(STRIDE, round(side * ratio / STRIDE) * STRIDE) for side in (width, height)]
    scale = np.array([width / target[0], height / target[1]])
    return NetworkInput(np.rot90(_resize(frame, *target), turn), np.zeros(2), scale, turn)


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    shrinking = image.shape[1] > width
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
