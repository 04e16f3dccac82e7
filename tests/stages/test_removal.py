"""Footage is removed once its skeletons are stored, wherever a copy lies, and everything can still run on what stays."""

import hashlib
import json
import logging
import shutil

import numpy as np
import pytest
from dvc.repo import Repo

from pan_core import pipeline
from pan_core.config import load_params
from pan_core.datasets import dataset_by_name
from pan_core.datasets.actors.scenes import Performer, render_scene
from pan_core.errors import DataError
from pan_core.pose.records import record_of
from pan_core.stages import fetch, paths, pose, removal
from pan_core.stages.runner import dataset_context
from pan_core.tables import write_table
from pan_core.tracked_run import UntoldRun
from pan_core.viewer.annotate import write_video

PARAMS = "dataset: surveillance\nworkers: 1\npose: {quality: fast, keep_video: false}\n"
MANIFEST = """video,start_s,end_s,label
door/a.mp4,0,0.8,Waving
door/a.mp4,0.8,1.6,Standing
door/c.mp4,0,1.6,Walking
hall/empty.mp4,0,1,Walking
"""


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_stages():
    """Fetch, the clip table, and poses."""
    params = load_params()
    fetch.run(params, UntoldRun())
    clips = dataset_by_name("surveillance").catalogue(paths.RAW, dataset_context(params)).clips
    write_table(clips, "clips", paths.CLIPS)
    pose.run(params, UntoldRun())


def outputs():
    return {path.name: path.read_bytes() for path in (paths.CLIPS, *sorted(paths.POSES.iterdir()))}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, pose_model):
    """Two videos of somebody and one of an empty room, with their skeletons, in a workspace whose DVC has them, too."""
    root = tmp_path_factory.mktemp("footage")
    folder = root / "data" / "incoming"
    for name, action, seed in (("a", "Waving", 1), ("c", "Walking", 2)):
        frames, _ = render_scene([Performer(action, heading=-90)], frames=24, seed=seed)
        write_video(folder / "door" / f"{name}.mp4", list(frames), fps=15)
    write_video(folder / "hall" / "empty.mp4", [np.full((240, 320, 3), 90, np.uint8)] * 20, fps=15)
    (folder / "manifest.csv").write_text(MANIFEST)
    (root / "params.yaml").write_text(PARAMS)
    model = root / "models" / "pose" / "pose.onnx"
    model.parent.mkdir(parents=True)
    model.symlink_to(pose_model)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_stages()
        with Repo.init(no_scm=True) as repo:
            repo.add("data/raw")
    return root


@pytest.fixture
def footage(extracted, tmp_path, monkeypatch):
    """The footage of such a workspace, in which a test works."""
    shutil.copytree(extracted, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "incoming"


def test_a_video_goes_from_everywhere_and_its_skeletons_stay(footage, tmp_path):
    video = footage / "door" / "a.mp4"
    gone, before = digest(video), outputs()
    copies = [path for path in tmp_path.rglob("*") if path.is_file() and digest(path) == gone]
    assert len(copies) == 3
    found = removal.remove_videos(load_params())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and digest(path) == gone]
    assert {path.resolve() for path in found.removed} >= {path.resolve() for path in copies}
    assert [line.partition(": ")[2] for line in found.kept] == [
        "nobody was found in it, so nothing would be left; look at it, then remove it yourself"
    ]
    assert (footage / "hall" / "empty.mp4").is_file()
    lines = [json.loads(line) for line in paths.REMOVED.read_text().splitlines()]
    assert [(line["video"], line["frames"]) for line in lines] == [
        (f"data/incoming/door/{name}.mp4", 24) for name in ("a", "c")
    ]
    assert lines[0]["sha256"] == gone
    assert len(lines[0]["files"]) == 3
    run_stages()
    assert outputs() == before
    again = removal.remove_videos(load_params())
    assert (again.removed, len(again.kept)) == ((), 1)


def test_other_settings_do_not_reach_what_is_gone(footage, caplog):
    assert "removed 6 files of videos whose skeletons are stored" in pipeline.remove_videos()
    before = (paths.POSES / "joints.npy").read_bytes()
    (footage.parents[1] / "params.yaml").write_text(PARAMS.replace("fast", "best"))
    with caplog.at_level(logging.WARNING):
        run_stages()
    assert "2 videos were removed after another network or other settings had found their skeletons" in caplog.text
    assert (paths.POSES / "joints.npy").read_bytes() == before


def test_what_is_not_as_it_was_extracted_stays(footage):
    """A video that was exchanged since, and one whose skeletons were cleared from the cache."""
    (footage / "door" / "a.mp4").write_bytes((footage / "door" / "c.mp4").read_bytes())
    found = removal.remove_videos(load_params())
    assert (footage / "door" / "a.mp4").is_file()
    assert "door/a.mp4: the stored skeletons of door-a_0-800-Waving are not those of this file" in found.kept[0]
    for entry in (paths.cache() / "poses").rglob("*.npz"):
        entry.unlink()
    kept = removal.remove_videos(load_params()).kept
    assert "door/a.mp4: its skeletons are not in the cache of poses; run the stage pose" in kept[0]


def test_a_damaged_record_is_told(footage):
    removal.remove_videos(load_params())
    record = record_of(footage / "door" / "a.mp4")
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.mp4\.skeletons\.npz: damaged"):
        run_stages()


def test_other_datasets_are_kept(footage):
    path = footage.parents[1] / "params.yaml"
    path.write_text(PARAMS.replace("surveillance", "actors"))
    assert not load_params().removes_videos
    with pytest.raises(DataError, match="footage of your own only, not of actors"):
        removal.remove_videos(load_params())
