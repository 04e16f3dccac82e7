"""Whether a skeleton is on the person that it should be on, by a box around that person."""

import csv
import gzip
from pathlib import Path

import numpy as np

from pan_core.errors import DataError

LEAST_JOINTS, LEAST_INSIDE, LEAST_EXTENT, WIDENED = 5, 0.8, 0.4, 0.1
SIDES = ("x0", "y0", "x1", "y1")

Boxes = dict[str, dict[int, np.ndarray]]
"""Box of a person (x0, y0, x1, y1) in pixels, by video and frame."""


def read_boxes(path: Path, *, video: str) -> Boxes:
    """Read boxes from a CSV file, gzipped or not, with the columns frame, x0, y0, x1, y1 and the name of the video.

    Args:
        path: The file.
        video: Name of the column that names the video.

    Raises:
        DataError: If the file is not such a table.
    """
    boxes: Boxes = {}
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for row in csv.DictReader(file):
                box = np.array([float(row[side]) for side in SIDES])
                boxes.setdefault(row[video], {})[int(row["frame"])] = box
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not a table of boxes ({type(error).__name__}: {error}); expected the columns {video}, frame, "
            f"{', '.join(SIDES)}",
            code="benchmark.bad-boxes",
        ) from error
    return boxes


def box_at(boxes: dict[int, np.ndarray], frame: int) -> np.ndarray:
    """Box (4,) in a frame, between two annotated ones in proportion to the time."""
    frames = sorted(boxes)
    return np.array([np.interp(frame, frames, [boxes[one][side] for one in frames]) for side in range(4)])


def is_on_actor(pose: np.ndarray, box: np.ndarray) -> bool:
    """Whether a skeleton is on the person in a box.

    At least five joints are seen, 80 % of them lie in the box widened by a tenth of its sides, and they span at least
    0.4 of its longer side.

    Args:
        pose: (V, 3) x, y, score; score 0 where a joint was not found.
        box: (4,) x0, y0, x1, y1.
    """
    places = pose[pose[:, 2] > 0, :2]
    if len(places) < LEAST_JOINTS:
        return False
    sides = box[2:] - box[:2]
    inside = ((places >= box[:2] - WIDENED * sides) & (places <= box[2:] + WIDENED * sides)).all(axis=1)
    return bool(inside.mean() >= LEAST_INSIDE and np.ptp(places, axis=0).max() >= LEAST_EXTENT * sides.max())
