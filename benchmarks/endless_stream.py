"""Ten hours of a camera in fast motion: memory and the time of a step must stay flat.

    python benchmarks/endless_stream.py WORKSPACE [--frames 900000]

900,000 frames at 25 a second. Skeletons of the clips in WORKSPACE, where `pan run` has finished, pass one after another through
everything behind the pose network: `Watcher`, `EventDetector` and a camera's memory of replays (`Recent`). Somebody leaves
and somebody new comes with each clip. Ten rows are printed as JSON, one for each tenth of the stream.
"""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import psutil

from pan_core.live.events import EventDetector
from pan_core.live.recent import Recent
from pan_core.live.source import Frame
from pan_core.live.watcher import Watcher
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import PoseSet
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.step_network import StepNetwork
from pan_core.skeletons import OPENPOSE18

FPS = 25.0
PICTURE = np.zeros((1, 1, 3), np.uint8)


class Skeletons:
    """In the place of a `PoseExtractor` and its tracker: the people of stored clips, one clip after another."""

    layout = OPENPOSE18
    settings = ExtractionSettings(max_fps=FPS)

    def __init__(self, clips: list[np.ndarray]) -> None:
        self._people = self._endless(clips)

    def tracker(self) -> "Skeletons":
        """The one that there is."""
        return self

    def update(self, frame: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """People of the next frame."""
        return next(self._people)

    def _endless(self, clips: list[np.ndarray]) -> Iterator[list[tuple[int, np.ndarray]]]:
        number = 0
        while True:
            for clip in clips:
                number += 1
                yield from ([(number, pose)] for pose in clip)


def stream(network: StepNetwork, clips: list[np.ndarray], frames: int) -> list[dict[str, float]]:
    """Memory and time of each tenth of a stream."""
    recognizer = Recognizer(network, Skeletons(clips), "benchmark")  # type: ignore[arg-type]
    watcher, detector = Watcher(lambda: recognizer), EventDetector(network.actions)
    recent, process, rows, events = Recent(), psutil.Process(), [], 0
    for part in range(10):
        times = np.empty(frames // 10)
        for k in range(frames // 10):
            number = part * (frames // 10) + k
            started = time.perf_counter()
            # Times of the stream, not of this run, so that what is kept for seconds is kept as in a real one.
            result = watcher.update(Frame(number, number / FPS, number / FPS, FPS, "1", PICTURE))
            recent.take(result)
            for event in detector.update(number / FPS, result.people, source_part="1"):
                recent.keep(event)
                events += event.end_s is not None
            times[k] = time.perf_counter() - started
        gc.collect()
        rows.append(
            {
                "hours": round((part + 1) * (frames // 10) / FPS / 3600, 2),
                "rss_mb": round(process.memory_info().rss / 1e6, 1),
                "step_p50_ms": round(1000 * float(np.percentile(times, 50)), 3),
                "step_p90_ms": round(1000 * float(np.percentile(times, 90)), 3),
                "events": events,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--frames", type=int, default=900_000)
    arguments = parser.parse_args()
    os.chdir(arguments.workspace)
    from pan_core.model.store import load_model
    from pan_core.recognition.torch_network import TorchNetwork

    poses = PoseSet(Path("data/poses"))
    clips = [
        np.array(poses.clip(clip_id).joints[0]) for clip_id in poses.index["clip_id"] if len(poses.clip(clip_id).joints)
    ]
    stream(TorchNetwork(load_model(Path("models/pan/online-split1"))), clips, arguments.frames)


if __name__ == "__main__":
    main()
