"""Processor time of a frame and of a video's first frame, on one core, of all points in turns."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from pan_core.benchmark.poses.pose_points import PosePoint, Progress
from pan_core.pose.extraction import PoseExtractor


def time_points(
    points: Sequence[PosePoint], videos: Sequence[Path], *, repeats: int, progress: Progress | None = None
) -> list[dict]:
    """Time the extraction of videos at every point; the first point is the reference.

    A video goes through all points before the next one begins, so that other work on the machine slows all of them alike.
    The networks are open beforehand; decoding, searching, looking, optical flow and tracking count.

    Args:
        points: What to time.
        videos: The videos.
        repeats: Rounds through all videos; a figure is the median of the rounds, as a short burst of other work is in few of them.
        progress: Called with the extractions done and all of them.

    Returns:
        For each point "ms_per_frame" and "first_frame_ms", milliseconds of processor time, and "times_faster" than the
        reference in the same rounds.
    """
    cv2.setNumThreads(1)
    extractors = [point.extractor() for point in points]
    total = repeats * len(videos) * len(points)
    spent, first = np.zeros((2, len(points), repeats, len(videos)))
    frames = np.zeros((len(points), len(videos)))
    done = 0
    for one_round in range(repeats):
        for number, video in enumerate(videos):
            for row, extractor in enumerate(extractors):
                spent[row, one_round, number], first[row, one_round, number], frames[row, number] = time_video(
                    extractor, video
                )
                done += 1
                if progress:
                    progress(done, total)
    each = 1000 * spent.sum(axis=2) / frames.sum(axis=1)[:, None]
    return [
        {
            "ms_per_frame": float(np.median(each[row])),
            "times_faster": float(np.median(each[0] / each[row])),
            "first_frame_ms": float(1000 * np.median(first[row])),
        }
        for row in range(len(points))
    ]


def time_video(
    extractor: PoseExtractor, video: Path, *, clock: Callable[[], float] = time.process_time
) -> tuple[float, float, int]:
    """Seconds for a whole video and until its first frame is done, from before it is opened; and its frames looked at."""
    beats: list[float] = []
    found = extractor.extract(video, beat=lambda: beats.append(clock()))
    return clock() - beats[0], beats[1] - beats[0], found.tracks.frames


def describe_machine() -> dict:
    """Processor, cores, and processes that were at work in the last minute."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 2)}
