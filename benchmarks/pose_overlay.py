"""Draw skeletons into frames of real falls, for somebody to look at: are hips and shoulders on the body?

    python benchmarks/pose_overlay.py OUT --network movenet --quality balanced

Writes sheets of pictures and pose_overlay.csv into OUT, a line for each frame; after looking, write 1 or 0 into the column on_body and put
the table beside docs/results/pose.json, whose page then shows the share. Needs PAN_TEST_DATA, a folder with recordings.
"""

import argparse
import csv
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from pan_core.benchmark.poses.pose_page import OVERLAY
from pan_core.benchmark.poses.pose_points import PosePoint
from pan_core.benchmark.poses.real_videos import fall_videos
from pan_core.params.load import load_params
from pan_core.params.schema import PoseParams
from pan_core.pose.extraction import PoseExtractor, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.video import FrameReader
from pan_core.viewer.drawing import draw_skeleton, person_colour

FRAMES = 60
COLUMNS = 3
WIDTH, HEIGHT = 640, 480


def sampled(counts: list[int], wanted: int) -> list[set[int]]:
    """Frames of each video, evenly out of all videos together."""
    places = np.linspace(0, sum(counts) - 1, wanted).round().astype(int)
    starts = np.cumsum([0, *counts])
    return [{int(p - start) for p in places if start <= p < end} for start, end in pairwise(starts)]


def count_frames(video: Path, max_fps: float) -> int:
    with FrameReader(video) as reader:
        return sum(1 for _ in reader.frames(step=frame_step(reader.fps, max_fps)))


def drawn_frames(
    extractor: PoseExtractor, video: Path, wanted: set[int], title: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Number in the video and picture of some frames looked at, with everybody's believable skeleton."""
    poses = extractor.extract(video)
    people = poses.joints
    with FrameReader(video) as reader:
        step = frame_step(reader.fps, extractor.settings.max_fps)
        for number, frame in enumerate(reader.frames(step=step)):
            if number in wanted:
                for track, person in enumerate(people):
                    draw_skeleton(frame, person[number], extractor.layout, colour=person_colour(track))
                picture = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
                cv2.putText(
                    picture, f"{title} {number * step}", (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 255), 2
                )
                yield number * step, picture


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", default="movenet")
    parser.add_argument("--quality", default="balanced")
    chosen = parser.parse_args()
    given = load_params().pose.model_dump(include={"min_joint_score", "min_person_score", "max_people", "max_fps"})
    pose = PoseParams.model_validate({"network": chosen.network, "quality": chosen.quality, **given})
    file = network_file(chosen.network, quality=chosen.quality)
    point = PosePoint(chosen.network, chosen.quality, file, ExtractionSettings(**pose.extraction()))
    extractor, videos = point.extractor(), fall_videos(Path(os.environ["PAN_TEST_DATA"]))
    wanted = sampled([count_frames(video, point.settings.max_fps) for video in videos.values()], FRAMES)
    rows, pictures = [], []
    for (name, video), frames in zip(videos.items(), wanted, strict=True):
        for number, picture in drawn_frames(extractor, video, frames, name):
            rows.append({"video": name, "frame": number, "on_body": "", "extractor": point.identity})
            pictures.append(picture)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with (chosen.out / OVERLAY).open("w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for sheet in range(0, len(pictures), COLUMNS * 3):
        part = pictures[sheet : sheet + COLUMNS * 3]
        part += [np.zeros_like(part[0])] * (-len(part) % COLUMNS)
        lines = [np.hstack(part[row : row + COLUMNS]) for row in range(0, len(part), COLUMNS)]
        cv2.imwrite(str(chosen.out / f"sheet{sheet // (COLUMNS * 3):02}.png"), np.vstack(lines))
