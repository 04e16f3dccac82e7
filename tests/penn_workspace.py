"""A small dataset in Penn Action's layout, and workspaces in which the pipeline can run on it."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from parameters import change
from scipy.io import savemat

ROOT = Path(__file__).parents[1]
CLASSES = {"squat": (0.0, 30.0), "jumping_jacks": (40.0, 0.0), "bowl": (15.0, 15.0)}
SEQUENCES = 14


def sequence(path, label, *, train, rng):
    """A person whose wrists swing and whose hips sink as far as the class says, 24 frames."""
    wrists, hips = CLASSES[label]
    body = np.array([[0, -60], [-15, -40], [15, -40], [-22, -20], [22, -20], [-25, 0], [25, 0], [-10, 0], [10, 0],
                     [-10, 30], [10, 30], [-10, 60], [10, 60]], dtype=float)  # fmt: skip
    phase = np.sin(np.arange(24) / 24 * 2 * np.pi * rng.uniform(1, 2) + rng.uniform(0, 6))
    place = np.repeat(body[None], 24, axis=0) * rng.uniform(0.8, 1.2) + rng.uniform(120, 200, 2)
    place[:, [5, 6], 1] -= wrists * (1 + phase[:, None])
    place[:, :9, 1] += hips * (1 + phase[:, None]) / 2
    place += rng.normal(0, 1, place.shape)
    savemat(path, {"action": label, "train": 1 if train else -1, "x": place[..., 0], "y": place[..., 1],
                   "visibility": np.ones((24, 13)), "nframes": 24, "dimensions": [270, 480, 24],
                   "bbox": np.zeros((24, 4))})  # fmt: skip


def make_mirror(folder):
    """The dataset as an archive in a mirror folder; returns that folder."""
    rng = np.random.default_rng(0)
    labels = folder / "Penn_Action" / "labels"
    labels.mkdir(parents=True)
    for number in range(SEQUENCES * len(CLASSES)):
        label = list(CLASSES)[number % len(CLASSES)]
        sequence(labels / f"{number:04}.mat", label, train=number < 10 * len(CLASSES), rng=rng)
    archive = folder / "mirror" / "penn_action" / "Penn_Action.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "Penn_Action", "Penn_Action")
    return folder / "mirror"


class Workspace:
    """A folder with its own dvc.yaml and params.yaml, and the project's code."""

    def __init__(self, folder, mirror):
        self.folder = folder
        self.environment = {
            name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "PAN_CACHE")
        } | {"PAN_MIRROR": str(mirror), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def start(self, *command):
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *command):
        """Exit status and everything that was printed."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=900)
        return process.returncode, output

    def set(self, changes):
        """Change values of params.yaml, given as {"section.name": value}."""
        change(self.folder / "params.yaml", changes)


def make_workspace(folder, mirror, cache):
    """A workspace in which nothing has run; workspaces with the same DVC cache share what has run in one of them."""
    folder.mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / "pan_core").symlink_to(ROOT / "pan_core")
    shutil.copytree(ROOT / "edge", folder / "edge")
    shutil.copytree(ROOT / "data" / "watched", folder / "data" / "watched", symlinks=True)
    shutil.copytree(ROOT / "networks", folder / "networks", ignore=lambda _, names: {*names} - {"README.md"})
    (folder / "data" / "incoming").mkdir()
    workspace = Workspace(folder, mirror)
    assert workspace.run("dvc", "init", "--no-scm", "--quiet")[0] == 0
    assert workspace.run("dvc", "config", "cache.dir", str(cache))[0] == 0
    workspace.set({"train.epochs": 4, "split.validation_share": 0.2, "latency.frames": 100, "latency.pose_frames": 10,
                   "latency.warmup": 2, "latency.budget_frame_ms": 5000, "latency.budget_step_ms": 500, "export.inputs": 12,
                   "export.scenes": 1, "export.targets": ["host"]})  # fmt: skip
    return workspace
