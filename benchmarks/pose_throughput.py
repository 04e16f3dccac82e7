"""Extraction of many videos: one worker process against two, and the memory that a thousand clips need.

    python benchmarks/pose_throughput.py WORKSPACE [--quality fast] [--videos 48] [--clips 1000]

WORKSPACE is a folder in which `pan run` has drawn the dataset `actors`. One and two workers extract the same videos, each in turn
and into a cache of its own; start of the processes included. Then so many clips of eight frames pass through two workers, and the memory of
all processes together is printed for every tenth of them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from pan_core.pose.batch_extraction import Failure, extract_clips
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.qualities import QUALITIES
from pan_core.video import read_frames
from pan_core.viewer.annotate import write_video

FRAMES_OF_A_CLIP = 8
ROUNDS = 2


def seconds(videos: dict[str, Path], model: Path, settings: ExtractionSettings, workers: int) -> float:
    """How long it takes to extract videos that no cache has."""
    with tempfile.TemporaryDirectory() as cache:
        started = time.perf_counter()
        found = list(extract_clips(videos, model_path=model, settings=settings, cache=Path(cache), workers=workers))
        took = time.perf_counter() - started
    assert not [each for each in found if isinstance(each, Failure)], "a video could not be extracted"
    return took


def throughput(videos: dict[str, Path], model: Path, settings: ExtractionSettings) -> dict[str, object]:
    """Seconds of one worker and of two, in turns, and how many times two are faster."""
    rounds = [[seconds(videos, model, settings, workers) for workers in (1, 2)] for _ in range(ROUNDS)]
    one, two = (min(times) for times in zip(*rounds, strict=True))
    return {"videos": len(videos), "one_s": one, "two_s": two, "two_times_one": one / two, "rounds": rounds}


def memory(videos: dict[str, Path], model: Path, settings: ExtractionSettings, clips: int) -> list[dict[str, float]]:
    """Memory of this process and its workers in MB after each tenth of the clips."""
    sources, rows = list(videos.values()), []
    me = psutil.Process()

    def look(done: int, total: int) -> None:
        if done % (total // 10) == 0:
            parts = [process.memory_info().rss / 1e6 for process in (me, *me.children(recursive=True))]
            rows.append({"clips": done, "parent_mb": round(parts[0], 1), "workers_mb": round(sum(parts[1:]), 1)})

    with tempfile.TemporaryDirectory() as folder:
        many: dict[str, Path] = {}
        shorts: list[Path] = []
        for number in range(clips):
            if number < len(sources):
                frames = [f for _, f in zip(range(FRAMES_OF_A_CLIP), read_frames(sources[number]), strict=False)]
                shorts.append(write_video(Path(folder) / "short" / f"{number}.mp4", frames, fps=15))
            short = shorts[number % len(sources)]
            many[str(number)] = Path(folder) / "clips" / f"{number}{short.suffix}"
            many[str(number)].parent.mkdir(exist_ok=True)
            many[str(number)].write_bytes(short.read_bytes() + number.to_bytes(4, "big"))  # a file of its own
        found = extract_clips(
            many, model_path=model, settings=settings, cache=Path(folder) / "cache", workers=2, progress=look
        )
        for _ in found:
            pass
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--quality", default="fast", choices=list(QUALITIES["paper"]))
    parser.add_argument("--videos", type=int, default=96)
    parser.add_argument("--clips", type=int, default=1000)
    arguments = parser.parse_args()
    model = arguments.workspace / "models" / "pose" / "pose.onnx"
    settings = ExtractionSettings(**QUALITIES["paper"][arguments.quality])
    files = sorted((arguments.workspace / "data" / "raw").rglob("*.avi"))
    every = max(1, len(files) // arguments.videos)
    videos = {path.name: path for path in files[::every][: arguments.videos]}
    print(json.dumps(throughput(videos, model, settings)), flush=True)
    if arguments.clips:
        for row in memory(videos, model, settings, arguments.clips):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
