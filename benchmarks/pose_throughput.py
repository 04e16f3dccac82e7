"""Time of pose extraction by its parts, what more cores and a GPU make of it, and hours for a dataset.

    python benchmarks/pose_throughput.py base ucf101/ --paper models/pose/pose.onnx --out base.json
    python benchmarks/pose_throughput.py plan base.json
    python benchmarks/pose_throughput.py parent
    python benchmarks/pose_throughput.py workers WORKSPACE --videos 96
    python benchmarks/pose_throughput.py memory WORKSPACE --clips 1000

`base` follows the people in the AVI files of a folder, on one core, by each network and quality and by the reference (six stages of the
paper's network on every frame) in turns. It gives processor time a frame for decoding, for the networks, and for the rest: crops, flow,
tracks. A GPU would take over the networks alone, and a process passes their pictures on: what that costs is measured with a network
that does nothing. `plan` turns these figures into hours for a dataset on several machines and prints a table.

`parent` measures what the one process does that all workers share: it hands videos out, and reads and writes what comes back.

`workers` and `memory` want a folder in which `pan run` has drawn the dataset `actors`. One and two worker processes extract the same videos, each
in turn and into a cache of its own; start of the processes included. Then so many clips of eight frames pass through two
workers, and the memory of all processes together is printed for every tenth of them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import psutil

from pan_core.edge.roofline import count_layers
from pan_core.files import write_json
from pan_core.pose.batch_extraction import Failure, extract_clips
from pan_core.pose.cache import PoseCache
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.extraction import PoseExtractor, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.pose.pose_set import write_pose_set
from pan_core.pose.pretrained import NETWORKS
from pan_core.pose.qualities import NETWORK_NAMES, PAPER_FILE, QUALITY_NAMES, REFERENCE, quality_settings
from pan_core.pose.tracks import Tracks, VideoPoses
from pan_core.runtimes.network_server import NetworkClient, NetworkServer
from pan_core.runtimes.onnx_session import OnnxSession
from pan_core.runtimes.session import open_model
from pan_core.skeletons import OPENPOSE18
from pan_core.video import FrameReader, read_frames
from pan_core.viewer.annotate import write_video
from pan_core.workers.supervised import Heartbeat, run_supervised

FRAMES_OF_A_CLIP = 8
ROUNDS = 2
UCF101_FRAMES = 2.5e6
CORES = (2, 16, 64)
# NVIDIA's data sheets: single precision without tensor cores. And the share that small networks reach, which nobody measured here.
GPUS = {"T4": 8.1e12, "L4": 30.3e12}
SHARE_OF_PEAK = 0.1
CORES_BESIDE_GPU = 16


class TimedNetworks:
    """Opener of networks on this core that counts their requests and processor time."""

    def __init__(self) -> None:
        self.seconds, self.counting, self.requests, self.megabytes, self.operations = 0.0, 0.0, 0, 0.0, 0.0
        self._operations: dict[tuple, float] = {}

    def __call__(self, model: Path | bytes, /, *, threads: int = 1) -> "TimedSession":
        return TimedSession(self, open_model(model, threads=threads), model)

    def note(self, model: Path | bytes, feeds: Mapping[str, np.ndarray], answers: Sequence[np.ndarray]) -> None:
        """Count a request."""
        shapes = {name: feed.shape for name, feed in feeds.items()}
        key = (model, *shapes.items())
        if key not in self._operations:
            content = model if isinstance(model, bytes) else model.read_bytes()
            self._operations[key] = float(sum(layer.operations for layer in count_layers(content, shapes)))
        self.operations += self._operations[key]
        self.requests += 1
        self.megabytes += sum(each.nbytes for each in (*feeds.values(), *answers)) / 1e6


class TimedSession:
    """A network whose time is noted."""

    def __init__(self, owner: TimedNetworks, session: Any, model: Path | bytes) -> None:
        self._owner, self._session, self._model = owner, session, model
        self.inputs, self.outputs, self.shapes = session.inputs, session.outputs, session.shapes

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        began = time.process_time()
        answers = self._session.run(feeds, wanted)
        done = time.process_time()
        self._owner.note(self._model, feeds, answers)
        self._owner.seconds += done - began
        self._owner.counting += time.process_time() - done
        return answers


def measure(videos: Sequence[Path], model: Path, settings: ExtractionSettings, frames: int) -> dict[str, float]:
    """Milliseconds of processor time for each frame of the videos, also those that are left out, by part."""
    networks = TimedNetworks()
    extractor = PoseExtractor(model, settings=settings, opener=networks)
    whole = decoding = 0.0
    looked = stored = 0
    for video in videos:
        with FrameReader(video) as reader:
            tracker = extractor.tracker()
            source = reader.frames(step=frame_step(reader.fps, settings.max_fps))
            for _ in range(frames):
                began = time.process_time()
                frame = next(source, None)
                decoding += time.process_time() - began
                if frame is None:
                    break
                began = time.process_time()
                tracker.update(frame)
                whole += time.process_time() - began
                looked += 1
            stored += reader.n_frames
    rest = whole - networks.seconds - networks.counting
    parts = {"decoding": decoding, "networks": networks.seconds, "rest": rest}
    found = {f"{name}_ms": round(1e3 * seconds / stored, 3) for name, seconds in parts.items()}
    return found | {
        "ms": round(sum(found.values()), 3), "frames": stored, "looked_at": looked,
        "requests": round(networks.requests / stored, 3), "megabytes": round(networks.megabytes / stored, 3),
        "gflop": round(networks.operations / 1e9 / stored, 3),
    }  # fmt: skip


def candidates(paper: Path | None) -> Iterator[tuple[str, Path, ExtractionSettings]]:
    """Name, network and settings of what is measured; the reference first."""
    if paper:
        yield "reference", paper, ExtractionSettings(**REFERENCE)
    for network in NETWORK_NAMES:
        for quality in QUALITY_NAMES:
            file = network_file(network, quality=quality)
            if file == Path(PAPER_FILE) and not paper:
                continue
            model = paper if file == Path(PAPER_FILE) and paper else file
            yield f"{network} {quality}", model, ExtractionSettings(**quality_settings(network, quality))


def open_nothing(model: Path | bytes, /, *, threads: int = 1) -> Any:
    """The network's inputs and outputs without the network: what a GPU that takes no time would be."""
    return Nothing(model)


class Nothing:
    """Session whose answers are zeros of the right shapes."""

    def __init__(self, model: Path | bytes) -> None:
        session = OnnxSession(model)
        self.inputs, self.outputs, self.shapes = session.inputs, session.outputs, session.shapes
        self._zeros = {
            name: np.zeros([int(side or 1) for side in self.shapes[name]], np.float32) for name in self.outputs
        }

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        return [self._zeros[name] for name in wanted]


def passing_on(requests: int = 300) -> dict[str, float]:
    """Processor time of a request that goes to another process and back, there and here, for a megabyte of both ways."""
    name = "movenet_lightning"
    with NetworkServer(open_nothing, str) as server:
        session = NetworkClient(server.address)(NETWORKS[name])
        feed = {"images": np.zeros((1, 3, 192, 192), np.float32)}
        answers = session.run(feed, session.outputs)
        there, here = psutil.Process(server.process_id).cpu_times(), time.process_time()
        for _ in range(requests):
            session.run(feed, session.outputs)
        after = psutil.Process(server.process_id).cpu_times()
    megabytes = sum(each.nbytes for each in (*feed.values(), *answers)) / 1e6
    spent = after.user + after.system - there.user - there.system
    return {
        "server_ms_per_megabyte": round(1e3 * spent / requests / megabytes, 3),
        "worker_ms_per_megabyte": round(1e3 * (time.process_time() - here) / requests / megabytes, 3),
        "megabytes": round(megabytes, 3),
    }


def base(folder: Path, paper: Path | None, frames: int) -> dict[str, Any]:
    """Figures of all networks and qualities, the better of two rounds in turns."""
    cv2.setNumThreads(1)
    videos = sorted(folder.rglob("*.avi"))
    chosen = list(candidates(paper))
    rounds = [
        {name: measure(videos, model, settings, frames) for name, model, settings in chosen} for _ in range(ROUNDS)
    ]
    best = {name: min((one[name] for one in rounds), key=lambda each: each["ms"]) for name, _, _ in chosen}
    for each in best.values():
        if "reference" in best:
            each["times_the_reference"] = round(best["reference"]["ms"] / each["ms"], 2)
    return {"videos": len(videos), "kind": "measured", "networks": best, "passing_on": passing_on()}


def hours(
    figures: Mapping[str, float], passing: Mapping[str, float], frames: float
) -> Iterator[tuple[str, float, str]]:
    """Machine, hours, and what bounds it, for each machine of the plan."""
    for cores in CORES:
        yield f"{cores} cores", frames * figures["ms"] / cores / 3.6e6, "cores"
    here = figures["decoding_ms"] + figures["rest_ms"] + passing["worker_ms_per_megabyte"] * figures["megabytes"]
    for name, peak in GPUS.items():
        bounds = {
            "cores": here / (CORES_BESIDE_GPU - 1),
            "the process that passes on": passing["server_ms_per_megabyte"] * figures["megabytes"],
            "GPU": 1e12 * figures["gflop"] / (peak * SHARE_OF_PEAK),
        }
        slowest = max(bounds, key=lambda each: bounds[each])
        yield f"{CORES_BESIDE_GPU} cores and a {name}", frames * bounds[slowest] / 3.6e6, slowest


def plan(figures: Mapping[str, Any], frames: float) -> str:
    """Table of the hours that a dataset takes, in Markdown; all of it is predicted."""
    rows = {name: list(hours(each, figures["passing_on"], frames)) for name, each in figures["networks"].items()}
    machines = [machine for machine, _, _ in next(iter(rows.values()))]
    lines = [f"| | {' | '.join(machines)} |", f"| --- |{' --- |' * len(machines)}"]
    for name, row in rows.items():
        cells = [f"{taken:.2f}" + (f" ({bound})" if "and" in machine else "") for machine, taken, bound in row]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def idle(item: int, heartbeat: Heartbeat) -> int:
    """Work of a worker process that takes no time."""
    return item


def of_parent(clips: int = 800) -> dict[str, float]:
    """Processor time of the parent process for a clip like those of UCF101: 187 frames, every second looked at, two people."""
    found = {}
    numbers = {str(number): number for number in range(clips)}
    for workers in (2, 16):
        began = time.process_time()
        done = sum(1 for _ in run_supervised(numbers, idle, workers=workers, stall_seconds=60))
        found[f"hand_out_ms_{workers}_workers"] = round(1e3 * (time.process_time() - began) / done, 3)
    joints = np.random.default_rng(0).uniform(1, 300, (2, 94, 18, 3)).astype(np.float32)
    video = VideoPoses(Tracks.of(joints), 12.5, 320, 240, 187, 0.12, "x")
    with tempfile.TemporaryDirectory() as folder:
        cache = PoseCache(Path(folder), identity="x")
        names = [f"{number:064x}" for number in range(clips)]
        for name in names:
            cache.write(name, video)
        began = time.process_time()
        stored = (slice_clip(cache.read(name) or video, name, start_s=0, end_s=187 / 25) for name in names)
        write_pose_set(Path(folder) / "set", OPENPOSE18, stored)
        found["read_and_write_ms"] = round(1e3 * (time.process_time() - began) / clips, 3)
    return found


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
    parts = parser.add_subparsers(dest="part", required=True)
    asked = parts.add_parser("base")
    asked.add_argument("folder", type=Path, help="folder of AVI files, such as those of UCF101")
    asked.add_argument(
        "--paper", type=Path, help="exported network of the paper; without it only the others are measured"
    )
    asked.add_argument("--frames", type=int, default=150, help="looked at, of each video")
    asked.add_argument("--out", type=Path, required=True)
    asked = parts.add_parser("plan")
    asked.add_argument("figures", type=Path, help="what `base` wrote")
    asked.add_argument(
        "--frames", type=float, default=UCF101_FRAMES, help="of the dataset, those that are thinned included"
    )
    parts.add_parser("parent")
    for part in ("workers", "memory"):
        asked = parts.add_parser(part)
        asked.add_argument("workspace", type=Path)
        asked.add_argument("--network", default="paper", choices=NETWORK_NAMES)
        asked.add_argument("--quality", default="fast", choices=QUALITY_NAMES)
        asked.add_argument("--videos", type=int, default=96)
        asked.add_argument("--clips", type=int, default=1000)
    given = parser.parse_args()
    if given.part == "base":
        write_json(given.out, base(given.folder, given.paper, given.frames))
    elif given.part == "parent":
        print(json.dumps(of_parent()))
    elif given.part == "plan":
        print(plan(json.loads(given.figures.read_text()), given.frames))
    else:
        of_workers(given)


def of_workers(given: argparse.Namespace) -> None:
    """Print what worker processes take."""
    file = network_file(given.network, quality=given.quality)
    model = given.workspace / file if file == Path(PAPER_FILE) else file
    settings = ExtractionSettings(**quality_settings(given.network, given.quality))
    files = sorted((given.workspace / "data" / "raw").rglob("*.avi"))
    every = max(1, len(files) // given.videos)
    videos = {path.name: path for path in files[::every][: given.videos]}
    if given.part == "workers":
        print(json.dumps(throughput(videos, model, settings)), flush=True)
    else:
        for row in memory(videos, model, settings, given.clips):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
