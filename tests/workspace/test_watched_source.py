"""data/watched.json: what lies in the user's own place; and DVC itself beside what it cannot read."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from parameters import change
from refusals import refused
from ruamel.yaml import YAML

from pan_core.params.load import Params
from pan_core.workspace.watched_source import LISTING, WATCHED, watch_source

ROOT = Path(__file__).parents[2]


def params(dataset, **sections):
    return Params.model_validate({"dataset": dataset, **sections})


def listed(root):
    return json.loads((root / LISTING).read_text())


def test_a_dataset_that_is_downloaded_or_made_has_no_place(tmp_path):
    assert watch_source(params("actors"), tmp_path) == ()
    assert listed(tmp_path) == {"place": ""}
    assert (tmp_path / WATCHED / "actors").read_bytes() == b""
    stamps = [(tmp_path / path).stat().st_mtime_ns for path in (LISTING, WATCHED / "actors")]
    watch_source(params("actors"), tmp_path)
    assert [(tmp_path / path).stat().st_mtime_ns for path in (LISTING, WATCHED / "actors")] == stamps


@pytest.mark.parametrize("folder", ["data/incoming", "footage", "/absolute"])
def test_footage_is_listed_with_sizes_and_times(tmp_path, folder):
    place = tmp_path / "elsewhere" if folder == "/absolute" else tmp_path / folder
    (place / "day").mkdir(parents=True)
    (place / "day" / "a.mp4").write_text("video")
    os.utime(place / "day" / "a.mp4", ns=(5, 7))
    watch_source(
        params("surveillance", surveillance={"folder": str(place) if folder == "/absolute" else folder}), tmp_path
    )
    assert listed(tmp_path)["files"] == {"day/a.mp4": [5, 7]}


def test_the_list_follows_the_parameter_and_the_folder(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.mp4").write_text("video")
        own = params("surveillance", surveillance={"folder": name})
        watch_source(own, tmp_path)
        assert list(listed(tmp_path)["files"]) == [f"{name}.mp4"]
    shutil.rmtree(tmp_path / "second")
    watch_source(own, tmp_path)
    assert listed(tmp_path)["files"] == {}
    assert (tmp_path / "first" / "first.mp4").is_file()


def test_a_link_of_the_version_before_is_replaced_and_what_it_led_to_stays(tmp_path):
    (tmp_path / "data" / "incoming").mkdir(parents=True)
    (tmp_path / "data" / "incoming" / "a.mp4").write_text("video")
    (tmp_path / WATCHED).mkdir()
    (tmp_path / WATCHED / "surveillance").symlink_to("../incoming")
    watch_source(params("surveillance"), tmp_path)
    assert (tmp_path / WATCHED / "surveillance").is_file()
    assert (tmp_path / "data" / "incoming" / "a.mp4").read_text() == "video"


@pytest.mark.parametrize("folder", [".", "data"])
def test_a_place_that_contains_the_project_is_refused(tmp_path, folder):
    (tmp_path / "data").mkdir()
    with refused("watched.contains-project"):
        watch_source(params("surveillance", surveillance={"folder": folder}), tmp_path)


def test_a_data_folder_on_another_disk(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "project" / "footage").mkdir(parents=True)
    (tmp_path / "project" / "data").symlink_to(tmp_path / "disk")
    (tmp_path / "project" / "footage" / "a.mp4").write_text("video")
    watch_source(params("surveillance", surveillance={"folder": "footage"}), tmp_path / "project")
    assert list(listed(tmp_path / "project")["files"]) == ["a.mp4"]
    with refused("watched.contains-project"):
        watch_source(params("surveillance", surveillance={"folder": str(tmp_path)}), tmp_path / "project")


@pytest.mark.parametrize("dataset", ["actors", "surveillance"])
@pytest.mark.parametrize("place", ["mark", "list"])
def test_a_folder_in_its_place_is_refused(tmp_path, dataset, place):
    (tmp_path / (WATCHED / dataset if place == "mark" else LISTING) / "something").mkdir(parents=True)
    (tmp_path / "footage").mkdir()
    with refused("watched.unusable"):
        watch_source(params(dataset, surveillance={"folder": "footage"}), tmp_path)


def test_what_groups_sorted_videos_is_listed_with_them(tmp_path):
    """It is no parameter of a stage in dvc.yaml, where an older params.yaml without it would end the run."""
    (tmp_path / "videos" / "walk").mkdir(parents=True)
    (tmp_path / "videos" / "walk" / "a.mp4").write_text("video")
    for pattern in ("(a)", "(b)"):
        watch_source(params("folders", folders={"folder": "videos", "group_pattern": pattern}), tmp_path)
        assert listed(tmp_path)["group_pattern"] == pattern
        assert list(listed(tmp_path)["files"]) == ["walk/a.mp4"]
    assert (tmp_path / WATCHED / "folders").is_symlink()


def test_a_pickle_is_listed(tmp_path):
    (tmp_path / "poses.pkl").write_bytes(b"pickle")
    watch_source(params("pyskl", pyskl={"path": "poses.pkl"}), tmp_path)
    assert listed(tmp_path)["files"]["poses.pkl"][0] == 6
    watch_source(params("pyskl"), tmp_path)
    assert listed(tmp_path) == {"place": ""}


@pytest.fixture
def project(tmp_path):
    """A project with footage, whose stage fetch only notes that it ran; a function that runs `dvc` in it."""
    for name in ("params.yaml", ".dvcignore"):
        shutil.copy2(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "data" / "watched", tmp_path / WATCHED, symlinks=True)
    change(tmp_path / "params.yaml", {"dataset": "surveillance"})
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    fetch = {
        "cmd": "echo fetched >> ran",
        "deps": [name for name in stages["fetch"]["deps"] if not name.startswith("pan_core")],
    }
    with (tmp_path / "dvc.yaml").open("w") as file:
        YAML().dump(
            {"stages": {"watch": stages["watch"], "fetch": fetch | {"outs": [{"ran": {"persist": True}}]}}}, file
        )
    (tmp_path / "data" / "incoming" / "cam").mkdir(parents=True)
    (tmp_path / "data" / "incoming" / "cam" / "a.mp4").write_text("video")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
    }  # fmt: skip

    def dvc(*command):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    dvc("init", "--no-scm")
    return tmp_path, dvc


def test_dvc_repro_beside_what_dvc_cannot_read(project):
    """Typed by hand, for all stages and for one; DVC alone would end or wait for ever at each of these."""
    folder, dvc = project
    incoming = folder / "data" / "incoming"

    def runs():
        return (folder / "ran").read_text().count("fetched")

    dvc("repro")
    assert runs() == 1
    (incoming / ".#lock").symlink_to("somebody@somewhere.1234")  # of an editor
    (incoming / "unmounted.mp4").symlink_to("/nowhere/unmounted.mp4")
    (incoming / "round").symlink_to(folder)
    os.mkfifo(incoming / "cam" / "pipe.mp4")
    (incoming / os.fsdecode(b"caf\xe9.mp4")).write_text("video")
    printed = dvc("repro", "fetch")
    for name in ("unmounted.mp4", "round", "cam/pipe.mp4", "caf\\xe9.mp4"):
        assert f"passed over: {name}: " in printed
    assert runs() == 2
    dvc("repro")
    assert runs() == 2
    (incoming / "2026-11-20").mkdir()
    (incoming / "2026-11-20" / "b.mp4").write_text("video")
    dvc("repro", "fetch")
    assert runs() == 3


def test_dvc_status_of_a_dataset_without_a_place_is_quiet(project):
    folder, dvc = project
    change(folder / "params.yaml", {"dataset": "actors"})
    dvc("repro")
    assert "up to date" in dvc("status")


@pytest.mark.long
def test_dvc_fetches_sorted_videos_again_after_any_change_of_place_pattern_or_files(project):
    folder, dvc = project
    for name in ("one", "two"):
        (folder / name / "walk").mkdir(parents=True)
        (folder / name / "walk" / f"{name}.mp4").write_text("video")
    (folder / "data" / "videos").mkdir()
    steps = (
        {"dataset": "folders"}, {"folders.folder": "one"}, {"folders.folder": "two"}, {"folders.group_pattern": "(t)"},
    )  # fmt: skip
    for number, step in enumerate(steps, start=1):
        change(folder / "params.yaml", step)
        dvc("repro")
        dvc("repro")
        assert (folder / "ran").read_text() == "fetched\n" * number
    (folder / "two" / "walk" / "more.mp4").write_text("another")
    dvc("repro")
    assert (folder / "ran").read_text() == "fetched\n" * 5


def test_dvc_runs_with_an_older_file_of_parameters_that_has_no_section_folders(project):
    folder, dvc = project
    text = (folder / "params.yaml").read_text()
    head, rest = text.split("\nfolders:", 1)
    (folder / "params.yaml").write_text(head + rest[rest.index("\n\n") :])
    assert "folders:" not in (folder / "params.yaml").read_text()
    dvc("repro")
    assert (folder / "ran").read_text() == "fetched\n"
