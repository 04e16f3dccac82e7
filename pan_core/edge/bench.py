"""Latency of a bundle on this machine, after MLPerf's single-stream scenario.

One frame at a time, the next one when the last is done; warm-up frames do not count; percentiles go with their count, runs are
repeated, and the same code answers a reference first, so that a fast wrong answer is no result.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.edge.bundle_manifest import device_model, is_device
from pan_core.edge.bundled import Bundled
from pan_core.edge.device import Condition, emulated, identity, peak_memory_mb, slowed
from pan_core.edge.result import DEVICE, EMULATED, FORMAT, HERE, OTHER
from pan_core.errors import VideoError
from pan_core.evaluation.latency import Latency, summarise
from pan_core.files import sha256_of
from pan_core.recognition.step_network import Memory, StepNetwork, StepResult
from pan_core.recognition.stream import StreamRecognizer
from pan_core.skeletons import convert
from pan_core.timing import measured, part
from pan_core.video import FrameReader

CLIP = Path("reference/person.mp4")
CAMERA_FPS = 25.0
COUNTS = ("total", "people", "steps")
"""Of a frame, beside the milliseconds of its parts."""
PACKAGES = ("numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "ncnn")


@dataclass(frozen=True)
class Profile:
    """How much is measured.

    Attributes:
        name: Of the profile.
        runs: Repetitions.
        frames: Frames of a run, at least.
        seconds: Length of a run, at least.
        warmup: Frames before each run that do not count.
    """

    name: str
    runs: int
    frames: int
    seconds: float
    warmup: int


PROFILES = {
    "full": Profile("full", runs=5, frames=1024, seconds=60.0, warmup=30),
    "short": Profile("short", runs=2, frames=40, seconds=0.0, warmup=4),
}
"""MLPerf asks of a single stream for 1,024 queries and 60 seconds."""


def bench(
    bundle: Bundled, profile: Profile, *, video: Path | None = None, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Measure.

    Args:
        bundle: What runs.
        profile: How much.
        video: A video of one person; the bundle's own where None.
        progress: Told what is going on.

    Returns:
        The result, for `write_result`.

    Raises:
        GateError: Where the networks do not answer as they should.
        VideoError: Where the video cannot be read.
    """
    progress("comparing with the reference")
    correct = bundle.check()
    before = Condition.now()
    video = video or bundle.manifest.folder / CLIP
    if not video.is_file():
        raise VideoError(f"{video}: no such video")
    clip = sha256_of(video)
    runs: list[list[dict[str, float]]] = []
    for number in range(1, profile.runs + 1):
        progress(f"run {number} of {profile.runs}")
        runs.append(_run(bundle, profile, video))
    after = Condition.now()
    frames = [frame for run in runs for frame in run]
    times = np.array([frame["total"] for frame in frames])
    names = dict.fromkeys(name for frame in frames for name in frame if name not in COUNTS)
    target = bundle.manifest.target
    return {
        "format": FORMAT,
        "kind": _kind(target),
        "target": target["name"],
        "bundle": bundle.manifest.sha256,
        "recogniser": bundle.manifest.content["recogniser"],
        "structure": bundle.manifest.content["gates"]["structure"],
        "labels": bundle.manifest.content["labels"],
        "preprocessing": bundle.manifest.content["preprocessing"],
        "profile": asdict(profile),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": identity(),
        "packages": _versions(),
        "threads": target["threads"],
        "frame": _rounded(summarise(times)),
        "parts": {
            name: _rounded(summarise(np.array([frame[name] for frame in frames if name in frame]))) for name in names
        },
        "video": {"sha256": clip, "own": clip == bundle.manifest.content["files"][CLIP.as_posix()]},
        "people": sum(frame["people"] > 0 for frame in frames),
        "steps": int(sum(frame["steps"] for frame in frames)),
        "fps": round(1000 * len(times) / float(times.sum()), 3),
        "camera": camera(times, CAMERA_FPS),
        "runs": [_rounded(summarise(np.array([frame["total"] for frame in run]))) for run in runs],
        "accuracy": asdict(correct),
        "memory_mb": round(peak_memory_mb(), 1),
        "before": before.as_dict(),
        "after": after.as_dict(),
        "slowed": slowed(before, after, model=device_model()),
    }


def camera(times_ms: Sequence[float] | np.ndarray, fps: float) -> dict[str, float | int]:
    """How many pictures of a camera are dropped by whoever takes the newest one whenever the last is done.

    Args:
        times_ms: Time of each frame that is worked on, in order.
        fps: Pictures a second of the camera.

    Returns:
        The rate, the pictures that came, and how many of them nobody looked at.
    """
    interval, newest, free, taken = 1000 / fps, -1, 0.0, 0
    for spent in times_ms:
        # The newest picture that has come, or the next one where none has come since.
        newest = max(int(free / interval + 1e-9), newest + 1)
        free = max(free, newest * interval) + float(spent)
        taken += 1
    return {"fps": fps, "frames": newest + 1, "dropped": newest + 1 - taken}


def _run(bundle: Bundled, profile: Profile, video: Path) -> list[dict[str, float]]:
    """Milliseconds of each frame, "total" and by part, with its "people" and "steps"; the video plays until it is enough."""
    frames: list[dict[str, float]] = []
    began = time.perf_counter()
    left = profile.warmup
    while True:
        for frame in _pass(bundle, video):
            if left > 0:
                left, began = left - 1, time.perf_counter()
                continue
            frames.append(frame)
            if len(frames) >= profile.frames and time.perf_counter() - began >= profile.seconds:
                return frames


def _pass(bundle: Bundled, video: Path) -> Iterator[dict[str, float]]:
    network, tracker = _Counted(bundle.network), bundle.extractor.tracker()
    with FrameReader(video) as reader:
        stream, frames = StreamRecognizer(network, pose_fps=reader.fps), reader.frames()
        while True:
            with measured() as parts:
                began, steps = time.perf_counter(), network.steps
                with part("decode"):
                    frame = next(frames, None)
                if frame is None:
                    return
                people = tracker.update(frame)
                with part("pan"):
                    stream.update(
                        [(one, convert(pose, bundle.extractor.layout, network.layout)) for one, pose in people]
                    )
                total = time.perf_counter() - began
            yield {name: 1000 * seconds for name, seconds in parts.items()} | {
                "total": 1000 * total, "people": len(people), "steps": network.steps - steps,
            }  # fmt: skip


class _Counted:
    """The recognizer, which counts its steps."""

    def __init__(self, network: StepNetwork) -> None:
        self._network, self.steps = network, 0
        self.labels, self.actions, self.layout, self.rate = (
            network.labels,
            network.actions,
            network.layout,
            network.rate,
        )

    def start(self) -> Memory:
        return self._network.start()

    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        self.steps += 1
        return self._network.step(features, memory)


def _kind(target: dict[str, Any]) -> str:
    if emulated():
        return EMULATED
    if not target["device"]:
        return HERE
    return DEVICE if is_device(target["device"], device_model()) else OTHER


def _rounded(latency: Latency) -> dict[str, float | int]:
    return {name: round(value, 4) for name, value in asdict(latency).items()}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
