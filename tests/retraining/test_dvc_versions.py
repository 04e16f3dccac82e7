"""Versions of a folder in a real DVC project."""

import shutil

import pytest
from dvc.repo import Repo
from refusals import refused

from pan_core.errors import DataError, PanError
from pan_core.retraining.dvc_versions import FootageVersion, last_lines


@pytest.fixture
def version(tmp_path, monkeypatch):
    """A folder with one file, given to DVC."""
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footage").mkdir()
    (tmp_path / "footage" / "video.avi").write_text("a video")
    version = FootageVersion(tmp_path / "footage")
    assert not version.exists
    assert version.add() == version.md5
    return version


def test_a_folder_that_is_changed_or_gone_is_not_its_last_version(version, tmp_path):
    version.require_unchanged()
    (tmp_path / "footage" / "video.avi").write_text("another")
    with refused("footage.changed", DataError):
        version.require_unchanged()
    shutil.rmtree(tmp_path / "footage")
    with refused("footage.changed", DataError):
        version.require_unchanged()


def test_a_missing_cache_is_no_change(version, tmp_path):
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    version.require_unchanged()


def test_what_dvc_cannot_take_fails(version, tmp_path):
    shutil.rmtree(tmp_path / "footage")
    with refused("footage.dvc-failed", PanError):
        version.add()


def test_bars_are_left_out_of_what_a_command_printed():
    assert last_lines("first\n 50%|###  | 1/2\nlast\n") == "first\nlast"
