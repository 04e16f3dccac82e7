"""Footage is removed once its skeletons are stored, wherever a copy lies, and everything can still run on what stays."""

import hashlib
import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo
from refusals import refused

from pan_core.datasets.actors.scenes import Performer, render_scene
from pan_core.datasets.registry import dataset_by_name
from pan_core.errors import DataError
from pan_core.export.reference import real_people
from pan_core.files import cache_folder
from pan_core.params.load import load_params
from pan_core.pose.pose_set import PoseSet
from pan_core.pose.records import record_of
from pan_core.stages import fetch, pose
from pan_core.tables import read_table, write_table
from pan_core.tracking.run import NullRun
from pan_core.viewer.annotate import write_video
from pan_core.workspace import footage_removal, paths
from pan_core.workspace.context import dataset_context
from pan_core.workspace.pipeline_run import run_pipeline

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
    fetch.run(params, NullRun())
    clips = dataset_by_name("surveillance").catalogue(paths.RAW, dataset_context(params)).clips
    write_table(clips, "clips", paths.CLIPS)
    pose.run(params, NullRun())


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
    found = footage_removal.remove_videos(load_params())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and digest(path) == gone]
    assert [path.name for path in found.videos] == ["a.mp4", "c.mp4"]
    assert {path.resolve() for path in found.files} >= {path.resolve() for path in copies}
    assert [(note.video.name, note.code) for note in found.kept] == [("empty.mp4", "removal.nobody-found")]
    assert (footage / "hall" / "empty.mp4").is_file()
    lines = [json.loads(line) for line in paths.REMOVED.read_text().splitlines()]
    assert [(line["video"], line["state"], line["frames"]) for line in lines] == [
        (f"data/incoming/door/{name}.mp4", state, 24) for name in ("a", "c") for state in ("removing", "removed")
    ]
    assert lines[1]["sha256"] == gone
    assert len(lines[1]["files"]) == 3
    run_stages()
    assert outputs() == before
    again = footage_removal.remove_videos(load_params())
    assert (again.videos, again.files, len(again.kept)) == ((), (), 1)


def test_a_listed_video_of_another_suffix_goes_too(footage):
    (footage / "door" / "c.mp4").rename(footage / "door" / "c.dvr")
    (footage / "manifest.csv").write_text(MANIFEST.replace("c.mp4", "c.dvr"))
    run_stages()
    before = outputs()
    found = footage_removal.remove_videos(load_params())
    assert [path.name for path in found.videos] == ["a.mp4", "c.dvr"]
    assert not (footage / "door" / "c.dvr").exists()
    run_stages()
    assert outputs() == before


def test_a_run_ends_with_the_removal_unless_the_setting_is_another(footage, tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {last: {cmd: echo done > last.txt, outs: [last.txt]}}\n")
    (tmp_path / "params.yaml").write_text(PARAMS.replace("keep_video: false", "keep_video: true"))
    run_pipeline()
    assert (footage / "door" / "a.mp4").is_file()
    with refused("removal.not-asked", DataError):
        footage_removal.remove_videos(load_params())
    (tmp_path / "params.yaml").write_text(PARAMS)
    run_pipeline()
    assert not (footage / "door" / "a.mp4").exists()


def test_copies_in_workspaces_of_other_parameters_go_too(footage, tmp_path):
    copy = tmp_path / ".cache" / "workspaces" / "abc" / "data" / "raw" / "videos" / "door" / "a.mp4"
    copy.parent.mkdir(parents=True)
    shutil.copy2(footage / "door" / "a.mp4", copy)
    footage_removal.remove_videos(load_params())
    assert not copy.exists()
    assert record_of(copy).is_file()


def test_a_labelled_span_without_skeletons_keeps_its_video(footage):
    """A fall that was missed: with the video would go what a better network could find."""
    (footage / "manifest.csv").write_text(MANIFEST + "door/c.mp4,1.62,1.7,Falling\n")
    table = read_table("clips", paths.CLIPS)
    missed = table[table["path"] == "videos/door/c.mp4"].assign(clip_id="door-c_missed", label="Falling")
    write_table(pd.concat([table, missed], ignore_index=True), "clips", paths.CLIPS)
    found = footage_removal.remove_videos(load_params())
    assert [path.name for path in found.videos] == ["a.mp4"]
    assert found.kept[0].code == "removal.span-without-skeletons"
    assert "door-c_missed" in found.kept[0].reason


def test_a_video_that_is_exchanged_meanwhile_stays_with_its_copies(footage, monkeypatch):
    real, video = footage_removal.digest_of, footage / "door" / "a.mp4"

    def exchange(path, algorithm):
        if path.name == "a.mp4":
            other = path.with_name("new")
            other.write_bytes(b"another video")
            other.replace(path)
        return real(path, algorithm)

    monkeypatch.setattr(footage_removal, "digest_of", exchange)
    found = footage_removal.remove_videos(load_params())
    assert [path.name for path in found.videos] == ["c.mp4"]
    assert found.kept[0].code == "removal.changed"
    assert video.read_bytes() == b"another video"
    assert (paths.RAW / "videos" / "door" / "a.mp4").is_file()


def test_footage_that_is_not_there_is_not_called_removed(footage):
    footage.rename(footage.with_name("away"))
    with refused("removal.no-footage", DataError):
        footage_removal.remove_videos(load_params())


def test_links_and_second_names_stay(footage, tmp_path):
    """What is gone under one name would be gone under the other, without its skeletons."""
    (footage / "door" / "b.mp4").symlink_to("a.mp4")
    (footage / "manifest.csv").write_text(MANIFEST + "door/b.mp4,0,1,Walking\n")
    outside = tmp_path / "outside.mp4"
    (footage / "door" / "c.mp4").rename(outside)
    (footage / "door" / "c.mp4").symlink_to(outside)
    run_stages()
    found = footage_removal.remove_videos(load_params())
    assert (found.videos, found.files) == ((), ())
    assert [note.code for note in found.kept].count("removal.linked") == 3
    assert outside.is_file()


def test_a_record_is_of_its_own_video_only(footage):
    """A video that has the name of one that was removed, and is removed by hand: its clips do not get the other's skeletons."""
    video = footage / "door" / "a.mp4"
    footage_removal.remove_videos(load_params())
    shutil.copy2(footage / "hall" / "empty.mp4", video)
    with video.open("ab") as file:
        file.write(b"1")
    assert footage_removal.remove_videos(load_params()).kept[0].code == "removal.not-cached"
    video.unlink()
    assert not record_of(video).exists()
    assert len(list(video.parent.glob("a.mp4.*.skeletons.npz"))) == 1


@pytest.mark.parametrize("fault", ["poses", "record", "unlink"])
def test_a_video_stays_until_all_is_safe(footage, monkeypatch, fault):
    """Skeletons that are not those of the cache, a record that cannot be read back, a file that cannot be deleted."""
    if fault == "poses":
        path = paths.POSES / "joints.npy"
        joints = np.load(path)
        joints[:, 0, 0] += 1
        np.save(path, joints)
    real = type(footage).unlink

    def unlink(path, **options):
        if path == footage.relative_to(footage.parents[1]) / "door" / "a.mp4":
            raise PermissionError(13, "Permission denied", str(path))
        real(path, **options)

    with monkeypatch.context() as patch:
        if fault == "record":
            patch.setattr(footage_removal, "read_record", lambda video: (_ for _ in ()).throw(DataError("damaged")))
        if fault == "unlink":
            patch.setattr(type(footage), "unlink", unlink)
        found = footage_removal.remove_videos(load_params())
    video = footage / "door" / "a.mp4"
    assert video.is_file()
    assert video.relative_to(footage.parents[1]) not in found.videos
    codes = {"poses": "removal.other-skeletons", "record": "removal.record-unreadable", "unlink": "system"}
    assert codes[fault] == next(note.code for note in found.kept if note.video.name == "a.mp4")
    assert record_of(video).is_file() == (fault == "unlink")
    if fault == "unlink":
        assert footage_removal.remove_videos(load_params()).videos == (video.relative_to(footage.parents[1]),)


def test_labels_of_an_export_without_a_rate_outlive_the_videos(footage):
    """Label Studio counts frames; the rate of a video that is gone stands in its record."""
    region = {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 20}], "timelinelabels": ["Waving"]}}
    task = {"data": {"video": "door/a.mp4"}, "annotations": [{"result": [region]}]}
    (footage / "manifest.csv").unlink()
    (footage / "export.json").write_text(json.dumps([task]))
    run_stages()
    before = outputs()
    assert len(footage_removal.remove_videos(load_params()).videos) == 1
    run_stages()
    assert outputs() == before


def test_footage_of_retraining_is_refused(footage):
    (footage / "holdout.json").write_text("{}")
    with refused("removal.retraining", DataError):
        footage_removal.remove_videos(load_params())


def test_pictures_of_who_is_gone_are_drawn(footage):
    poses = PoseSet(paths.POSES)
    clips = read_table("clips", paths.CLIPS)
    clips = clips[clips["clip_id"].isin(poses.index["clip_id"])]

    def frames(clips):
        return np.concatenate([frame.ravel() for frame, _ in real_people(clips, poses, paths.RAW, count=4)])

    filmed = frames(clips)
    footage_removal.remove_videos(load_params())
    drawn = frames(clips)
    assert np.array_equal(drawn, frames(clips[:0]))
    assert not np.array_equal(drawn, filmed)


def test_other_settings_do_not_reach_what_is_gone(footage, caplog):
    assert (
        "removed 2 videos (6 files) whose skeletons are stored"
        in footage_removal.remove_videos(load_params()).describe()
    )
    before = (paths.POSES / "joints.npy").read_bytes()
    (footage.parents[1] / "params.yaml").write_text(PARAMS.replace("fast", "best"))
    with caplog.at_level(logging.WARNING):
        run_stages()
    assert [record.args for record in caplog.records if record.name.startswith("pan_core.pose")] == [(2,)]
    assert (paths.POSES / "joints.npy").read_bytes() == before


def test_what_is_not_as_it_was_extracted_stays(footage):
    """A video that was exchanged since, and one whose skeletons were cleared from the cache."""
    (footage / "door" / "a.mp4").write_bytes((footage / "door" / "c.mp4").read_bytes())
    found = footage_removal.remove_videos(load_params())
    assert (footage / "door" / "a.mp4").is_file()
    assert (found.kept[0].video.name, found.kept[0].code) == ("a.mp4", "removal.other-skeletons")
    assert "door-a_0-800-Waving" in found.kept[0].reason
    for entry in (cache_folder() / "poses").rglob("*.npz"):
        entry.unlink()
    kept = footage_removal.remove_videos(load_params()).kept
    assert (kept[0].video.name, kept[0].code) == ("a.mp4", "removal.not-cached")


def test_a_damaged_record_is_told(footage):
    footage_removal.remove_videos(load_params())
    record = record_of(footage / "door" / "a.mp4")
    record.write_bytes(record.read_bytes()[:100])
    with refused("video-record.damaged", DataError) as caught:
        run_stages()
    assert record.name in str(caught.value)


def test_other_datasets_are_kept(footage):
    path = footage.parents[1] / "params.yaml"
    path.write_text(PARAMS.replace("surveillance", "actors"))
    assert not load_params().removes_videos
    with refused("removal.not-asked", DataError):
        footage_removal.remove_videos(load_params())
