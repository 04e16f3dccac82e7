"""A folder in which the pipeline runs on a few animated people, is disturbed, and is compared with one that was not."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from parameters import change

from pan_core.files import SCRATCH_SUFFIX

ROOT = Path(__file__).parents[2]

# Three actors, two epochs and two trials: every stage has something to do, and nothing is learnt that deserves the name.
REDUCED = {
    "actors.groups": 3, "split.validation_share": 0.3, "pose.quality": "fast", "pose.max_fps": 8, "relabel.compare": False,
    "validate.max_quarantined": 0.5, "tune.trials": 2, "tune.epochs": 2, "tune.leaders": 1, "tune.repeats": 1, "tune.pruner": "none",
    "tune.objectives": ["accuracy"], "train.epochs": 2, "latency.frames": 50, "latency.pose_frames": 10,
    "latency.budget_step_ms": 500, "latency.budget_frame_ms": 5000,
}  # fmt: skip

TIMED = re.compile(r"latency|seconds|_ms$|budget|run_id|registered_|decision|commit|created|version")
"""Figures that are of the machine or of the moment, and that no two runs have in common."""

OUTPUTS = ("data/raw", "data/poses", "data/valid", "data/quarantine", "models", "reports", "dvc.lock")


def lay_out(folder: Path) -> None:
    """Make a folder in which the stages can run: pipeline and parameters of its own, the project's code and devices."""
    shutil.copytree(ROOT / "data" / "watched", folder / "data" / "watched", symlinks=True)
    shutil.copytree(ROOT / "networks", folder / "networks", ignore=lambda _, names: {*names} - {"README.md"})
    (folder / "data" / "incoming").mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", "prefect.toml"):
        shutil.copy2(ROOT / name, folder / name)
    for name in ("pan_core", "flows", "edge"):
        (folder / name).symlink_to(ROOT / name)


class Workspace:
    """A folder with its own dvc.yaml, params.yaml, DVC cache and MLflow store, and the project's code.

    Args:
        folder: Made here.
        cache: PAN_CACHE: drawn videos and extracted poses, which several workspaces may share one after another.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache, self.log = folder, cache, folder / "log"
        lay_out(folder)
        foreign = ("MLFLOW_", "PREFECT_", "PAN_CACHE", "PAN_OPTUNA", "AWS_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
            "PAN_CACHE": str(cache),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        self.must("dvc", "init", "--no-scm", "--quiet")
        self.set(REDUCED)

    def set(self, changes: dict[str, object]) -> None:
        """Change values of params.yaml, given as {"section.name": value}."""
        change(self.folder / "params.yaml", changes)

    def start(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; what it prints is `self.log`."""
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *command: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
        """Exit status of a command and everything that it printed."""
        status = self.start(*command, environment=environment).wait()
        return status, self.printed()

    def must(self, *command: str, environment: dict[str, str] | None = None) -> str:
        """What a command printed that has to end well."""
        status, output = self.run(*command, environment=environment)
        assert status == 0, f"{' '.join(command)} ended with {status}:\n{output[-6000:]}"
        return output

    def printed(self) -> str:
        """What the last command has printed so far."""
        return self.log.read_text(errors="replace")

    def stage_at_work(self) -> str:
        """The stage that the last command has come to."""
        found = re.findall(r"(?:Running stage '|stage:)(\w+)", self.printed())
        return found[-1] if found else "start"

    def wait_for(self, text: str, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
        """Until the command has printed a text."""
        end = time.monotonic() + seconds
        while text not in self.printed():
            assert process.poll() is None and time.monotonic() < end, f"{text!r} was not printed:\n{self.printed()}"
            time.sleep(0.05)

    def passed_over(self, process: subprocess.Popen[bytes], share: float) -> None:
        """Where a share of the run is behind, until the command has come to a stage that it runs; at most 2 minutes."""
        end = time.monotonic() + 120
        while share and process.poll() is None and time.monotonic() < end and "Running stage" not in self.printed():
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        """Those that work in this folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()) == self.folder and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def kill(self, process: subprocess.Popen[bytes], *, whole: bool) -> float:
        """SIGKILL the command alone or with all that it has started; returns after how long nobody was left, in s."""
        begun = time.monotonic()
        if whole:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for each in self.processes():
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        else:
            process.kill()
        process.wait()
        while self.processes():
            assert time.monotonic() - begun < 60, f"still at work: {self.processes()}"
            time.sleep(0.1)
        return time.monotonic() - begun

    def forget(self, *, poses: bool = False) -> None:
        """Everything but what PAN_CACHE keeps of videos and, unless asked, of poses, so that all stages have to run again."""
        for name in (*OUTPUTS, ".dvc/cache", ".dvc/tmp", "mlruns"):
            place = self.folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        for path in (self.folder / "data").glob("*.parquet"):
            path.unlink()
        for name in ("checkpoints", "registry", *(["poses"] if poses else [])):
            shutil.rmtree(self.cache / name, ignore_errors=True)

    def results(self) -> dict[str, object]:
        """All that two runs of the same parameters must have in common: figures, weights and MLflow's curves."""
        summary = json.loads((self.folder / "reports" / "summary.json").read_text())
        found: dict[str, object] = {
            f"summary {name}": value for name, value in summary.items() if not TIMED.search(name)
        }
        for name in ("train", "evaluate", "pose", "relabel", "export"):
            report = json.loads((self.folder / "reports" / f"{name}.json").read_text())
            found |= {f"{name} {key}": value for key, value in report.items() if not TIMED.search(key)}
        for path in sorted((self.folder / "models" / "pan").rglob("*.safetensors")):
            found[f"weights {path.parent.name}"] = path.read_bytes()
        found |= {f"curve {key}": rows for key, rows in self.curves().items() if not TIMED.search(key)}
        return found | {f"left {name}": value for name, value in self.left().items()}

    def left(self) -> dict[str, object]:
        """What a run that was disturbed may leave more of than another: open or doubled rows, versions, half-written files."""
        with sqlite3.connect(self.folder / "mlruns" / "mlflow.db") as store:
            rows = store.execute(
                "select value, status from runs join tags using (run_uuid) where key = 'pan.kind' and lifecycle_stage = 'active'"
            ).fetchall()
            (versions,) = store.execute("select count(*) from model_versions").fetchone()
        places = (self.folder, self.cache)
        return {
            "pipeline rows": sorted(status for kind, status in rows if kind == "pipeline"),
            "open rows of stages": sum(status == "RUNNING" for kind, status in rows if kind == "stage"),
            "registered versions": versions,
            "half-written files": sorted(str(path) for place in places for path in place.rglob(f"*{SCRATCH_SUFFIX}*")),
            "undelivered messages": len(list((self.folder / "mlruns" / "outbox").rglob("message.json"))),
        }

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Step and value of every epoch's figures in the SQLite store of MLflow."""
        with sqlite3.connect(self.folder / "mlruns" / "mlflow.db") as store:
            rows = store.execute(
                "select metrics.key, step, value from metrics join runs using (run_uuid)"
                " where instr(metrics.key, '/') and runs.status = 'FINISHED' and runs.lifecycle_stage = 'active'"
            )
            found: dict[str, list[tuple[int, float]]] = {}
            for key, step, value in sorted(set(rows)):
                found.setdefault(key, []).append((step, value))
        return found


def differences(found: dict[str, object], expected: dict[str, object]) -> list[str]:
    """Names of what is not equal."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
