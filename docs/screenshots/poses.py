"""Make the picture of docs/pose.md again: frames of real clips with the skeletons that are extracted from them.

python docs/screenshots/poses.py OUT.png VIDEO:FRAME...

FRAME counts from 0; the tracker sees the 30 frames before it, too. Needs models/pose/pose.onnx.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.video import FrameReader
from pan_core.viewer.drawing import draw_skeleton, person_colour

HEIGHT = 240
BEFORE = 30


def shown(extractor: PoseExtractor, video: Path, wanted: int) -> np.ndarray:
    """A frame of a video with everybody's skeleton."""
    tracker, step = extractor.tracker(), 2
    with FrameReader(video) as reader:
        for number, frame in enumerate(reader.frames(step=step)):
            if number * step < wanted - BEFORE:
                continue
            people = tracker.update(frame)
            if number * step >= wanted:
                break
    for track, joints in people:
        draw_skeleton(frame, joints, extractor.layout, colour=person_colour(track))
    return cv2.resize(frame, None, fx=HEIGHT / frame.shape[0], fy=HEIGHT / frame.shape[0], interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    out, *names = sys.argv[1:]
    extractor = PoseExtractor(Path("models/pose/pose.onnx"), settings=ExtractionSettings())
    pictures = [shown(extractor, Path(name.rpartition(":")[0]), int(name.rpartition(":")[2])) for name in names]
    rows = [np.hstack(pictures[start : start + 3]) for start in range(0, len(pictures), 3)]
    width = max(row.shape[1] for row in rows)
    cv2.imwrite(out, np.vstack([cv2.copyMakeBorder(r, 0, 0, 0, width - r.shape[1], cv2.BORDER_CONSTANT) for r in rows]))
