"""People of any size in a whole frame, as boxes: NanoDet (Lyu, 2021), which learnt on COCO.

The network is built in (`pretrained/nanodet.onnx`). Of its eighty classes only people are kept. A side of a box is a
distribution over distances from the cell's centre (generalised focal loss, Li et al. 2020); its mean is the distance.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pan_core.errors import DataError
from pan_core.runtimes.session import Opener, may_have_shape, open_model

# Longer side of the picture that the network sees, and of one in which only large people are looked for: half the cost.
SIDE, GLANCE_SIDE = 416, 320
STRIDES = (8, 16, 32)
DISTANCES = 11
CELLS = sum((SIDE // stride) ** 2 for stride in STRIDES)
INPUTS = {"images": (1, 3, SIDE, SIDE)}
OUTPUTS = {"scores": (1, CELLS), "distances": (1, CELLS, 4 * DISTANCES)}
MEAN, STD = np.array([103.53, 116.28, 123.675], np.float32), np.array([57.375, 57.12, 58.395], np.float32)
# A box less sure than this is no person. Low, because a look at the joints follows and refuses what has none.
# A glance is less sure of the same people: of the actors in every second training clip of JHMDB (split 1), one with 416 pixels finds
# 93.6 %, one with 320 pixels 93.0 % from 0.25 on and 94.5 % from 0.2 on.
MIN_SCORE, MIN_GLANCE_SCORE = 0.25, 0.2
# Of two boxes that share more than this of their union, the surer one stays.
MAX_OVERLAP = 0.5
MOST_BOXES = 8
# A close search also looks at parts of the frame, squares of such a share of its longer side, in which people are larger.
PART_SHARE = 0.6


class PersonDetector:
    """Detector on one processor core.

    Args:
        model: The network's file.
        threads: Processor cores.
        opener: Opens the network where it is to run.

    Raises:
        DataError: If the file is missing or another network.
    """

    def __init__(self, model: Path, *, threads: int = 1, opener: Opener = open_model) -> None:
        self._session = session = opener(model, threads=threads)
        named = set(session.inputs) == set(INPUTS) and set(OUTPUTS) <= set(session.outputs)
        if not named or not all(may_have_shape(session, name, shape) for name, shape in (INPUTS | OUTPUTS).items()):
            found = ", ".join(f"{name} {session.shapes.get(name, '')}" for name in (*session.inputs, *session.outputs))
            expected = ", ".join(f"{name} {shape}" for name, shape in (INPUTS | OUTPUTS).items())
            raise DataError(
                f"{model}: not the detector that is supported, NanoDet with {expected}; it has {found}. Name a copy of the "
                "built-in nanodet.onnx as detector, or declare a finder instead (docs/pose.md)",
                code="pose-model.other-detector",
            )
        # A file made for one size, such as a device's, sees a square of it; others see no more than the frame.
        self._fixed = any(isinstance(length, int) for length in session.shapes.get("images", (SIDE,) * 4)[2:])

    def __call__(self, frame: np.ndarray, *, turn: int = 0, closely: bool = False) -> np.ndarray:
        """Boxes of people, the surest first.

        Args:
            frame: (H, W, 3) uint8, BGR.
            turn: Quarter turns, counter-clockwise, after which the people are upright; those who lie are seldom found otherwise.
            closely: Whether to find small people, too, which takes three to five times as long.

        Returns:
            (N, 5) left, top, right, bottom in pixels of the frame, score; at most `MOST_BOXES`.
        """
        frame = np.ascontiguousarray(np.rot90(frame, turn))
        height, width = frame.shape[:2]
        found = [self._detect(frame, SIDE if closely else GLANCE_SIDE)]
        for left, top, side in _parts(width, height) if closely else ():
            boxes = self._detect(frame[top : top + side, left : left + side], SIDE)
            found.append(boxes + np.array([left, top, left, top, 0]))
        return _turn_back(_drop_overlapping(np.concatenate(found))[:MOST_BOXES], turn, width, height)

    def _detect(self, picture: np.ndarray, side: int) -> np.ndarray:
        planes, scale = _prepare(picture, SIDE if self._fixed else side, square=self._fixed)
        scores, distances = (one[0] for one in self._session.run({"images": planes}, ["scores", "distances"]))
        sure = np.flatnonzero(scores >= (MIN_SCORE if side == SIDE else MIN_GLANCE_SCORE))
        shares = np.exp(distances[sure].reshape(-1, 4, DISTANCES))
        shares /= shares.sum(axis=2, keepdims=True)
        x, y, stride = _cell_centres(*planes.shape[2:])[sure].T
        left, top, right, bottom = ((shares @ np.arange(DISTANCES)) * stride[:, None]).T
        boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=1) / scale
        return np.concatenate([boxes, scores[sure, None]], axis=1)


def _parts(width: int, height: int) -> list[tuple[int, int, int]]:
    """Left, top and side of squares that cover a frame, each overlapping the next."""
    side = round(PART_SHARE * max(width, height))
    places = [sorted({0, max(0, length - side)}) for length in (width, height)]
    return [(left, top, side) for top in places[1] for left in places[0]]


@lru_cache(maxsize=16)
def _cell_centres(height: int, width: int) -> np.ndarray:
    """Centre and stride of each cell that answers, (cells, 3), in pixels of the input; 3549 cells for a square of 416."""
    levels = []
    for stride in STRIDES:
        y, x = np.divmod(np.arange((height // stride) * (width // stride)), width // stride)
        levels.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(len(x), stride)], axis=1))
    return np.concatenate(levels)


def _prepare(frame: np.ndarray, side: int, *, square: bool) -> tuple[np.ndarray, float]:
    """The frame in the upper left corner of the network's input, and its scale; the rest is the mean colour.

    Returns:
        (1, 3, H, W), its longer side `side`, the other one as the frame needs it unless it is to be a square.
    """
    scale = side / max(frame.shape[:2])
    height, width = (max(1, round(length * scale)) for length in frame.shape[:2])
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    across = STRIDES[-1]
    sides = (side, side) if square else tuple(-(-length // across) * across for length in (height, width))
    planes = np.zeros((1, 3, *sides), np.float32)
    planes[0, :, :height, :width] = ((small - MEAN) / STD).transpose(2, 0, 1)
    return planes, scale


def _turn_back(boxes: np.ndarray, turn: int, width: int, height: int) -> np.ndarray:
    """Boxes (N, 5) of a frame that was turned, and has these sides, in the frame as it was."""
    left, top, right, bottom, score = boxes.T
    for _ in range(turn % 4):
        left, top, right, bottom = height - bottom, left, height - top, right
        width, height = height, width
    return np.stack([left, top, right, bottom, score], axis=1)


def _drop_overlapping(boxes: np.ndarray) -> np.ndarray:
    """Non-maximum suppression of boxes (N, 5), the surest first."""
    corners = boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]
    kept = cv2.dnn.NMSBoxes(np.hstack(corners).tolist(), boxes[:, 4].tolist(), 0.0, MAX_OVERLAP)
    return boxes[np.asarray(kept, int)]
