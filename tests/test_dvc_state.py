"""What a kill leaves half-written of DVC's own files, and a run that follows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo

from pan_core.dvc_state import DAMAGED, HELD, LOCKFILE, mend
from pan_core.one_run import one_run

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


def test_dvc_can_read_what_is_left_wherever_its_lock_file_was_cut_off(project):
    whole = (project / LOCKFILE).read_bytes()
    put_aside = 0
    for length in range(0, len(whole), 7):
        (project / LOCKFILE).write_bytes(whole[:length])
        mend(project)
        with Repo(str(project)) as repo:
            assert {stage.name for stage in repo.index.stages} == {"first", "second"}
        put_aside += (project / DAMAGED).is_file()
        (project / DAMAGED).unlink(missing_ok=True)
    assert put_aside > 10


def test_stages_that_were_finished_are_not_computed_again(project, caplog):
    whole = (project / LOCKFILE).read_text()
    (project / LOCKFILE).write_text(whole[: len(whole) // 2].rpartition(":")[0])
    with one_run(project):
        assert "finished stages come back from DVC's cache" in caplog.text
        repro(project)
    assert ran(project) == ["first", "second"]
    assert (project / LOCKFILE).read_text() == whole
    assert (project / "made" / "second").read_text() == "one\n"


def test_a_whole_lock_file_is_left_alone(project):
    before = (project / LOCKFILE).stat().st_mtime_ns
    mend(project)
    assert (project / LOCKFILE).stat().st_mtime_ns == before
    assert not (project / DAMAGED).exists()


@pytest.mark.parametrize("content", ["", '{"write": {"', None])
def test_locks_that_no_dvc_process_here_holds_are_released(project, content):
    # The number of a process that was killed belongs to another one by now: to this one.
    held = {"write": {str(project / "made/first"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}
    (project / HELD).write_text(json.dumps(held) if content is None else content)
    (project / "source").write_text("changed")
    with one_run(project):
        repro(project)
    assert ran(project) == ["first", "second", "first"]


def test_the_lock_of_a_dvc_process_that_works_here_stays(project, monkeypatch):
    monkeypatch.setattr("pan_core.dvc_state.DYING_S", 0.5)
    (project / "dvc.yaml").write_text("stages:\n  slow:\n    cmd: touch begun && sleep 60\n    outs: [begun]\n")
    process = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=project, stdout=subprocess.DEVNULL)
    try:
        while not (project / "begun").exists():
            assert process.poll() is None
        mend(project)
        assert json.loads((project / HELD).read_text())["write"]
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
    mend(project)
    assert not (project / HELD).exists()
