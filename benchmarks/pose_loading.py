"""How fast UCF101-sized pose data is listed, split, loaded and fed to training, and what memory that takes.

    python benchmarks/pose_loading.py --json reports/pose_loading.json
    python benchmarks/pose_loading.py --people 4   # as many people as the published file is filled up with

Makes a pickle of the PYSKL format with the clip names, class and group sizes of UCF101 in a temporary folder (0.8 GB
with one person a clip, 3.2 GB with four) and measures each step in a process of its own, one thread each: peak memory is
that of the step and of Python with its libraries. `mapped` is the part of it that is mapped from files, which the kernel
drops whenever it needs room. Steps marked cold begin with the files out of the page cache. On a machine
with other work, the CPU seconds are the time that a step takes alone, reading from disk apart.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from pan_core.datasets.base import Context
from pan_core.datasets.splits import leakage, with_validation
from pan_core.datasets.ucf101 import CLASSES
from pan_core.datasets.ucf101_pose import Ucf101Pose
from pan_core.files import require_space
from pan_core.model.features import MODES
from pan_core.pose.pose_set import PoseSet
from pan_core.skeletons import COCO17
from pan_core.training.samples import Samples, build_samples

GROUPS = 25
MISSING_SHARE = 0.05
STEPS = 20
PICKLE = "ucf101_hrnet.pkl"


def make_pickle(path: Path, *, clips: int, frames: int, people: int) -> None:
    """Write random poses under UCF101's names; test groups are 1-7, 8-14 and 15-21 as in the official splits."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(0, 0.5, clips)
    lengths = np.maximum(29, lengths / lengths.sum() * frames).astype(int)
    annotations, names = [], []
    for i, length in enumerate(lengths):
        group = i // len(CLASSES) % GROUPS + 1
        names.append((f"v_{CLASSES[i % len(CLASSES)]}_g{group:02}_c{i // (len(CLASSES) * GROUPS) + 1:02}", group))
        place = rng.random((people, length, COCO17.size, 2), dtype=np.float32) * [320, 240]
        score = rng.random((people, length, COCO17.size), dtype=np.float32)
        score[score < MISSING_SHARE] = 0
        annotations.append(
            {"frame_dir": names[-1][0], "total_frames": int(length), "img_shape": (240, 320),
             "original_shape": (240, 320), "label": i % len(CLASSES), "keypoint": place.astype(np.float16),
             "keypoint_score": score.astype(np.float16)}
        )  # fmt: skip
    split = {}
    for number in (1, 2, 3):
        held_out = range(7 * number - 6, 7 * number + 1)
        split[f"train{number}"] = [name for name, group in names if group not in held_out]
        split[f"test{number}"] = [name for name, group in names if group in held_out]
    with path.open("wb") as file:
        pickle.dump({"split": split, "annotations": annotations}, file, protocol=4)


def convert(folder: Path) -> dict:
    Ucf101Pose().fetch(folder / "raw", Context(cache=folder / "cache", mirror=folder / "mirror", download=False))
    stored = sum(path.stat().st_size for path in (folder / "raw").rglob("*") if path.is_file())
    return {"pickle_mb": pickle_of(folder).stat().st_size / 1e6, "stored_mb": stored / 1e6}


def catalogue(folder: Path) -> dict:
    return {"clips": len(clip_table(folder))}


def catalogue_and_split(folder: Path) -> dict:
    return split(clip_table(folder), [1])


def catalogue_and_all_splits(folder: Path) -> dict:
    return split(clip_table(folder), [1, 2, 3])


def split(clips: pd.DataFrame, numbers: list[int]) -> dict:
    """What the stage does with official splits: validation groups cut out of training, leakage counted."""
    for column in (f"split{number}" for number in numbers):
        clips[column] = with_validation(clips, column, share=0.15, seed=0)
        shared = leakage(clips, column).get("group", 0)
        assert shared == 0, f"{shared} test clips share a group with training"
    return {"clips": len(clips), "splits": len(numbers)}


def open_stored(folder: Path) -> dict:
    poses = PoseSet(folder / "raw" / "poses")
    last = poses.clip(poses.index["clip_id"].iloc[-1])
    return {"clips": 1, "scores": float(last.joints[..., 2].sum(dtype=float))} | memory()


def load_stored(folder: Path) -> dict:
    poses = PoseSet(folder / "raw" / "poses")
    scores = sum(poses.clip(clip_id).joints[..., 2].sum(dtype=float) for clip_id in poses.index["clip_id"])
    return {"clips": len(poses), "frames": int(poses.index["frames"].sum()), "scores": scores} | memory()


def load_pickle(folder: Path) -> dict:
    with pickle_of(folder).open("rb") as file:
        annotations = pickle.load(file)["annotations"]
    scores = sum(made["keypoint_score"].sum(dtype=float) for made in annotations)
    frames = sum(made["total_frames"] for made in annotations)
    return {"clips": len(annotations), "frames": frames, "scores": scores} | memory()


def samples_clip(folder: Path) -> dict:
    return {"clips": len(training_samples(folder, "clip"))}


def samples_online(folder: Path) -> dict:
    return {"clips": len(training_samples(folder, "online"))}


def train_clip(folder: Path) -> dict:
    return waiting_share(training_samples(folder, "clip"))


def train_online(folder: Path) -> dict:
    return waiting_share(training_samples(folder, "online"))


MEASURES: dict[str, tuple[Callable[[Path], dict], bool]] = {
    "convert the pickle, once": (convert, False),
    "catalogue": (catalogue, False),
    "catalogue and split 1": (catalogue_and_split, False),
    "catalogue and three splits": (catalogue_and_all_splits, False),
    "open stored form, read a clip": (open_stored, False),
    "load stored form": (load_stored, False),
    "load stored form, cold": (load_stored, True),
    "unpickle the same (pickle.load)": (load_pickle, False),
    "unpickle the same, cold": (load_pickle, True),
    "samples of split 1, clip": (samples_clip, False),
    "samples of split 1, online": (samples_online, False),
    "training steps, clip": (train_clip, False),
    "training steps, online": (train_online, False),
}


def clip_table(folder: Path) -> pd.DataFrame:
    return Ucf101Pose().catalogue(folder / "raw", Context(cache=folder / "cache")).clips


def pickle_of(folder: Path) -> Path:
    return folder / "mirror" / Ucf101Pose.name / PICKLE


def training_samples(folder: Path, mode: str) -> Samples:
    assert mode in MODES
    clips = clip_table(folder)
    train = clips[clips["split1"] == "train"]
    return build_samples(train, PoseSet(folder / "raw" / "poses"), None, classes=CLASSES, mode=mode)


class TimedSamples:
    """Samples whose `batch` counts the time that training waits for it."""

    def __init__(self, samples: Samples) -> None:
        self._samples, self.seconds = samples, 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._samples, name)

    def __len__(self) -> int:
        return len(self._samples)

    def batch(self, *args: object, **kwargs: object) -> object:
        started = time.perf_counter()
        try:
            return self._samples.batch(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - started


def waiting_share(samples: Samples) -> dict:
    """Share of the time of real training steps (loading, augmentation, features, network) spent in `Samples.batch`."""
    import torch  # late: the memory of the other steps is measured without it

    from pan_core.model.pan import PanSettings  # late: imports torch
    from pan_core.training.fit import build_network  # late: imports torch
    from pan_core.training.loop import TrainingLoop  # late: imports torch
    from pan_core.training.schedule import epoch_batches  # late: imports torch
    from pan_core.training.settings import TrainSettings  # late: imports torch

    torch.set_num_threads(1)
    timed, settings = TimedSamples(samples), TrainSettings(device="cpu")
    trained = TrainingLoop(timed, timed, settings, PanSettings(), 0, build_network, torch.device("cpu"))
    rng = np.random.default_rng(0)
    batches = epoch_batches(samples.lengths, settings.batch, rng)[: STEPS + 3]
    for indices in batches[:3]:
        trained.step(indices, rng)
    timed.seconds, started = 0.0, time.perf_counter()
    for indices in batches[3:]:
        trained.step(indices, rng)
    total = time.perf_counter() - started
    return {"steps": STEPS, "step_ms": total / STEPS * 1e3, "batch_ms": timed.seconds / STEPS * 1e3,
            "waiting_percent": 100 * timed.seconds / total}  # fmt: skip


def measure(name: str, folder: Path) -> dict:
    """Run one step here; its time and memory."""
    run, cold = MEASURES[name]
    if cold:
        forget(folder)
    started, used = time.perf_counter(), time.process_time()
    row = run(folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return {"step": name, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": status("VmHWM")} | row


def memory() -> dict[str, float]:
    """Resident memory now, in MB: of the process alone, and mapped from files."""
    return {"own_mb": status("RssAnon"), "mapped_mb": status("RssFile")}


def status(name: str) -> float:
    """A size in /proc/self/status, in MB; `getrusage` would count the parent process too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{name}:"))


def forget(folder: Path) -> None:
    """Take the files out of the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def all_measures(folder: Path) -> Iterator[dict]:
    """Every step in a process of its own."""
    for name in MEASURES:
        command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
        yield json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def line_of(row: dict) -> str:
    """A row of the printed table."""
    told = {"step", "seconds", "cpu_seconds", "peak_mb"}
    rest = ", ".join(f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value:,}"
                     for key, value in row.items() if key not in told)  # fmt: skip
    return f"{row['step']:34} {row['seconds']:8.2f} {row['cpu_seconds']:6.2f} {row['peak_mb']:9.0f}  {rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=13_320, help="at least 2,525, a clip a group")
    parser.add_argument("--frames", type=int, default=2_500_000)
    parser.add_argument("--people", type=int, default=1, help="people in every clip")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        require_space(folder, 320 * arguments.frames * arguments.people, "made pose data")
        pickle_of(folder).parent.mkdir(parents=True)
        make_pickle(pickle_of(folder), clips=arguments.clips, frames=arguments.frames, people=arguments.people)
        print(f"{arguments.clips:,} clips, {arguments.frames:,} frames, {arguments.people} people in each; one thread")
        print(f"{'':34} {'seconds':>8} {'CPU s':>6} {'peak MB':>9}")
        rows = []
        for row in all_measures(folder):
            print(line_of(row), flush=True)
            rows.append(row)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(
            json.dumps({"arguments": vars(arguments), "rows": rows}, indent=2, default=str) + "\n"
        )


if __name__ == "__main__":
    main()
