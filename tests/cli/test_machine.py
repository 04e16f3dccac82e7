"""What a machine may lack: system libraries, git, a repository of one's own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from refusals import refused
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.errors import explain_fault
from pan_core.registry.models import Registry
from pan_core.tracking.tracker import Tracker, git_commit, store_uri
from pan_core.workspace.run_summary import describe_version

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def without_libgl(tmp_path_factory):
    """Folder with OpenCV, of which one library asks the loader for a libGL that is not there."""
    folder, site = tmp_path_factory.mktemp("site"), Path(importlib.util.find_spec("cv2").origin).parents[1]
    changed = 0
    for path in (path for name in ("cv2", "opencv_python.libs") for path in (site / name).rglob("*") if path.is_file()):
        copy = folder / path.relative_to(site)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if "Qt5Gui" in path.name:
            content = path.read_bytes()
            changed += content.count(b"libGL.so.1")
            copy.write_bytes(content.replace(b"libGL.so.1", b"libGL.so.9"))
        elif path.suffix == ".py":  # the package looks for its library beside itself, behind links
            shutil.copy2(path, copy)
        else:
            copy.symlink_to(path)
    if not changed:
        pytest.skip("this build of OpenCV needs no libGL")
    return folder


@pytest.fixture
def slim(without_libgl, tmp_path):
    """Runs a command in a small project, where OpenCV cannot be loaded."""
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    (tmp_path / "a.mp4").write_bytes(b"x")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, [without_libgl, ROOT])),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)

    def run(*words):
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    "words",
    [("pan", "predict", "a.mp4"), ("pan", "watch", "a.mp4"), ("pan", "data", "list"), ("python", "-m", "flows.retrain", "--help")],
    ids=" ".join,
)  # fmt: skip
def test_a_missing_libgl_is_one_message_with_the_command_that_installs_it(slim, words):
    result = slim(*words)
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if "libGL" in line]
    assert line.startswith("error: libGL.so.9: ")
    assert line.endswith("; apt-get install libgl1 libglib2.0-0")
    assert "Traceback" not in result.stderr


def test_a_stage_that_lacks_libgl_says_so_to_whoever_runs_it(slim, tmp_path):
    slim("pan", "stage", "fetch")
    assert json.loads((tmp_path / "reports" / "failures" / "fetch.json").read_text())["code"] == "system.library"


def test_the_doctor_fails_where_libgl_is_missing(slim):
    result = slim("pan", "doctor")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    (number,) = [number for number, line in enumerate(lines) if line.startswith("MISSING") and "libGL.so.9" in line]
    assert lines[number + 1].strip() == "apt-get install libgl1 libglib2.0-0"
    assert "video" in lines[-1]


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'x'"), ImportError("cannot import name 'a' from 'b' (/c/libx.so)"), OSError("x"), ValueError("libGL.so.1: x")]
)  # fmt: skip
def test_a_defect_is_not_explained_away(error):
    assert explain_fault(error) is None


@pytest.mark.parametrize(
    "text",
    [
        "/usr/lib/libGL.so.1: file too short",
        "libstdc++.so.6: version `GLIBCXX_3.4.30' not found",
        "/a/numpy.libs/libgomp-d22c30c5.so.1: cannot allocate memory in static TLS block",
    ],
)
def test_a_library_that_does_not_fit_is_named_and_not_called_missing(text):
    told = str(explain_fault(ImportError(text)))
    assert text.rpartition("/")[2].partition(":")[0] in told
    assert "apt-get install" not in told


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with one commit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-q", "--allow-empty", "-m", "one"],
    ):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def test_a_folder_that_git_refuses_is_recorded_as_unknown_and_told_once(project, monkeypatch, caplog):
    expected = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert git_commit() == expected
    monkeypatch.setenv(
        "GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"
    )  # git's own switch: it then refuses as it does for another's folder
    assert [git_commit(), git_commit()] == ["unknown", "unknown"]
    (told,) = caplog.messages
    assert f"git config --global --add safe.directory {project}" in told
    run = Tracker("actors").pipeline("f", {})
    assert MlflowClient(store_uri()).get_run(run.run_id).data.tags["git_commit"] == "unknown"


def test_no_repository_and_no_commit_are_no_commit(tmp_path):
    assert git_commit(tmp_path) == ""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert git_commit(tmp_path) == ""


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) == "unknown"


@pytest.fixture
def registered(project):
    """Figures of a run that has registered and promoted version 1."""
    tracker = Tracker("actors")
    with tracker.stage("promote", fingerprint="f", params={}) as run:
        (project / "model.json").write_text("{}")
        run.artifact(project / "model.json", "model")
        registry = Registry("pan-actors")
        version = registry.register(run.artifact_uri("model"), run.run_id, {})
        registry.promote(version.number)
    row = tracker.close_pipeline("f", {}, {})
    return {"registered_model": registry.name, "registered_version": 1, "decision": "promoted", "mlflow_run_id": row}


def test_the_summary_of_a_clone_says_that_its_store_lacks_the_version(registered, tmp_path, monkeypatch):
    assert describe_version(registered) == "pan-actors version 1: promoted"
    clone = tmp_path / "clone"
    clone.mkdir()
    monkeypatch.chdir(clone)
    assert "not in this store" in describe_version(registered)
    assert list(clone.iterdir()) == []
    with Tracker("actors").stage("promote", fingerprint="g", params={}) as run:  # another version of that number
        Registry("pan-actors").register(run.artifact_uri("model"), run.run_id, {})
    assert "not in this store" in describe_version(registered)


def test_the_summary_does_not_wait_for_a_server_that_is_away(registered, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "cannot be asked" in describe_version(registered)


def test_the_doctor_says_that_the_champions_files_are_gone(registered, project):
    (project / "params.yaml").write_text("dataset: actors\n")
    assert "MISSING  champion" not in CliRunner().invoke(app, ["doctor"]).output
    shutil.rmtree(project / "mlruns" / "artifacts")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "MISSING  champion" in result.output


def test_a_store_in_a_place_that_is_taken_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlruns").write_text("a file")
    with refused("store.unopened") as caught:
        Tracker("actors")
    assert "must be a folder" in str(caught.value)
