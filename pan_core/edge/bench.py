"""Latency of a bundle on this machine, after MLPerf's single-stream scenario.

Frames run one at a time, the next one when the last is done. Warm-up frames do not count. Percentiles go with their count, and
runs are repeated. The same code answers a reference first, so that a fast wrong answer is no result.
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
from pan_core.evaluation.latency import summarise
from pan_core.files import sha256_of
from pan_core.recognition.step_network import Memory, StepNetwork, StepResult
from pan_core.recognition.stream import StreamRecognizer
from pan_core.skeletons import convert
from pan_core.timing import measured, part
from pan_core.video import FrameReader

CLIP = Path("reference/person.mp4")
CAMERA_FPS = 25.0
COUNTS = ("total", "people", "steps")
"""Entries of a frame that are not milliseconds of one of its parts."""
PACKAGES = ("numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "ncnn")


@dataclass(frozen=True)
class Profile:
    """Size of a measurement.

    Attributes:
        name: Name of the profile.
        runs: Number of runs.
        frames: Least number of frames in a run.
        seconds: Least length of a run.
        warmup: Number of frames before each run that do not count.
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
"""MLPerf asks for 1,024 queries and 60 seconds of a single stream."""


def bench(
    bundle: Bundled, profile: Profile, *, video: Path | None = None, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Measure a bundle.

    Args:
        bundle: The bundle.
        profile: Size of the measurement.
        video: A video of one person; the bundle's own if None.
        progress: Called with a line of text at each step.

    Returns:
        The result, for `write_result`.

    Raises:
        GateError: If the networks differ from torch's by more than their tolerances.
        VideoError: If the video cannot be read.
    """
    progress("comparing with the reference")
    parity = bundle.check()
    before = Condition.now()
    video = video or bundle.manifest.folder / CLIP
    if not video.is_file():
        raise VideoError(f"{video}: no such video", code="video.missing")
    clip = sha256_of(video)
    runs: list[list[dict[str, float]]] = []
    for number in range(1, profile.runs + 1):
        progress(f"run {number} of {profile.runs}")
        runs.append(_time_run(bundle, profile, video))
    after = Condition.now()
    return {
        "format": FORMAT,
        **_describe_bundle(bundle),
        "profile": asdict(profile),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": identity(),
        "packages": _find_versions(),
        "threads": bundle.manifest.target["threads"],
        "video": {"sha256": clip, "own": clip == bundle.manifest.content["files"][CLIP.as_posix()]},
        **_summarise_runs(runs),
        "accuracy": asdict(parity),
        "memory_mb": round(peak_memory_mb(), 1),
        "before": before.as_dict(),
        "after": after.as_dict(),
        "slowed": slowed(before, after, model=device_model()),
    }


def camera(times_ms: Sequence[float] | np.ndarray, fps: float) -> dict[str, float | int]:
    """Count the pictures that a camera would drop if each frame is the newest picture when the last frame is done.

    Args:
        times_ms: Time of each processed frame, in order.
        fps: Rate of the camera, pictures a second.

    Returns:
        The rate "fps", the pictures that came as "frames", and how many of them were "dropped".
    """
    interval, newest, free, taken = 1000 / fps, -1, 0.0, 0
    for spent in times_ms:
        # The newest picture that has come, or the next one if none has come since.
        newest = max(int(free / interval + 1e-9), newest + 1)
        free = max(free, newest * interval) + float(spent)
        taken += 1
    return {"fps": fps, "frames": newest + 1, "dropped": newest + 1 - taken}


def _time_run(bundle: Bundled, profile: Profile, video: Path) -> list[dict[str, float]]:
    """Time a run; the video is repeated until the run is long enough.

    Returns:
        Milliseconds of each frame, "total" and by part, with its number of "people" and "steps".
    """
    frames: list[dict[str, float]] = []
    began = time.perf_counter()
    left = profile.warmup
    while True:
        for frame in _time_frames(bundle, video):
            if left > 0:
                left, began = left - 1, time.perf_counter()
                continue
            frames.append(frame)
            if len(frames) >= profile.frames and time.perf_counter() - began >= profile.seconds:
                return frames


def _time_frames(bundle: Bundled, video: Path) -> Iterator[dict[str, float]]:
    network, tracker = _CountedSteps(bundle.network), bundle.extractor.tracker()
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


class _CountedSteps:
    """A recognizer's network that counts its steps."""

    def __init__(self, network: StepNetwork) -> None:
        self._network, self.steps = network, 0
        self.labels, self.actions = network.labels, network.actions
        self.layout, self.rate = network.layout, network.rate

    def start(self) -> Memory:
        return self._network.start()

    def step(self, features: np.ndarray, memory: Memory) -> StepResult:
        self.steps += 1
        return self._network.step(features, memory)


def _describe_bundle(bundle: Bundled) -> dict[str, Any]:
    """Kind of the figures, and the bundle that they are of."""
    manifest = bundle.manifest
    return {
        "kind": _choose_kind(manifest.target),
        "target": manifest.target["name"],
        "bundle": manifest.sha256,
        "recogniser": manifest.content["recogniser"],
        "structure": manifest.content["gates"]["structure"],
        "labels": manifest.content["labels"],
        "preprocessing": manifest.content["preprocessing"],
    }


def _choose_kind(target: dict[str, Any]) -> str:
    if emulated():
        return EMULATED
    if not target["device"]:
        return HERE
    return DEVICE if is_device(target["device"], device_model()) else OTHER


def _summarise_runs(runs: Sequence[Sequence[dict[str, float]]]) -> dict[str, Any]:
    """Latency of a frame, of its parts and of each run, and what the frames show."""
    frames = [frame for run in runs for frame in run]
    times = np.array([frame["total"] for frame in frames])
    names = dict.fromkeys(name for frame in frames for name in frame if name not in COUNTS)
    return {
        "frame": _summarise_times(times),
        "parts": {name: _summarise_times([frame[name] for frame in frames if name in frame]) for name in names},
        "people": sum(frame["people"] > 0 for frame in frames),
        "steps": int(sum(frame["steps"] for frame in frames)),
        "fps": round(1000 * len(times) / float(times.sum()), 3),
        "camera": camera(times, CAMERA_FPS),
        "runs": [_summarise_times([frame["total"] for frame in run]) for run in runs],
    }


def _summarise_times(times_ms: Sequence[float] | np.ndarray) -> dict[str, float | int]:
    return {name: round(value, 4) for name, value in asdict(summarise(np.asarray(times_ms))).items()}


def _find_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
