"""The retraining flow with real Prefect, DVC and MLflow; training itself is one small stage that registers a version."""

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from flows.retrain import retrain
from pan_core.registry.models import registry_of
from pan_core.tracking import open_client

HEADER = "video,start_s,end_s,label,camera,recorded_at,subject"
# The challenger is promoted where the file says so.
PIPELINE = """
stages:
  promote:
    cmd: python promote.py ${retrain.champion} ${retrain.data_version}
    deps: [promote.py, "${surveillance.folder}", verdict.txt]
    params: [retrain, train.epochs]
    outs: [reports/promote.json, reports/promotion.html, reports/summary.json]
"""
PARAMS = """\
dataset: actors  # mine
surveillance: {folder: data/incoming}
train: {epochs: 60}
retrain: {champion: 0, data_version: ""}
"""
STAGE = """
import json
import sys
from pathlib import Path

from pan_core.config import load_params
from pan_core.registry.models import DATA, DECISION, RECIPE, registry_of

champion, data = sys.argv[1:]
params = load_params()
registry = registry_of(params.dataset)
version = registry.register(Path("verdict.txt").resolve().as_uri(), None, {DATA: data, RECIPE: params.recipe()})
promoted = Path("verdict.txt").read_text().strip() == "better"
if promoted:
    registry.promote(version.number)
if Path("verdict.txt").resolve().with_name("killed.txt").exists():
    sys.exit(9)
reason = "promoted; all 0 conditions hold" if promoted else "refused; accuracy: 50 %, allowed 60 %"
registry.tag(version.number, DECISION, reason)
checks = [{"name": "accuracy", "found": "50 %", "allowed": "60 %", "passed": promoted}]
found = {"promoted": promoted, "reason": reason, "challenger": f"version {version.number}", "checks": checks, "began_with": champion}
Path("reports").mkdir(exist_ok=True)
Path("reports/promote.json").write_text(json.dumps(found))
Path("reports/promotion.html").write_text(reason)
Path("reports/summary.json").write_text(json.dumps({"decision": reason}))
"""


@pytest.fixture
def project(project, monkeypatch, server):
    """A project whose one stage registers what it is told to have trained."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = project(PIPELINE)
    (root / "params.yaml").write_text(PARAMS)
    (root / "promote.py").write_text(STAGE)
    (root / "verdict.txt").write_text("better\n")
    (root / "data" / "incoming").mkdir(parents=True)
    (root / "pan_core").symlink_to(Path(__file__).parents[2] / "pan_core")
    return root


def deliver(root, name, subjects=("ann", "ben", "cem"), labels=("Walking", "Falling"), marker=True):
    folder, lines = root / "data" / "incoming" / name, [HEADER]
    folder.mkdir(parents=True)
    for number, subject in enumerate(subjects, start=zlib.crc32(name.encode()) % 50):
        writer = cv2.VideoWriter(str(folder / f"{subject}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
        for frame in range(20):
            writer.write(np.full((48, 64, 3), (7 * number + frame) % 256, np.uint8))
        writer.release()
        lines += [f"{subject}.avi,{at},{at + 1},{label},hall,2026-11-01,{subject}" for at, label in enumerate(labels)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    if marker:
        (folder / "_SUCCESS").touch()
    return folder


def run(**given):
    state = retrain(**given, return_state=True)
    return state.name, state.message


def outcome(root):
    return json.loads((root / ".cache" / "workspaces" / "retraining" / "reports" / "promote.json").read_text())


def test_deliveries_one_after_another(project):
    """First training, nothing new, a better one that starts from the champion, a way back, a worse one; params.yaml stays."""
    registry = registry_of("surveillance")
    assert run() == ("NothingNew", "no delivery has been taken yet")
    deliver(project, "2026-11-02")
    assert run() == ("Promoted", "version 1: promoted; all 0 conditions hold")
    assert outcome(project)["began_with"] == "0"
    assert run() == ("NothingNew", "version 1 of the recogniser was trained on this footage")
    deliver(project, "2026-11-09", ("dan",))
    deliver(project, "2026-11-10", marker=False)
    assert run()[0] == "Promoted"
    assert outcome(project)["began_with"] == "1"
    registry.rollback()
    assert run()[0] == "NothingNew"
    assert registry.champion().number == 1
    assert run(force=True, overrides={"train": {"epochs": 3}}) == (
        "Promoted",
        "version 3: promoted; all 0 conditions hold",
    )
    assert registry.champion().number == 3
    (project / "verdict.txt").write_text("worse\n")
    deliver(project, "2026-11-16", ("eve",))
    deliver(project, "sixteenth", ("fay",))
    name, message = run()
    assert name == "Refused"
    assert message.startswith(
        "version 4: refused; accuracy: 50 %, allowed 60 %; sixteenth was refused: expected a name"
    )
    assert (project / "params.yaml").read_text() == PARAMS
    assert not (project / "reports").exists()


def test_what_was_interrupted_or_lost_is_done_again_or_told(project):
    """A decision that died, a version that was deleted, a delivery that nobody puts right, footage that is gone."""
    deliver(project, "2026-11-02")
    (project / "killed.txt").touch()
    assert run()[0] == "Failed"
    (project / "killed.txt").unlink()
    assert run()[0] == "Promoted"
    open_client().delete_registered_model("pan-surveillance")
    assert run()[0] == "Promoted"
    assert registry_of("surveillance").champion().number == 1
    deliver(project, "sixteenth", ("fay",))
    assert run()[0] == "Failed"
    name, message = run()
    assert name == "NothingNew"
    assert "sixteenth is refused: expected a name" in message
    shutil.rmtree(project / "data" / "footage")
    name, message = run()
    assert name == "Failed"
    assert "`dvc pull data/footage.dvc`" in message


def test_a_second_run_at_the_same_time_is_told(project):
    deliver(project, "2026-11-02")
    with FileLock(project / ".cache" / "retraining.lock"):
        name, message = run()
    assert name == "Failed"
    assert "another retraining is at work" in message
    assert not (project / "data" / "footage").exists()


def test_a_run_in_which_all_that_came_was_refused_fails_with_the_reasons(project):
    deliver(project, "2026-11-02", labels=("Walking",))
    name, message = run()
    assert name == "Failed"
    assert "1 deliveries were refused" in message
    assert "2026-11-02: all of one class (Walking)" in message


def test_footage_of_too_few_people_is_kept_and_the_run_says_what_is_missing(project):
    deliver(project, "2026-11-02", ("ann", "ben"))
    name, message = run()
    assert name == "Failed"
    assert "of its 2 groups (by subject) one must decide and two be learnt from" in message
    deliver(project, "2026-11-03", ("cem",))
    assert run()[0] == "Promoted"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"train": {"epocs": 3}}, "did you mean 'epochs'?"),
        ({"train": {"epochs": 0}}, "greater than or equal to 1"),
        ({"train": 5}, "train: "),
    ],
)
def test_parameters_that_cannot_be_used_are_told_before_anything_is_taken(project, overrides, said):
    deliver(project, "2026-11-02")
    name, message = run(overrides=overrides)
    assert name == "Failed"
    assert said in message
    assert not (project / "data" / "footage").exists()


def test_on_the_command_line(project, server):
    deliver(project, "2026-11-02", labels=("Walking",))
    done = subprocess.run(
        [sys.executable, "-m", "flows.retrain"], cwd=project, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PREFECT_API_URL": server},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].strip().startswith("- 2026-11-02: all of one class (Walking)")
    assert "Traceback" not in done.stderr
