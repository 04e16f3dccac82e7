"""The retraining flow with real Prefect, DVC and MLflow; training itself is one small stage that registers a version."""

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from filelock import FileLock

import flows.pan
from flows.retrain import retrain
from pan_core.errors import PanError
from pan_core.params.load import load_params
from pan_core.registry.models import registry_of
from pan_core.retraining.project import BUSY
from pan_core.tracking.tracker import open_client
from pan_core.workspace.lock import BusyError

pytestmark = pytest.mark.timeout(900)  # a whole pipeline, also on a machine that has other work

FEW = {"promote": {"min_clips": 1}}
HEADER = "video,start_s,end_s,label,camera,recorded_at,subject"
# The challenger is promoted where the file says so.
PIPELINE = """
stages:
  validate:
    cmd: python validate.py
    deps: [validate.py, "${surveillance.folder}"]
    outs: [valid.txt]
  promote:
    cmd: python promote.py ${retrain.champion} ${retrain.data_version}
    deps: [promote.py, valid.txt, "${surveillance.folder}", verdict.txt]
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

from pan_core.params.load import load_params
from pan_core.registry.models import BEGAN_WITH, DATA, DECISION, RECIPE, registry_of

champion, data = sys.argv[1:]
params = load_params()
registry = registry_of(params.dataset)
tags = {DATA: data, RECIPE: params.recipe(), BEGAN_WITH: champion}
# Weights of the same data and the same start are the same.
version = next((v for v in registry.versions() if {**v.tags, **tags} == v.tags and not v.tags.get(DECISION)), None)
learnt = json.loads(Path("data/footage/deliveries.json").read_text())["deliveries"]
videos = [digest for entry in learnt for digest in entry["hashes"].values()]
model = Path(f"model-{data}")
model.mkdir(exist_ok=True)
(model / "lineage.json").write_text(json.dumps({"grouping": "subject", "groups": ["ann"], "videos": videos}))
version = version or registry.register(model.resolve().as_uri(), None, tags)
promoted = Path("verdict.txt").read_text().strip() == "better"
if promoted:
    registry.promote(version.number)
if Path("verdict.txt").resolve().with_name("killed.txt").exists():
    sys.exit(9)
reason = "promoted; all 0 conditions hold" if promoted else "refused; accuracy: 50 %, allowed 60 %"
registry.tag(version.number, DECISION, reason)
checks = [{"name": "accuracy", "found": "50 %", "allowed": "60 %", "passed": promoted}]
found = {"promoted": promoted, "reason": reason, "challenger": f"version {version.number}", "checks": checks, "began_with": champion, "already": False}
Path("reports").mkdir(exist_ok=True)
Path("reports/promote.json").write_text(json.dumps(found))
Path("reports/promotion.html").write_text(reason)
Path("reports/summary.json").write_text(json.dumps({"decision": reason}))
"""

# Footage with a label that is not to be had after all does not pass.
VALIDATE = """
from pathlib import Path

from pan_core.errors import GateError
from pan_core.workspace.failures import recorded_failure

with recorded_failure("validate"):
    if any("Sitting" in path.read_text() for path in Path("data/footage").glob("*/manifest.csv")):
        raise GateError("3 of 9 clips (33%) are in quarantine", code="quarantine.too-much")
Path("valid.txt").write_text("yes")
"""

# A challenger below the bound.
EVALUATE = """
from pan_core.errors import GateError
from pan_core.workspace.failures import recorded_failure

with recorded_failure("evaluate"):
    raise GateError("accuracy 40 %, at least 60 % asked for", code="accuracy.too-low")
"""


@pytest.fixture
def project(project, monkeypatch, server):
    """A project whose one stage registers what it is told to have trained."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = project(PIPELINE)
    (root / "params.yaml").write_text(PARAMS)
    (root / "promote.py").write_text(STAGE)
    (root / "validate.py").write_text(VALIDATE)
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


def fail(**given):
    """The error with which a run fails."""
    state = retrain(**given, return_state=True)
    assert state.name == "Failed"
    return state.result(raise_on_failure=False)


def outcome(root):
    return json.loads((root / ".cache" / "workspaces" / "retraining" / "reports" / "promote.json").read_text())


def test_deliveries_one_after_another(project):
    """First training, nothing new, a better one that starts from the champion, a way back, a worse one; params.yaml stays."""
    registry = registry_of("surveillance")
    assert run() == ("NothingNew", "the footage has no delivery yet")
    deliver(project, "2026-11-02")
    assert run() == ("Promoted", "version 1: promoted; all 0 conditions hold")
    assert outcome(project)["began_with"] == "0"
    assert run() == ("NothingNew", "version 1 of the recognizer was trained on this footage")
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


@pytest.mark.long
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
    assert "sixteenth" in message
    shutil.rmtree(project / "data" / "footage")
    assert fail().code == "footage.gone"


@pytest.mark.long
def test_a_promotion_that_died_after_the_champion_had_changed_is_finished_and_nothing_is_trained_again(project):
    deliver(project, "2026-11-02")
    assert run()[0] == "Promoted"
    deliver(project, "2026-11-09", ("dan",))
    (project / "killed.txt").touch()
    assert run()[0] == "Failed"
    registry = registry_of("surveillance")
    assert registry.champion().number == 2
    (project / "killed.txt").unlink()
    assert run() == ("Promoted", "version 2: promoted; all 0 conditions hold")
    assert [version.number for version in registry.versions()] == [2, 1]
    assert outcome(project)["began_with"] == "1"
    assert run()[0] == "NothingNew"


@pytest.mark.long
def test_footage_that_does_not_pass_validation_is_not_kept_and_the_next_nights_go_on(project):
    """Also where DVC's cache, what was remembered and the inbox are gone: what had been taken stays."""
    deliver(project, "2026-11-02")
    assert run()[0] == "Promoted"
    before = (project / "data" / "footage.dvc").read_text()
    shutil.rmtree(project / "data" / "incoming" / "2026-11-02")
    shutil.rmtree(project / ".dvc" / "cache")
    (project / ".cache" / "deliveries.json").unlink()
    folder = deliver(project, "2026-11-09", ("dan",), labels=("Walking", "Sitting"))
    announced = {"retrain": {"classes": ["Sitting"]}}
    error = fail(overrides=announced)
    assert error.code == "retraining.all-refused"
    assert "2026-11-09: stage validate: 3 of 9 clips (33%) are in quarantine" in str(error)
    assert (project / "data" / "footage.dvc").read_text() == before
    assert sorted(path.name for path in (project / "data" / "footage").glob("2026*")) == ["2026-11-02"]
    name, message = run(overrides=announced)
    assert name == "NothingNew"
    assert "(33%)" in message
    relabelled = (folder / "manifest.csv").read_text().replace("Sitting", "Falling")
    (folder / "manifest.csv").write_text(relabelled)
    assert run(overrides=announced)[0] == "Promoted"
    assert (project / "data" / "footage" / "2026-11-09").is_dir()


@pytest.mark.long
def test_footage_that_is_damaged_does_not_become_its_next_version(project):
    deliver(project, "2026-11-02")
    assert run()[0] == "Promoted"
    version = (project / "data" / "footage.dvc").read_text()
    holdout = project / "data" / "footage" / "holdout.json"
    kept = holdout.read_text()
    holdout.unlink()
    assert fail().code == "footage.changed"
    assert (project / "data" / "footage.dvc").read_text() == version
    subprocess.run([sys.executable, "-m", "dvc", "checkout", "data/footage.dvc"], check=True)
    assert holdout.read_text() == kept
    assert run()[0] == "NothingNew"


@pytest.mark.long
def test_of_several_deliveries_only_those_that_do_not_pass_are_refused(project):
    deliver(project, "2026-11-02")
    assert run()[0] == "Promoted"
    deliver(project, "2026-11-09", ("dan",), labels=("Walking", "Sitting"))
    deliver(project, "2026-11-10", ("eve",))
    name, message = run(overrides={"retrain": {"classes": ["Sitting"]}})
    assert name == "Promoted"
    assert "(33%)" in message
    assert sorted(path.name for path in (project / "data" / "footage").glob("2026*")) == ["2026-11-02", "2026-11-10"]


@pytest.mark.long
def test_first_footage_that_does_not_pass_can_be_put_right(project):
    folder = deliver(project, "2026-11-02", labels=("Walking", "Sitting"))
    assert "(33%)" in str(fail())
    assert not (project / "data" / "footage").exists()
    shutil.rmtree(folder)
    deliver(project, "2026-11-02", ("dan", "eve", "fay"))
    assert run()[0] == "Promoted"


@pytest.mark.long
def test_what_the_champion_learnt_from_is_withdrawn(project):
    """Another is trained, not from its weights; where that is no better, every run says so."""
    deliver(project, "2026-11-02")
    assert run(overrides=FEW)[0] == "Promoted"
    folder = deliver(project, "2026-11-09", ("dan",))
    assert run(overrides=FEW)[0] == "Promoted"
    (folder / "_WITHDRAWN").touch()
    (project / "verdict.txt").write_text("worse\n")
    name, message = run(overrides=FEW)
    assert name == "Refused"
    assert "the champion, version 2, learnt from 1 videos that are not in the footage any more" in message
    assert not load_params(project / ".cache" / "workspaces" / "retraining" / "params.yaml").retrain.begin
    learnt = message.split("; ")[-1]
    name, message = run(overrides=FEW)
    assert name == "NothingNew"
    assert message.endswith(learnt)


def test_a_challenger_below_a_bound_is_refused_with_the_reason_and_once(project):
    pipeline = (project / "dvc.yaml").read_text()
    evaluate = (
        "  evaluate:\n    cmd: python evaluate.py\n    deps: [valid.txt, evaluate.py]\n    outs: [evaluated.txt]\n"
    )
    (project / "dvc.yaml").write_text(pipeline.replace("  promote:", evaluate + "  promote:"))
    (project / "evaluate.py").write_text(EVALUATE)
    deliver(project, "2026-11-02")
    assert run() == ("Refused", "stage evaluate: accuracy 40 %, at least 60 % asked for")
    assert run() == ("NothingNew", "stage evaluate: accuracy 40 %, at least 60 % asked for")
    (project / "evaluate.py").write_text("raise SystemExit(1)")
    assert run(force=True)[0] == "Failed"


def test_a_source_that_is_away_does_not_keep_the_inbox_waiting(project, monkeypatch):
    monkeypatch.setattr("flows.retrain.fetch_deliveries", away := Away())
    error = fail(source="s3://bucket/prefix")
    assert (error.code, away.asked) == ("retraining.source-away", 1)
    assert "s3://bucket/prefix:" in str(error)
    deliver(project, "2026-11-02")
    assert run(source="s3://bucket/prefix") == (
        "Promoted",
        "version 1: promoted; all 0 conditions hold; s3://bucket/prefix: does not answer",
    )


class Away:
    """A source that does not answer, whatever is asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, source, incoming):
        self.asked += 1
        raise PanError(f"{source}: does not answer")


def test_videos_that_versions_are_judged_by_are_not_removed(project):
    deliver(project, "2026-11-02")
    assert fail(overrides={"pose": {"keep_video": False}}).names == ("pose.keep_video",)
    assert not (project / "data" / "footage").exists()


def test_a_second_run_at_the_same_time_is_told(project):
    deliver(project, "2026-11-02")
    with FileLock(project / ".cache" / "retraining.lock"):
        assert isinstance(fail(), BusyError)
    assert not (project / "data" / "footage").exists()


def test_a_deployments_run_at_the_same_time_gives_way(project, monkeypatch):
    monkeypatch.setattr(flows.pan, "deployment", SimpleNamespace(id="of a deployment"))
    with FileLock(project / ".cache" / "retraining.lock"):
        name, message = run()
    assert name == "GaveWay"
    assert message == BUSY


def test_a_run_in_which_all_that_came_was_refused_fails_with_the_reasons(project):
    deliver(project, "2026-11-02", labels=("Walking",))
    error = fail()
    assert error.code == "retraining.all-refused"
    assert "(Walking)" in str(error)


@pytest.mark.long
def test_footage_of_too_few_people_is_kept_and_the_run_says_what_is_missing(project):
    deliver(project, "2026-11-02", ("ann", "ben"))
    assert fail().code == "holdout.too-few-groups"
    deliver(project, "2026-11-03", ("cem",))
    assert run()[0] == "Promoted"


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ({"train": {"epocs": 3}}, ("train.epocs",)),
        ({"train": {"epochs": 0}}, ("train.epochs",)),
        ({"train": 5}, ("train",)),
    ],
)
def test_parameters_that_cannot_be_used_are_told_before_anything_is_taken(project, overrides, names):
    deliver(project, "2026-11-02")
    assert fail(overrides=overrides).names == names
    assert not (project / "data" / "footage").exists()


def test_on_the_command_line(project, server):
    deliver(project, "2026-11-02", labels=("Walking",))
    done = subprocess.run(
        [sys.executable, "-m", "flows.retrain"], cwd=project, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PREFECT_API_URL": server},
    )  # fmt: skip
    assert done.returncode == 1
    assert "2026-11-02:" in done.stderr.splitlines()[-1]
    assert "(Walking)" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
