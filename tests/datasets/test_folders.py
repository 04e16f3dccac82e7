"""Videos sorted into a folder for each class: real files, 10 frames a second."""

import os
import shutil
from pathlib import Path

import pytest
from grey_videos import write_grey_video
from refusals import refused
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.datasets.base import Context
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.splits import group_splits, leakage
from pan_core.tables import check_table, splits_of


def write_videos(folder, *names):
    """A video of as many frames as its place in the list, and four: no two have the same bytes."""
    for number, name in enumerate(names):
        write_grey_video(folder / name, number + 5, step=7)
    return folder


@pytest.fixture
def catalogue(tmp_path):
    """Function that fetches and catalogues a folder."""

    def go(folder, **options):
        dataset = dataset_by_name("folders")
        context = Context(tmp_path / "cache", workers=0, options={"folder": str(folder), "seed": 0, **options})
        dataset.fetch(tmp_path / "raw", context)
        return dataset.catalogue(tmp_path / "raw", context)

    return go


def reasons(found):
    return dict(zip(found.quarantine["clip_id"], found.quarantine["reason"], strict=True))


NAMES = ("walk/a b.mp4", "walk/Übung/a b.AVI", "run 🏃/é.mkv", "run 🏃/deep/er/a b.mov", "run 🏃/x.WebM")


def test_every_video_is_a_clip_of_the_class_whose_folder_it_is_in(tmp_path, catalogue):
    folder = tmp_path / "videos of mine"
    for number, name in enumerate(NAMES):  # OpenCV writes by suffix; what a file is named is another matter
        made = write_grey_video(tmp_path / f"{number}.avi", number + 5, step=7)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder / name)
    (folder / "walk" / ".hidden.mp4").write_bytes(b"hidden")
    (folder / "walk" / "notes.txt").write_text("no video")
    (folder / ".trash" / "walk").mkdir(parents=True)
    shutil.copy2(folder / NAMES[0], folder / ".trash" / "walk" / "old.mp4")
    found = catalogue(folder)
    clips = check_table(found.clips, "clips", "test").set_index("clip_id")
    assert dict(zip(clips.index, clips["label"], strict=True)) == {
        name: "walk" if name.startswith("walk") else "run 🏃" for name in NAMES
    }
    assert [int(clips.loc[name, "n_frames"]) for name in NAMES] == [5, 6, 7, 8, 9]
    assert set(clips["group"]) == {""}
    assert splits_of(found.clips) == []
    assert found.quarantine.empty
    assert all((tmp_path / "raw" / path).is_file() for path in clips["path"])


def test_train_and_test_above_the_classes_are_the_one_split(tmp_path, catalogue):
    folder = write_videos(
        tmp_path / "in",
        "Train/walk/a.avi",
        "Train/run/b.avi",
        "valid/walk/c.avi",
        "test/walk/a.avi",
        "test/run/x/e.avi",
    )
    clips = catalogue(folder).clips.set_index("clip_id")
    assert dict(clips["split1"]) == {
        "Train/walk/a.avi": "train", "Train/run/b.avi": "train", "valid/walk/c.avi": "val", "test/walk/a.avi": "test",
        "test/run/x/e.avi": "test",
    }  # fmt: skip
    assert dict(clips["label"]) == {name: name.split("/")[1] for name in clips.index}


def test_without_a_test_folder_val_tests(tmp_path, catalogue):
    folder = write_videos(tmp_path / "in", "train/walk/a.avi", "train/run/b.avi", "val/walk/c.avi", "val/run/d.avi")
    assert catalogue(folder).clips["split1"].value_counts().to_dict() == {"train": 2, "test": 2}


def test_a_class_may_be_called_training(tmp_path, catalogue):
    folder = write_videos(tmp_path / "in", "training/a.avi", "resting/b.avi")
    found = catalogue(folder)
    assert sorted(found.clips["label"]) == ["resting", "training"]
    assert splits_of(found.clips) == []


def test_videos_of_one_group_are_never_on_both_sides(tmp_path, catalogue):
    names = [
        f"{label}/{person}_{take}.avi"
        for label in ("walk", "run")
        for person in ("ann", "ben", "cy")
        for take in (1, 2)
    ]
    found = catalogue(write_videos(tmp_path / "in", *names), group_pattern=r"/([a-z]+)_\d")
    clips = found.clips.set_index("clip_id")
    assert {name: clips.loc[name, "group"] for name in names} == {
        name: name.split("/")[1].split("_")[0] for name in names
    }
    split = group_splits(found.clips, folds=3, seed=0)
    assert all(leakage(split, f"split{number}")["group"] == 0 for number in (1, 2, 3))


def test_what_cannot_be_used_is_left_out_with_the_reason(tmp_path, catalogue):
    folder = write_videos(tmp_path / "in", "walk/a.avi", "run/b.avi", "intro.avi", "walk/x/a.avi")
    (folder / "run" / "bad.mp4").write_text("no video at all")
    (folder / "run" / "empty.mp4").touch()
    (folder / "run" / "gone.mp4").symlink_to("nowhere.mp4")
    (folder / "run" / "round").symlink_to(folder)
    shutil.copy2(folder / "run" / "b.avi", folder / "walk" / "z copy.avi")
    os.mkfifo(folder / "walk" / "pipe.avi")
    found = catalogue(folder)
    assert set(found.clips["clip_id"]) == {"walk/a.avi", "run/b.avi", "walk/x/a.avi"}
    said = reasons(found)
    assert set(said) == {
        "intro.avi", "run/bad.mp4", "run/empty.mp4", "run/gone.mp4", "run/round", "walk/z copy.avi", "walk/pipe.avi",
    }  # fmt: skip
    assert "folder of its class" in said["intro.avi"]
    assert "bad.mp4" in said["run/bad.mp4"]
    assert "run/b.avi" in said["walk/z copy.avi"]


def test_a_name_in_two_spellings_of_its_characters_is_used_once(tmp_path, catalogue):
    folder = write_videos(tmp_path / "in", "walk/\u00e9.avi", "walk/e\u0301.avi", "run/b.avi")
    found = catalogue(folder)
    assert len(found.clips) == 2
    assert len(reasons(found)) == 1


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        ((), "folders.no-video", "<class>"),
        (("a.avi", "b.avi"), "folders.no-class", "a.avi"),
        (("train/a.avi", "test/b.avi"), "folders.no-class", "train/<class>"),
        (("walk/a.avi", "walk/b.avi"), "folders.one-class", "'walk'"),
        (("videos/walk/a.avi", "videos/run/b.avi"), "folders.one-class", "in/videos as the folder"),
        (("train/walk/a.avi", "train/run/b.avi"), "folders.one-part", "in/train as the folder"),
        (("val/walk/a.avi", "test/run/b.avi"), "folders.one-part", "val"),
        (("train/walk/a.avi", "train/run/b.avi", "test/walk/c.avi", "more/run/d.avi"), "folders.mixed", "more"),
        (("train/walk/a.avi", "train/run/b.avi", "test/jump/c.avi"), "folders.class-not-trained", "test/jump/c.avi"),
        (("train/walk/a.avi", "train/run/b.avi", "test/Walk/c.avi"), "folders.spelling", "'Walk'"),
        (("walk/a.avi", "walk /b.avi", "run/c.avi"), "folders.spelling", "'walk '"),
    ],
)
def test_a_folder_that_nothing_can_be_learnt_from_is_refused(tmp_path, catalogue, names, code, said):
    (tmp_path / "in").mkdir()
    with refused(code) as caught:
        catalogue(write_videos(tmp_path / "in", *names))
    assert said in str(caught.value) and str(tmp_path / "in") in str(caught.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", ["nowhere", "file.txt"])
def test_a_folder_that_is_none_is_refused(tmp_path, catalogue, name):
    (tmp_path / "file.txt").touch()
    with refused("folders.folder") as caught:
        catalogue(tmp_path / name)
    assert name in str(caught.value)


def test_videos_none_of_which_can_be_decoded_are_refused(tmp_path, catalogue):
    for name in ("walk/a.mp4", "run/b.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).write_text(name)
    with refused("folders.no-usable-video"):
        catalogue(tmp_path / "in")


@pytest.mark.parametrize("pattern", [r"(ann)_", r"(zoe|)"])
def test_a_pattern_that_finds_no_group_in_some_paths_is_refused(tmp_path, catalogue, pattern):
    folder = write_videos(tmp_path / "in", "walk/ann_1.avi", "run/ben_1.avi")
    with refused("folders.group-lacking") as caught:
        catalogue(folder, group_pattern=pattern)
    assert "run/ben_1.avi" in str(caught.value)


@pytest.mark.parametrize("pattern", ["(", "ann", "(a)(b)", "(?P<x>a)(?P<y>b)", "*"])
def test_a_pattern_that_is_none_is_refused(tmp_path, catalogue, pattern):
    folder = write_videos(tmp_path / "in", "walk/ann_1.avi", "run/ben_1.avi")
    with refused("folders.pattern"):
        catalogue(folder, group_pattern=pattern)


def test_pan_data_shows_and_checks_such_a_folder(tmp_path, monkeypatch, request):
    shutil.copy2(request.config.rootpath / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = write_videos(
        tmp_path / "in", *(f"{label}/{number}.avi" for label in ("walk", "run") for number in range(3))
    )
    result = CliRunner().invoke(app, ["data", "check", "folders", "--folder", str(folder)])
    assert result.exit_code == 0, result.output
    assert "6 of 2 classes" in result.output
    (folder / "lost.avi").write_text("")
    result = CliRunner().invoke(app, ["data", "check", "folders", "--folder", str(folder)])
    assert result.exit_code == 1
    assert "not as it should be: lost.avi" in result.output
    assert "folders" in CliRunner().invoke(app, ["data", "list"]).output


def test_real_videos_of_people_are_read(tmp_path, catalogue):
    """Clips of JHMDB, sorted by class as they are; their films, with which the names begin, are the groups."""
    real = Path(os.environ.get("PAN_TEST_DATA", "nowhere")) / "jhmdb" / "ReCompress_Videos"
    if not real.exists():
        pytest.skip("PAN_TEST_DATA names no folder with jhmdb/ReCompress_Videos")
    for label in ("clap", "golf"):
        (tmp_path / "in" / label).mkdir(parents=True)
        for video in sorted((real / label).glob("*.avi"))[:3]:
            shutil.copy2(video, tmp_path / "in" / label)
    found = catalogue(tmp_path / "in", group_pattern=r"/(.+)_(?:clap|golf)_")
    assert found.clips["label"].value_counts().to_dict() == {"clap": 3, "golf": 3}
    assert (found.clips["n_frames"] > 10).all()
    assert found.quarantine.empty
