"""People of any size in a whole frame, as boxes: NanoDet (Lyu, 2021), which learnt on COCO.

The network is built in (`pretrained/nanodet.onnx`). Of its eighty classes only people are kept. A side of a box is a
distribution over distances from the cell's centre (generalised focal loss, Li et al. 2020); its mean is the distance.
"""

from pathlib import Path

import cv2
import numpy as np

from pan_core.errors import DataError
from pan_core.runtimes.session import Opener, may_have_shape, open_model

SIDE = 416
STRIDES = (8, 16, 32)
DISTANCES = 11
CELLS = sum((SIDE // stride) ** 2 for stride in STRIDES)
INPUTS = {"images": (1, 3, SIDE, SIDE)}
OUTPUTS = {"scores": (1, CELLS), "distances": (1, CELLS, 4 * DISTANCES)}
MEAN, STD = np.array([103.53, 116.28, 123.675], np.float32), np.array([57.375, 57.12, 58.395], np.float32)
# A box less sure than this is no person. Low, because a look at the joints follows and refuses what has none.
MIN_SCORE = 0.25
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
        self._cells = _cell_centres()

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
        found = [self._detect(frame)]
        for left, top, side in _parts(width, height) if closely else ():
            boxes = self._detect(frame[top : top + side, left : left + side])
            found.append(boxes + np.array([left, top, left, top, 0]))
        return _turn_back(_drop_overlapping(np.concatenate(found))[:MOST_BOXES], turn, width, height)

    def _detect(self, picture: np.ndarray) -> np.ndarray:
        scale = SIDE / max(picture.shape[:2])
        planes = _prepare(picture, scale)
        scores, distances = (one[0] for one in self._session.run({"images": planes}, ["scores", "distances"]))
        sure = np.flatnonzero(scores >= MIN_SCORE)
        shares = np.exp(distances[sure].reshape(-1, 4, DISTANCES))
        shares /= shares.sum(axis=2, keepdims=True)
        x, y, stride = self._cells[sure].T
        left, top, right, bottom = ((shares @ np.arange(DISTANCES)) * stride[:, None]).T
        boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=1) / scale
        return np.concatenate([boxes, scores[sure, None]], axis=1)


def _parts(width: int, height: int) -> list[tuple[int, int, int]]:
    """Left, top and side of squares that cover a frame, each overlapping the next."""
    side = round(PART_SHARE * max(width, height))
    places = [sorted({0, max(0, length - side)}) for length in (width, height)]
    return [(left, top, side) for top in places[1] for left in places[0]]


def _cell_centres() -> np.ndarray:
    """Centre and stride of each cell that answers, (3549, 3), in pixels of the input."""
    levels = []
    for stride in STRIDES:
        across = SIDE // stride
        y, x = np.divmod(np.arange(across**2), across)
        levels.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(len(x), stride)], axis=1))
    return np.concatenate(levels)


def _prepare(frame: np.ndarray, scale: float) -> np.ndarray:
    """The frame in the upper left corner of the network's input, (1, 3, SIDE, SIDE); the rest is the mean colour."""
    width, height = (max(1, round(side * scale)) for side in frame.shape[1::-1])
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    planes = np.zeros((1, 3, SIDE, SIDE), np.float32)
    planes[0, :, :height, :width] = ((small - MEAN) / STD).transpose(2, 0, 1)
    return planes


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
    kept = cv2.dnn.NMSBoxes(np.hstack(corners).tolist(), boxes[:, 4].tolist(), MIN_SCORE, MAX_OVERLAP)
    return boxes[np.asarray(kept, int)]
