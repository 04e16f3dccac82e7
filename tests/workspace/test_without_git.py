"""A project that was unpacked from a source archive, without .git."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pan_core.workspace.without_git import go_without_git

ROOT = Path(__file__).parents[2]
RUN = "from pan_core.workspace.pipeline_run import run_pipeline; run_pipeline()"


@pytest.fixture
def unpacked(tmp_path):
    """A project of one stage; DVC's configuration as it is in the repository."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    (tmp_path / "dvc.yaml").write_text("stages: {only: {cmd: echo done > figures, outs: [figures]}}\n")
    return tmp_path


def run(folder, *words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_run_tells_dvc_to_go_without_git_and_says_so(unpacked):
    assert "not a git repository" in run(unpacked, "-m", "dvc", "repro").stderr
    first = run(unpacked, "-c", RUN)
    assert first.returncode == 0, first.stderr
    assert (unpacked / "figures").read_text() == "done\n"
    assert "dvc config --local --unset core.no_scm" in first.stderr
    assert (unpacked / ".dvc" / "config").read_text() == "[core]\n    analytics = false\n"
    again = run(unpacked, "-c", RUN)
    assert (again.returncode, again.stderr) == (0, "")
    assert run(unpacked, "-m", "dvc", "repro").returncode == 0  # from then on without us, too


def test_settings_of_ones_own_are_kept(unpacked):
    (unpacked / ".dvc" / "config.local").write_text("[cache]\n    dir = /somewhere\n")
    go_without_git(unpacked)
    text = (unpacked / ".dvc" / "config.local").read_text()
    assert "dir = /somewhere" in text
    assert "no_scm = " in text


@pytest.mark.parametrize("where", [".", ".."])
def test_a_project_under_git_stays_under_git(unpacked, where):
    project = unpacked / "below"
    project.mkdir()
    (project / ".dvc").mkdir()
    subprocess.run(["git", "init", "-q", str(project / where)], check=True)
    go_without_git(project)
    assert not list((project / ".dvc").iterdir())
