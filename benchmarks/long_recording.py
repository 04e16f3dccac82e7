"""Memory that extraction and `pan predict` take for long recordings, with ten new people a minute.

    python benchmarks/long_recording.py [--minutes 5 10 20 60] [--kinds extract predict] [--stays 12]

Needs nothing but this package. A small video of each length is made and read as any other. An estimator replaces
the pose network: it reads the number of a frame from its picture and knows who is there. A new person comes every six seconds and
stays for twelve (`--stays`). A network that changes its mind every second replaces the recognizer's. All else is the real code.
Each row is a process of its own; its peak is what the system counted, libraries included. One row of JSON a length and kind.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np

from pan_core.pose import extraction
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.crops import Square
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import ClipPoses, write_pose_set
from pan_core.recognition.predict_video import predict_video
from pan_core.recognition.step_network import Memory, StepResult
from pan_core.skeletons import OPENPOSE18

FPS = 15
NEW_EVERY = 6 * FPS
BITS, BLOCK = 24, 8
SETTINGS = ExtractionSettings(look_every=1, keep_missed=False)
STANDING = np.array([
    (0, -70), (0, -55), (-15, -55), (-20, -30), (-22, -8), (15, -55), (20, -30), (22, -8), (-8, -5), (-9, 25), (-10, 55),
    (8, -5), (9, 25), (10, 55), (-4, -74), (4, -74), (-8, -72), (8, -72),
], float)  # fmt: skip


def make_video(path: Path, frames: int) -> None:
    """Pictures with their number in black and white blocks."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (BITS * BLOCK, 4 * BLOCK))
    for number in range(frames):
        bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8) * 255
        writer.write(np.broadcast_to(np.repeat(bits, BLOCK)[None, :, None], (4 * BLOCK, BITS * BLOCK, 3)).copy())
    writer.release()


class KnownPeople:
    """Estimator that knows who is there."""

    searches_crops = False

    def __init__(self, stays: int) -> None:
        self._stays = stays * FPS

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        """People upright in their view."""
        return self._there(frame) if turn == 0 else np.empty((0, 18, 3))

    def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
        """Those of them in each square."""
        people = self._there(frame)
        middles = people[:, :, :2].mean(axis=1)
        return [
            people[(np.abs(middles - square.centre) < square.side / 3).all(axis=1)] if not square.turn else people[:0]
            for square in squares
        ]

    def _there(self, frame: np.ndarray) -> np.ndarray:
        shown = frame[2 * BLOCK, BLOCK // 2 :: BLOCK, 0] > 127
        number = int((shown * (1 << np.arange(BITS))).sum())
        newest = number // NEW_EVERY
        oldest = max(0, -((self._stays - number - 1) // NEW_EVERY))
        people = [self._pose(person, number) for person in range(oldest, newest + 1)]
        return np.array(people).reshape(-1, 18, 3)

    def _pose(self, person: int, frame: int) -> np.ndarray:
        place = (400 * (person % 4) + 20 * math.sin(frame / 20), 120)
        return np.column_stack([STANDING + place, np.full(18, 0.8)])


class FickleNetwork:
    """Step network that changes its mind every second."""

    labels, actions, layout, rate = ("Walk", "Wave", "Both"), ("Walk", "Wave"), OPENPOSE18, 15.0

    def start(self) -> Memory:
        """State before the first frame."""
        return {"maximum": np.zeros((1, 1), np.float32), "denominator": np.ones((1, 1), np.float32)}

    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        """Wave in every second second."""
        after = {"maximum": memory["maximum"], "denominator": memory["denominator"] + 1}
        wave = 3.0 * (int(after["denominator"][0, 0]) // FPS % 2)
        return StepResult(np.array([1.5, wave, 0.0]), np.array([1.5, wave]), np.full(18, 1 / 18), after)


def extract(video: Path, folder: Path) -> dict[str, object]:
    """Extraction, then the pose set of as many spans of ten seconds as there are, and of the whole video."""
    poses = PoseExtractor(Path(__file__), settings=SETTINGS).extract(video)

    def clips() -> Iterator[ClipPoses]:
        whole = poses.tracks.frames / poses.fps
        spans = [(10.0 * n, min(10.0 * n + 10, whole)) for n in range(math.ceil(whole / 10))]
        for start, end in [*spans, (0.0, whole)]:
            yield slice_clip(poses, f"{start:g}-{end:g}", start_s=start, end_s=end)

    write_pose_set(folder / "poses", OPENPOSE18, clips())
    return {"people": len(poses.tracks), "poses_mb": round(poses.tracks.joints.nbytes / 1e6, 1)}


def predict(video: Path, folder: Path) -> dict[str, object]:
    """`pan predict` without the annotated video, which is written frame by frame."""
    extractor = PoseExtractor(Path(__file__), settings=SETTINGS)
    found = predict_video(video, extractor=extractor, recognizer=FickleNetwork(), out=None, model_name="fickle")
    return {"people": len(found.people), "segments": sum(len(one.segments) for one in found.people)}


def measure(kind: str, video: Path, minutes: int, stays: int) -> None:
    extraction.open_estimator = lambda *_, **__: KnownPeople(stays)  # type: ignore[assignment]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        figures = (extract if kind == "extract" else predict)(video, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    row = {
        "kind": kind,
        "minutes": minutes,
        "stays_s": stays,
        "peak_mb": round(peak),
        "seconds": round(time.perf_counter() - began),
    }
    print(json.dumps(row | figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 10, 20, 60])
    parser.add_argument("--kinds", nargs="+", default=["extract", "predict"], choices=["extract", "predict"])
    parser.add_argument("--stays", type=int, default=12, help="seconds for which each person stays")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "VIDEO", "MINUTES"), help="one row, in this process")
    arguments = parser.parse_args()
    if arguments.one:
        kind, video, minutes = arguments.one
        measure(kind, Path(video), int(minutes), arguments.stays)
        return
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            video = Path(folder) / f"{minutes}.mp4"
            make_video(video, minutes * 60 * FPS)
            for kind in arguments.kinds:
                row = ["--one", kind, str(video), str(minutes), "--stays", str(arguments.stays)]
                subprocess.run([sys.executable, __file__, *row], check=True)
            video.unlink()


if __name__ == "__main__":
    main()
