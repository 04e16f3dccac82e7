"""Make the picture of docs/pose.md again: frames of real clips with the skeletons that are extracted from them.

python docs/screenshots/poses.py OUT.png NETWORK QUALITY VIDEO:FRAME... crossing:FRAME

FRAME counts from 0; `crossing` is a drawn scene of two people who pass each other. The skeletons are those of the whole video as a run
stores them: of people who are believable in it.
"""

import sys
import tempfile
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from pan_core.benchmark.poses.drawn_people import CROSSING
from pan_core.datasets.actors import Performer, render_scene
from pan_core.datasets.actors.generate import write_video
from pan_core.params.schema import PoseParams
from pan_core.pose.extraction import PoseExtractor, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.video import FrameReader
from pan_core.viewer.drawing import draw_skeleton, person_colour

HEIGHT = 240
COLUMNS = 3


def shown(extractor: PoseExtractor, video: Path, wanted: int) -> np.ndarray:
    """A frame of a video with everybody's skeleton."""
    people = extractor.extract(video).joints
    with FrameReader(video) as reader:
        step = frame_step(reader.fps, extractor.settings.max_fps)
        frame = next(islice(reader.frames(step=step), wanted // step, None))
    for number, person in enumerate(people):
        draw_skeleton(frame, person[wanted // step], extractor.layout, colour=person_colour(number))
    return cv2.resize(frame, None, fx=HEIGHT / frame.shape[0], fy=HEIGHT / frame.shape[0], interpolation=cv2.INTER_AREA)


def film_crossing(folder: Path) -> Path:
    """A video of the two who pass each other in the benchmark."""
    walkers = [Performer(action, 3 + 3 * n, start, heading) for n, (action, start, heading) in enumerate(CROSSING)]
    frames, _ = render_scene(walkers, seed=3, frames=30)
    write_video(folder / "crossing.mp4", frames, 15.0)
    return folder / "crossing.mp4"


if __name__ == "__main__":
    out, network, quality, *names = sys.argv[1:]
    pose = PoseParams.model_validate({"network": network, "quality": quality})
    extractor = PoseExtractor(network_file(network, quality=quality), settings=ExtractionSettings(**pose.extraction()))
    pictures = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            video, _, number = name.rpartition(":")
            path = film_crossing(Path(scratch)) if video == "crossing" else Path(video)
            pictures.append(shown(extractor, path, int(number)))
    rows = [np.hstack(pictures[start : start + COLUMNS]) for start in range(0, len(pictures), COLUMNS)]
    width = max(row.shape[1] for row in rows)
    cv2.imwrite(out, np.vstack([cv2.copyMakeBorder(r, 0, 0, 0, width - r.shape[1], cv2.BORDER_CONSTANT) for r in rows]))
