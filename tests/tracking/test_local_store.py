"""Stores of projects that are renamed, copied, or in folders with unusual names."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from cameras import free_port
from empty_store import tables_by_mlflow
from mlflow import MlflowClient

from pan_core.registry.models import Registry
from pan_core.tracking import local_store
from pan_core.tracking.local_store import EMPTY_STORE_VERSION, create_database
from pan_core.tracking.tracker import Tracker, store_uri

STORE = "mlruns"
STAGE = """
import test_local_store
from pathlib import Path

test_local_store.register("of the experiment")
Path("figures").write_text("done")
"""
"""What the stage of an experiment does."""
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parents[2], Path(__file__).parents[1], Path(__file__).parent])),
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.example", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.example",
}  # fmt: skip
NAMES = ["plain", "a?b#c d%20é", 'Bob\'s & co; "x"', "what?x=1&uri=false#?"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Makes a project in a folder of that name, with a champion, and makes it the working directory."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("PAN_CACHE", raising=False)

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        register("first")
        return folder

    return make


def register(content):
    """A version as a run registers it; the champion from then on."""
    Path("trained").mkdir(exist_ok=True)
    Path("trained/model.json").write_text(content)
    with Tracker("actors").stage("promote", fingerprint=content, params={}) as run:
        run.artifact(Path("trained"), "model")
        registry = Registry("pan-actors")
        registry.promote(registry.register(run.artifact_uri("model"), run.run_id, {}).number)


def champion():
    registry = Registry("pan-actors")
    shutil.rmtree(".cache", ignore_errors=True)  # or the copy that was fetched before would do
    return (registry.fetch(registry.champion()) / "model.json").read_text()


def content_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_below_the_project_whatever_its_name(project, name):
    folder = project(name)
    assert champion() == "first"
    assert (folder / STORE / "mlflow.db").is_file()
    assert {path.name for path in folder.iterdir()} == {"mlruns", "trained", ".cache"}
    assert [path.name for path in folder.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_project_keeps_its_champion_and_goes_on_in_its_own_folder(project, name, tmp_path, monkeypatch):
    folder = project("before")
    folder.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    assert champion() == "first"
    register("second")
    assert champion() == "second"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with sqlite3.connect(tmp_path / name / STORE / "mlflow.db") as store:
        assert "/before/" not in "\n".join(store.iterdump())


def test_a_copy_never_writes_into_the_original(project, tmp_path, monkeypatch):
    original = project("original")
    shutil.copytree(original, tmp_path / "copy")
    before = content_of(original)
    monkeypatch.chdir(tmp_path / "copy")
    assert champion() == "first"
    register("of the copy")
    assert champion() == "of the copy"
    assert content_of(original) == before
    monkeypatch.chdir(original)
    assert champion() == "first"


def test_a_copy_without_artifacts_does_not_write_into_the_original_either(project, tmp_path, monkeypatch):
    original = project("original")
    (tmp_path / "copy" / STORE).mkdir(parents=True)
    shutil.copy2(original / STORE / "mlflow.db", tmp_path / "copy" / STORE)
    before = content_of(original)
    monkeypatch.chdir(tmp_path / "copy")
    register("of the copy")
    assert champion() == "of the copy"
    assert content_of(original) == before


def test_a_store_that_was_moved_twice_before_anybody_looked(project, tmp_path, monkeypatch):
    folder = project("one")
    folder.rename(tmp_path / "two")
    (tmp_path / "two").rename(tmp_path / "three")
    monkeypatch.chdir(tmp_path / "three")
    assert champion() == "first"


def test_artifacts_that_somebody_keeps_elsewhere_stay_there(project, tmp_path, monkeypatch):
    folder, elsewhere = project("before"), tmp_path / "disk" / "artifacts" / "penn_action"
    elsewhere.mkdir(parents=True)
    MlflowClient(store_uri()).create_experiment("penn_action", artifact_location=elsewhere.as_uri())
    folder.rename(tmp_path / "after")
    monkeypatch.chdir(tmp_path / "after")
    Tracker("penn_action")
    assert MlflowClient(store_uri()).get_experiment_by_name("penn_action").artifact_location == elsewhere.as_uri()
    assert champion() == "first"


@pytest.mark.parametrize("way", [["--temp"], pytest.param(["--queue"], marks=pytest.mark.long)], ids=lambda way: way[0])
def test_an_experiment_of_dvc_registers_in_the_projects_store(project, way):
    folder = project("a folder")
    (folder / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text("stages: {register: {cmd: python stage.py, deps: [stage.py], outs: [figures]}}")
    (folder / ".gitignore").write_text("/mlruns\n/.cache\n/trained\n/figures\n")
    dvc = [sys.executable, "-m", "dvc"]
    ways = [way] if way == ["--temp"] else [way, ["--run-all"]]
    commands = [["git", "init", "-q"], [*dvc, "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "all"]]
    for command in commands + [[*dvc, "exp", "run", *each] for each in ways]:
        subprocess.run(command, check=True, env=ENVIRONMENT)
    assert champion() == "of the experiment"
    assert len(Registry("pan-actors").versions()) == 2


@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.long), "a?b#c d%20é"])
def test_the_ui_shows_artifacts_of_a_renamed_project(project, name, tmp_path, monkeypatch):
    folder = project("before")
    folder.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    run_id, port = Registry("pan-actors").champion().run_id, free_port()
    command = [sys.executable, "-c", f"from pan_core.tracking.tracker import serve_ui; serve_ui({port})"]
    address = f"http://127.0.0.1:{port}/get-artifact?path=model/model.json&run_uuid={run_id}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            assert _answer(address, server) == b"first"
        finally:
            server.terminate()
    assert not list(Path().glob("file:*"))


def _answer(address, server):
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read()
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_a_new_store_has_the_tables_that_mlflow_makes(tmp_path):
    create_database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        made = "\n".join(connection.iterdump()) + "\n"
    # MLflow makes indexes and constraints in any order.
    lines = [sorted(line.strip(" \t,;") for line in text.splitlines()) for text in (made, tables_by_mlflow())]
    assert lines[0] == lines[1], "run `python tests/empty_store.py` and set EMPTY_STORE_VERSION"
    assert version("mlflow") == EMPTY_STORE_VERSION


def test_another_mlflow_makes_its_own_tables_and_a_store_that_is_there_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(local_store, "EMPTY_STORE_VERSION", "0.1")
    create_database(tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
    monkeypatch.undo()
    (tmp_path / "old.db").write_bytes(b"somebody's")
    create_database(tmp_path / "old.db")
    assert (tmp_path / "old.db").read_bytes() == b"somebody's"
