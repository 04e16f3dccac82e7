"""Overrides with real DVC: the user's files stay as they are, and nothing is computed twice."""

import re
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from refusals import refused
from ruamel.yaml import YAML

from flows.reproduce import stage_order
from flows.workspace import WORKSPACES, changes, workspace
from pan_core.errors import ConfigError, PanError
from pan_core.workspace.lock import BusyError, workspace_lock

PARAMS = """\
dataset: actors  # the one that comes with the project
train:
  epochs: 60  # a comment
surveillance:
  folder: data/incoming
"""
# fetch rests on the footage alone, learn on the epochs too. Each notes when it ran.
PIPELINE = """
stages:
  learn:
    cmd: mkdir -p reports && cat data/raw.txt > reports/learn.txt && date +learn-%s%N | tee -a .cache/ran.txt >> reports/learn.txt
    deps: [pan_core, data/raw.txt]
    params: [train.epochs]
    outs: [reports/learn.txt]
  fetch:
    cmd: cat ${surveillance.folder}/video.txt note.txt > data/raw.txt && date +fetch-%s%N | tee -a .cache/ran.txt >> data/raw.txt
    deps: [pan_core/fetch.py, "${surveillance.folder}", note.txt]
    outs: [data/raw.txt]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A project under git as a user has it, run once, with everything that is tracked committed."""
    folder = tmp_path_factory.mktemp("template") / "project"
    for name, text in {
        "params.yaml": PARAMS,
        "dvc.yaml": PIPELINE,
        "note.txt": "a note\n",
        "pan_core/fetch.py": "VERSION = 1\n",
        "data/incoming/video.txt": "a video\n",
        ".cache/ran.txt": "",
        ".gitignore": "/.cache/\n/data/\n/reports/\n/mlruns/\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    Repo.init(str(folder)).close()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n[cache]\n    type = hardlink,copy\n")
    run(folder)
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "as it is")
    return folder


@pytest.fixture
def root(template, tmp_path) -> Path:
    return shutil.copytree(template, tmp_path / "project", symlinks=True)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def run(folder: Path) -> list[str]:
    """Bring every stage up to date; returns which ones really ran, in that order."""
    log = folder / ".cache/ran.txt"
    before = log.read_text().split()
    with chdir(folder), Repo() as repo:
        for name in stage_order(folder):
            repo.reproduce(name, single_item=True)
    return [line.partition("-")[0] for line in log.read_text().split()[len(before) :]]


def tracked(root: Path) -> dict[str, str]:
    """What the user has: the tracked files, and the results of the last run."""
    names = [*git(root, "ls-files").split(), "reports/learn.txt", "data/raw.txt"]
    return {name: (root / name).read_text() for name in names} | {"git status": git(root, "status", "--porcelain")}


def test_without_a_difference_it_is_the_root(root):
    assert workspace(root, {}) == root
    assert workspace(root, {"train": {"epochs": 60}}) == root
    assert workspace(root, {"train": {"epochs": None}, "tune": None, "model": {}}) == root
    assert not (root / WORKSPACES).exists()


def test_overrides_run_in_a_folder_of_their_own_and_only_what_they_touch(root):
    before = tracked(root)
    folder = workspace(root, {"train": {"epochs": 3}})
    assert folder.parent == root / WORKSPACES
    assert run(folder) == ["learn"]
    assert (folder / "data/raw.txt").read_text() == before["data/raw.txt"]
    assert tracked(root) == before
    assert before["git status"] == ""


def test_in_a_copy_of_the_project_everything_leads_to_the_copy(root, tmp_path):
    folder = workspace(root, {"train": {"epochs": 3}})
    copied = shutil.copytree(root, tmp_path / "copy", symlinks=True)
    folder = copied / folder.relative_to(root)
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    assert {"mlruns", ".cache", "note.txt"} <= {path.name for path in links}
    assert all(path.exists() and path.resolve().is_relative_to(copied) for path in links)
    before = sorted((root / ".dvc/cache").rglob("*"))
    with chdir(folder), Repo() as repo:
        assert Path(repo.cache.local.path).is_relative_to(copied)
    run(folder)
    assert sorted((root / ".dvc/cache").rglob("*")) == before


def test_a_second_run_with_the_same_overrides_does_nothing(root):
    run(workspace(root, {"train": {"epochs": 3}}))
    again = workspace(root, {"train": {"epochs": 3}})
    assert run(again) == []
    assert run(root) == []


def test_two_overrides_do_not_disturb_each_other(root):
    few, many = (workspace(root, {"train": {"epochs": count}}) for count in (3, 900))
    assert few != many
    run(few)
    written = (few / "reports/learn.txt").read_text()
    assert run(many) == ["learn"]
    assert (few / "reports/learn.txt").read_text() == written
    assert run(few) == []


def test_what_one_folder_has_computed_no_other_computes_again(root):
    run(workspace(root, {"train": {"epochs": 3}}))
    (root / "params.yaml").write_text(PARAMS.replace("60", "3"))
    assert run(root) == []


def test_params_keep_their_comments_and_the_rest(root):
    folder = workspace(root, {"train": {"epochs": 3, "augmentation": {"flip": 0.1}}, "validate": {"min_frames": 2}})
    text = (folder / "params.yaml").read_text()
    assert re.search("epochs: 3 +# a comment", text)
    assert YAML(typ="safe").load(text) == {
        "dataset": "actors",
        "train": {"epochs": 3, "augmentation": {"flip": 0.1}},
        "surveillance": {"folder": "data/incoming"},
        "validate": {"min_frames": 2},
    }
    assert changes(root, folder) == [
        "validate.min_frames = 2 (params.yaml: 8)",
        "train.epochs = 3 (params.yaml: 60)",
        "train.augmentation.flip = 0.1 (params.yaml: 0.5)",
    ]


def test_code_and_footage_are_as_the_project_has_them_now(root):
    folder = workspace(root, {"train": {"epochs": 3}})
    run(folder)
    (root / "pan_core/fetch.py").write_text("VERSION = 2\n")
    (root / "pan_core/new.py").touch()
    (root / "data/incoming/video.txt").write_text("another video\n")
    assert workspace(root, {"train": {"epochs": 3}}) == folder
    assert run(folder) == ["fetch", "learn"]
    assert "another video" in (folder / "reports/learn.txt").read_text()
    (root / "pan_core/new.py").unlink()
    workspace(root, {"train": {"epochs": 3}})
    assert not (folder / "pan_core/new.py").exists()


def test_another_folder_of_footage_is_found(root):
    (root / "data/other").mkdir()
    (root / "data/other/video.txt").write_text("elsewhere\n")
    folder = workspace(root, {"surveillance": {"folder": "data/other"}})
    assert run(folder) == ["fetch", "learn"]
    assert "elsewhere" in (folder / "data/raw.txt").read_text()


def test_a_declared_pose_network_comes_with_its_model(root):
    (root / "networks/rtmpose").mkdir(parents=True)
    (root / "networks/rtmpose/rtmpose.yaml").write_text("model: rtmpose.onnx\n")
    (root / "networks/rtmpose/rtmpose.onnx").write_text("weights\n")
    pipeline = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(pipeline.replace("deps: [pan_core/fetch.py,", "deps: [pan_core/fetch.py, networks,"))
    folder = workspace(root, {"pose": {"network": "networks/rtmpose/rtmpose.yaml"}})
    assert (folder / "networks/rtmpose/rtmpose.onnx").read_text() == "weights\n"


def test_the_space_of_a_study_is_replaced_as_a_whole(root):
    first = {"model": {"dropout": {"low": 0.1, "high": 0.2}}}
    folder = workspace(root, {"tune": {"space": first}})
    assert YAML(typ="safe").load((folder / "params.yaml").read_text())["tune"]["space"] == first


def test_every_fault_is_told_at_once_and_nothing_is_made(root):
    with pytest.raises(ConfigError) as error:
        workspace(root, {"train": {"epochz": 3, "batch": 1}, "model": {"hidden": 100, "pose_heads": 7}})
    assert {"train.epochz", "train.batch"} <= set(error.value.names)
    assert "'epochs'?" in str(error.value)
    assert "pose_heads=7" in str(error.value)
    assert not (root / WORKSPACES).exists()


def test_a_path_that_leads_out_of_the_project_must_be_absolute(root):
    with refused("workspace.outside", ConfigError) as error:
        workspace(root, {"surveillance": {"folder": "../elsewhere"}})
    assert error.value.names == ("surveillance.folder",)
    assert "'../elsewhere'" in str(error.value)
    assert not (root / WORKSPACES).exists()


def test_a_workspace_in_which_a_run_is_at_work_is_left_as_it_is(root):
    folder = workspace(root, {"train": {"epochs": 30}}, "named")
    before = (folder / "params.yaml").read_text()
    with workspace_lock(folder), pytest.raises(BusyError):
        workspace(root, {"train": {"epochs": 40}}, "named")
    assert (folder / "params.yaml").read_text() == before


def test_a_lock_file_that_was_cut_off_does_not_stop_a_workspace(root):
    overrides = {"train": {"epochs": 30}}
    folder = workspace(root, overrides)
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages:\n  fetch:\n    cmd")
    assert workspace(root, overrides) == folder
    assert stage_order(folder) == ["fetch", "learn"]


def test_a_merge_conflict_of_the_project_does_not_get_into_a_workspace(root):
    lock = root / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(f"<<<<<<< HEAD\n{whole}=======\n{whole}>>>>>>> other\n")
    with pytest.raises(PanError, match=re.escape(f"{lock}: has the marks of a merge conflict")):
        workspace(root, {"train": {"epochs": 30}})
    lock.write_text(whole)
    assert run(workspace(root, {"train": {"epochs": 30}})) == ["learn"]


def test_a_workspace_has_the_projects_remote(root):
    with (root / ".dvc/config.local").open("a") as config:
        config.write("[core]\n    remote = shared\n['remote \"shared\"']\n    url = s3://dvc/pan\n")
    folder = workspace(root, {"train": {"epochs": 30}})
    with Repo(str(folder)) as repo:
        assert repo.config["remote"]["shared"]["url"] == "s3://dvc/pan"
