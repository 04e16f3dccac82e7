"""Time from the capture of a frame to its captions, of a video that plays like a camera.

    python benchmarks/live_latency.py WORKSPACE VIDEO [--quality fast] [--threads 2] [--every-frame]

Wall time is what a viewer waits, with frames dropped where the machine is slow. The time of the processor says what a quiet core
would take, whatever else the machine is doing: with `--every-frame` none is dropped, and `--threads 1` keeps it to one core.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from pan_core.live.source import Source
from pan_core.live.watcher import Watcher
from pan_core.recognition.recognizer import Recognizer


def measure(video: str, recognizer: Recognizer, *, every_frame: bool) -> dict[str, float]:
    """Percentiles over the frames that were looked at, without the first ten."""
    watcher, wall, processor = Watcher(lambda: recognizer), [], []
    with Source(video, every_frame=every_frame) as source:
        for frame in source.frames():
            before = time.process_time()
            result = watcher.update(frame)
            if result.looked:
                wall.append(result.latency_s)
                processor.append(time.process_time() - before)
    found = {"frames": source.frames_seen, "dropped": source.dropped, "looked": len(wall)}
    for name, times in (("wall", [] if every_frame else wall[10:]), ("processor", processor[10:])):
        if not times:
            continue
        found |= {f"{name}_p{p}_ms": round(1000 * float(np.percentile(times, p)), 1) for p in (50, 90, 99)}
    return found


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every-frame", action="store_true")
    arguments = parser.parse_args()
    video = str(arguments.video.resolve())
    os.chdir(arguments.workspace)
    model = Path("models/pan/online-split1")
    recognizer = Recognizer.from_pretrained(model, quality=arguments.quality, threads=arguments.threads)
    print(json.dumps(measure(video, recognizer, every_frame=arguments.every_frame)))


if __name__ == "__main__":
    main()
