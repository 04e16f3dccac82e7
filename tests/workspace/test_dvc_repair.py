"""What a kill leaves half-written of DVC's own files, and a run that follows."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo
from refusals import refused

from pan_core.workspace.dvc_repair import ASIDE, LOCK_TABLE, LOCKFILE, repair_dvc_state
from pan_core.workspace.lock import workspace_lock

PIPELINE = """
stages:
  first:
    cmd: mkdir -p made && echo first >> ran && echo one > made/first
    deps: [source]
    outs: [made/first]
  second:
    cmd: echo second >> ran && cp made/first made/second
    deps: [made/first]
    outs: [made/second]
"""


@pytest.fixture
def project(tmp_path):
    Repo.init(str(tmp_path), no_scm=True).close()
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "source").write_text("source")
    repro(tmp_path)
    return tmp_path


def repro(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


def put_aside(folder: Path) -> list[Path]:
    return sorted((folder / ASIDE).glob(f"{LOCKFILE}.damaged-*"))


def test_dvc_goes_on_wherever_its_lock_file_was_cut_off_and_computes_nothing_again(project):
    """Half a hash of digits is a number to YAML; half a hash of an output would make its stage run again."""
    whole = (project / LOCKFILE).read_text()
    with Repo(str(project)) as repo, chdir(project):
        for length in range(0, len(whole), 13):
            (project / LOCKFILE).write_text(whole[:length])
            repair_dvc_state(project)
            repo.reproduce()
    (project / LOCKFILE).write_text(whole[: whole.rindex("md5: ")] + "md5: 4152")
    with workspace_lock(project):
        repro(project)
    assert ran(project) == ["first", "second"]
    assert (project / LOCKFILE).read_text() == whole
    assert len(put_aside(project)) > 40


def test_only_what_was_cut_off_is_put_aside(project):
    whole = (project / LOCKFILE).read_text()
    for content in (whole, whole.replace("2.0", "3.0"), None):
        (project / LOCKFILE).unlink(missing_ok=True) if content is None else (project / LOCKFILE).write_text(content)
        repair_dvc_state(project)
        assert put_aside(project) == []
        assert (project / LOCKFILE).is_file() == (content is not None)


def test_which_side_of_a_merge_conflict_holds_is_for_a_person_to_say(project):
    whole = (project / LOCKFILE).read_text()
    (project / LOCKFILE).write_text(f"<<<<<<< HEAD\n{whole}=======\n{whole}>>>>>>> other\n")
    with refused("dvc-lock.merge-conflict"), workspace_lock(project):
        pass
    assert (project / LOCKFILE).read_text().count(whole) == 2


def test_stages_that_were_finished_are_not_computed_again(project, caplog):
    whole = (project / LOCKFILE).read_text()
    (project / LOCKFILE).write_text(whole[: len(whole) // 2].rpartition(":")[0])
    with workspace_lock(project):
        assert [(record.levelname, record.args[0].name) for record in caplog.records] == [("WARNING", LOCKFILE)]
        repro(project)
    assert ran(project) == ["first", "second"]
    assert (project / LOCKFILE).read_text() == whole
    assert (project / "made" / "second").read_text() == "one\n"


@pytest.mark.parametrize("content", ["", '{"write": {"', None])
def test_locks_that_no_dvc_process_here_holds_are_released(project, content):
    # The number of a process that was killed belongs to another one by now: to this one.
    held = {"write": {str(project / "made/first"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}
    (project / LOCK_TABLE).write_text(json.dumps(held) if content is None else content)
    (project / "source").write_text("changed")
    with workspace_lock(project):
        repro(project)
    assert ran(project) == ["first", "second", "first"]


@contextmanager
def dvc_at_work(folder: Path, *options: str) -> Iterator[None]:
    """DVC in the middle of a stage, until the block ends."""
    (folder / "dvc.yaml").write_text("stages:\n  slow:\n    cmd: touch begun && sleep 60\n    outs: [begun]\n")
    command = [sys.executable, *options, "-m", "dvc", "repro"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "begun").exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


def test_nothing_is_touched_while_dvc_is_at_work_here(project, monkeypatch):
    monkeypatch.setattr("pan_core.workspace.dvc_repair.DYING_S", 0.5)
    with dvc_at_work(project, "-u"):
        (project / LOCKFILE).write_text("stages:\n  sl")  # as if DVC were just writing it
        repair_dvc_state(project)
        assert json.loads((project / LOCK_TABLE).read_text())["write"]
        assert put_aside(project) == []
    repair_dvc_state(project)
    assert not (project / LOCK_TABLE).exists()
    assert len(put_aside(project)) == 1


def test_dvc_at_work_in_a_workspace_below_does_not_count(project):
    below = project / "below"
    below.mkdir()
    Repo.init(str(below), no_scm=True).close()
    (project / LOCK_TABLE).write_text("{")
    with dvc_at_work(below):
        repair_dvc_state(project)
        assert not (project / LOCK_TABLE).exists()
