"""Ten hours of a camera in fast motion: memory and the time of a step must stay flat.

    python benchmarks/endless_stream.py WORKSPACE [--frames 900000] [--out FILE]
    python benchmarks/endless_stream.py WORKSPACE --video FILE

900,000 frames at 25 a second. Skeletons of the clips in WORKSPACE, where `pan run` has finished, pass one after another through
everything behind the pose network: `Watcher`, `EventDetector` and a camera's memory of replays (`Recent`). Somebody leaves
and somebody new comes with each clip. The network's step is the exported one, as on a device. With `--video` an hour of a film,
looped, passes through the same and the pose network, by the recognizer of the workspace or `--model`.

Ten rows are printed as JSON, one for each tenth of the stream; times are processor time, so that other work does not count. It ends
with status 1 if memory grew by more than 2 % after the first tenth, a step took longer by half, or an event came twice: an id
that was over before, or an action of a person within its gap of the last.
"""

import argparse
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import psutil

from pan_core.files import write_json
from pan_core.live.events import Event, EventDetector
from pan_core.live.recent import Recent
from pan_core.live.source import Frame
from pan_core.live.watcher import Watcher
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import PoseSet
from pan_core.recognition.event_rules import RuleChoice, load_rules
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.recognizer import Recognizer
from pan_core.skeletons import OPENPOSE18
from pan_core.video import probe, read_frames

FPS = 25.0
MOST_GROWN, MOST_SLOWER = 0.02, 0.5
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


class Twice:
    """Counts events that come twice; it remembers one id and one event a person and action of the last minute."""

    def __init__(self, gaps: dict[str, float]) -> None:
        self._gaps, self._ends = gaps, dict[tuple[int, str], tuple[float, str]]()
        self.count = 0

    def look(self, event: Event) -> None:
        """An event that is over."""
        assert event.end_s is not None
        before = self._ends.pop((event.person, event.label), None)
        if before and (before[1] == event.id or event.start_s - before[0] <= self._gaps[event.label]):
            self.count += 1
        self._ends[event.person, event.label] = event.end_s, event.id
        while next(iter(self._ends.values()))[0] < event.end_s - 60:
            del self._ends[next(iter(self._ends))]


def looped(video: Path) -> Iterator[np.ndarray]:
    """Pictures of a film, over and over."""
    while True:
        with closing(read_frames(video)) as frames:
            yield from frames


def stream(recognizer: Recognizer, pictures: Iterator[np.ndarray], fps: float, frames: int) -> list[dict]:
    """Memory and time of each tenth of a stream."""
    rules, network = recognizer.rules, recognizer.network
    chosen = RuleChoice().apply(network.actions, rules)
    watcher, detector = Watcher(lambda: recognizer), EventDetector(network.actions, rules=chosen)
    twice = Twice({action: rule.gap_s for action, rule in chosen.items()})
    recent, process, rows, events = Recent(), psutil.Process(), [], 0
    for part in range(10):
        times = np.empty(frames // 10)
        for k in range(frames // 10):
            number = part * (frames // 10) + k
            started = time.process_time()
            # Times of the stream, not of this run, so that what is kept for seconds is kept as in a real one.
            result = watcher.update(Frame(number, number / fps, number / fps, fps, "1", next(pictures)))
            recent.take(result)
            for event in detector.update(number / fps, result.people, source_part="1"):
                recent.keep(event)
                if event.end_s is not None:
                    events += 1
                    twice.look(event)
            times[k] = time.process_time() - started
        gc.collect()
        rows.append(
            {
                "hours": round((part + 1) * (frames // 10) / fps / 3600, 2),
                "rss_mb": round(process.memory_info().rss / 1e6, 1),
                "step_p50_ms": round(1000 * float(np.percentile(times, 50)), 3),
                "step_p90_ms": round(1000 * float(np.percentile(times, 90)), 3),
                "events": events,
                "events_twice": twice.count,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def recognizer_of_skeletons() -> Recognizer:
    """The workspace's exported recognizer, with its clips in the place of the pose network."""
    poses = PoseSet(Path("data/poses"))
    clips = [
        np.array(poses.clip(clip_id).joints[0]) for clip_id in poses.index["clip_id"] if len(poses.clip(clip_id).joints)
    ]
    network = ExportedNetwork(Path("models/exported/step.onnx"))
    rules = load_rules(Path("models/pan/online-split1"), network.actions)
    return Recognizer(network, Skeletons(clips), "benchmark", rules=rules)  # type: ignore[arg-type]


def main() -> None:
    """Print the rows, and fail if they are not flat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--frames", type=int, help="900,000 if left out; of a film those of an hour")
    parser.add_argument("--video", type=Path, help="a film, looped, in the place of skeletons")
    parser.add_argument(
        "--model", default="models/pan/online-split1", help="recognizer of a film; everyday, or a folder"
    )
    parser.add_argument("--out", type=Path, help="file for the rows, as JSON")
    arguments = parser.parse_args()
    out, video = (path and path.resolve() for path in (arguments.out, arguments.video))
    os.chdir(arguments.workspace)
    if video:
        fps = probe(video).fps
        recognizer = Recognizer.from_pretrained(arguments.model, threads=1)
        rows = stream(recognizer, looped(video), fps, arguments.frames or round(3600 * fps))
    else:
        rows = stream(recognizer_of_skeletons(), itertools.repeat(PICTURE), FPS, arguments.frames or 900_000)
    if out:
        write_json(out, {"rows": rows})
    first, others = rows[0], rows[1:]
    grown = max(row["rss_mb"] for row in others) / first["rss_mb"] - 1
    slower = max(row["step_p50_ms"] for row in others) / first["step_p50_ms"] - 1
    print(f"memory {grown:+.1%}, step {slower:+.1%} at most, {rows[-1]['events_twice']} events twice")
    sys.exit(grown > MOST_GROWN or slower > MOST_SLOWER or rows[-1]["events_twice"] > 0)


if __name__ == "__main__":
    main()
