"""Footage of one's own, made here: 10 frames a second, so that every frame number follows from the seconds."""

import json
import os
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from grey_videos import write_grey_video
from refusals import refused

from pan_core.datasets.base import Context
from pan_core.datasets.labelled_spans import clip_ids, joined_by_video
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.surveillance import group_of
from pan_core.files import read_json
from pan_core.tables import check_table

HEADER = "video,start_s,end_s,label,camera,recorded_at,subject"


def write_manifest(folder, *rows, name="manifest.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join((HEADER, *rows)) + "\n")


@pytest.fixture
def incoming(tmp_path):
    """Two cameras with a video each, a damaged video, an unlisted one; one listed video is absent."""
    folder = tmp_path / "incoming"
    write_grey_video(folder / "door" / "a.avi", 40, step=1)
    write_grey_video(folder / "hall" / "b.avi", 25, step=1)
    write_grey_video(folder / "hall" / "not listed.avi", 3, step=1)
    (folder / "hall" / "bad.avi").write_text("no video at all")
    write_manifest(
        folder,
        "door/a.avi,0,2,Walking,door,2026-05-30,",
        "door/a.avi,1.5,3,Reading a book,door,2026-05-30,",
        "door/a.avi,1,9,Sitting,door,2026-05-30,",
        "door/a.avi,7.5,9,Falling,door,2026-05-30,",
        "hall/b.avi,0.5,0.6,Waving,hall,2026-05-31,",
        "hall/b.avi,0.5,2.5,Walking,hall,2026-05-31,",
        "hall/bad.avi,0,1,Walking,hall,2026-05-31,",
        "hall/gone.avi,0,1,Walking,hall,2026-05-31,",
        "hall/b.avi,3,1,Walking,hall,2026-05-31,",
    )
    return folder


@pytest.fixture
def run(tmp_path):
    """Function that fetches and catalogues a folder: (dataset, data folder, catalogue)."""

    def go(folder, **options):
        dataset = dataset_by_name("surveillance")
        context = Context(tmp_path / "cache", options={"folder": str(folder), "seed": 0, **options})
        dataset.fetch(tmp_path / "raw", context)
        return dataset, tmp_path / "raw", dataset.catalogue(tmp_path / "raw", context)

    return go


def test_every_span_is_a_clip_cut_to_its_video(incoming, run):
    _, folder, catalogue = run(incoming)
    clips = check_table(catalogue.clips, "clips", "test")
    columns = ["clip_id", "path", "label", "camera", "start_frame", "n_frames"]
    assert list(clips[columns].itertuples(index=False, name=None)) == [
        ("door-a_0-2000-Walking", "videos/door/a.avi", "Walking", "door", 0, 20),
        ("door-a_1500-3000-Reading_a_book", "videos/door/a.avi", "Reading a book", "door", 15, 15),
        ("door-a_1000-9000-Sitting", "videos/door/a.avi", "Sitting", "door", 10, 30),
        ("hall-b_500-2500-Walking", "videos/hall/b.avi", "Walking", "hall", 5, 20),
    ]
    assert list(clips["group"]) == ["door", "door", "door", "hall"]
    assert set(clips["fps"]) == {10.0}
    assert not [column for column in clips if column.startswith("split")]
    assert all((folder / path).is_file() for path in clips["path"])


def test_what_cannot_be_used_is_named_with_the_reason(incoming, run):
    _, folder, catalogue = run(incoming)
    reasons = dict(zip(catalogue.quarantine["clip_id"], catalogue.quarantine["reason"], strict=True))
    assert set(reasons) == {
        "manifest.csv:10",
        "door-a_7500-9000-Falling",
        "hall-b_500-600-Waving",
        "hall-bad_0-1000-Walking",
    }
    for value in ("75", "door/a.avi", "39", "4.00"):  # first frame of the span, last frame and length of the video
        assert value in reasons["door-a_7500-9000-Falling"]
    assert "'Waving'" in reasons["hall-b_500-600-Waving"]
    assert "bad.avi" in reasons["hall-bad_0-1000-Walking"]
    assert catalogue.missing == ("hall/gone.avi",)
    assert not (folder / "videos" / "hall" / "not listed.avi").exists()
    assert json.loads((folder / "findings.json").read_text())["unlisted"] == ["hall/not listed.avi"]


def test_a_row_that_only_the_second_reading_refuses_is_named(incoming, run, tmp_path, caplog):
    dataset, folder, _ = run(incoming)
    lines = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join([*lines, lines[1]]))
    catalogue = dataset.catalogue(folder, Context(tmp_path / "cache"))
    row = catalogue.quarantine.set_index("clip_id").loc[f"stored manifest.csv:{len(lines) + 1}"]
    assert row["reason"].endswith("manifest.csv:2")
    dataset.segments(folder, catalogue.clips)
    assert f"no segment of manifest.csv:{len(lines) + 1}" in caplog.text


def test_labels_at_once_are_the_clips_segments(incoming, run):
    dataset, folder, catalogue = run(incoming)
    segments = dataset.segments(folder, catalogue.clips)
    columns = ["label", "start_frame", "end_frame", "parent_label"]
    # Walking is frames 0..20 of the video, Reading 15..30, Sitting 10..40.
    of = {key: set(rows[columns].itertuples(index=False, name=None)) for key, rows in segments.groupby("clip_id")}
    assert of["door-a_0-2000-Walking"] == {
        ("Walking", 0, 20, "Walking"),
        ("Reading a book", 15, 20, "Walking"),
        ("Sitting", 10, 20, "Walking"),
    }
    assert of["door-a_1500-3000-Reading_a_book"] == {
        ("Walking", 0, 5, "Reading a book"),
        ("Reading a book", 0, 15, "Reading a book"),
        ("Sitting", 0, 15, "Reading a book"),
    }
    # The span of Waving is too short for a clip, but its label holds all the same.
    assert of["hall-b_500-2500-Walking"] == {("Walking", 0, 20, "Walking"), ("Waving", 0, 1, "Walking")}


def test_nothing_is_left_behind_by_a_fetch_that_fails(incoming, run, tmp_path, monkeypatch):
    run(incoming)
    before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "raw").rglob("*"))
    monkeypatch.setattr("pan_core.datasets.surveillance.write_manifest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(incoming)
    assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "raw").rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "incoming", "raw"]


def write_as(path, fourcc, codec_suffix):
    """A video of 20 frames in a container that OpenCV chooses by a suffix, under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"made{codec_suffix}")
    writer = cv2.VideoWriter(str(made), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), 10, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), number * 10, np.uint8))
    writer.release()
    made.rename(path)


def test_what_is_listed_and_exists_is_tried_whatever_its_suffix(tmp_path, run):
    folder = tmp_path / "incoming"
    kinds = {"a.flv": ("FLV1", ".flv"), "b.3gp": ("mp4v", ".3gp"), "c.ASF": ("WMV2", ".asf"), "d.vob": ("MPG2", ".mpg"),
             "e.dat": ("MP42", ".avi"), "camera-1": ("MJPG", ".avi"), "f.mp4.part": ("mp4v", ".mp4")}  # fmt: skip
    for name, kind in kinds.items():
        write_as(folder / name, *kind)
    (folder / "notes.txt").write_text("no video at all")
    write_manifest(folder, *(f"{name},0,1,Walking,,," for name in [*kinds, "notes.txt", "manifest.csv", "gone.dav"]))
    _, _, catalogue = run(folder)
    assert sorted(catalogue.clips["path"]) == sorted(f"videos/{name}" for name in kinds)
    assert catalogue.missing == ("gone.dav",)
    assert sorted(catalogue.quarantine["clip_id"]) == ["manifest_0-1000-Walking", "notes_0-1000-Walking"]


def test_a_dead_link_a_pipe_and_a_name_of_other_bytes_are_named_and_passed_over(incoming, run):
    (incoming / "unmounted.avi").symlink_to("/nowhere/unmounted.avi")
    (incoming / "round").symlink_to(incoming.parent)
    (incoming / "self").symlink_to(incoming / "self")
    os.mkfifo(incoming / "pipe.avi")
    (incoming / os.fsdecode(b"caf\xe9")).mkdir()
    (incoming / os.fsdecode(b"caf\xe9.avi")).write_bytes(b"")
    (incoming / "caf\u00e9 \U0001f600.avi").symlink_to(incoming / "door" / "a.avi")
    with (incoming / "manifest.csv").open("a") as file:
        file.write("unmounted.avi,0,1,Walking,,,\ncaf\u00e9 \U0001f600.avi,0,1,Walking,hall,2026-05-31,\n")
    _, folder, catalogue = run(incoming)
    assert len(catalogue.clips) == 5
    assert "unmounted.avi" in catalogue.missing
    notes = [note for note in read_json(folder / "findings.json")["notes"] if note.startswith("passed over")]
    assert [note.split(": ")[1] for note in notes] == [
        "caf\\xe9", "caf\\xe9.avi", "pipe.avi", "round", "self", "unmounted.avi",
    ]  # fmt: skip


def test_a_later_fetch_takes_up_new_footage_and_ids_stay(incoming, run):
    first = set(run(incoming)[2].clips["clip_id"])
    shutil.copytree(incoming / "door", incoming / "2026-06-01" / "door")
    write_manifest(incoming / "2026-06-01", "door/a.avi,0,2,Walking,door,2026-06-01,")
    second = set(run(incoming)[2].clips["clip_id"])
    assert second - first == {"2026-06-01-door-a_0-2000-Walking"}
    assert first < second


def test_footage_of_which_nothing_is_there(tmp_path, run):
    write_manifest(tmp_path / "incoming", "a.avi,0,1,Walking,,,", "b.avi,0,1,Walking,,,")
    with refused("footage.no-listed-video") as caught:
        run(tmp_path / "incoming")
    assert "a.avi" in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_footage_of_which_nothing_can_be_used(tmp_path, run):
    write_grey_video(tmp_path / "incoming" / "a.avi", 10, step=1)
    write_manifest(tmp_path / "incoming", "a.avi,5,6,Walking,,,")
    with refused("footage.no-usable-span") as caught:
        run(tmp_path / "incoming")
    assert "50" in str(caught.value)


FACTS = pd.DataFrame(
    {
        "path": ["a", "a", "b", "c"],
        "subject": ["ann", "ann", "bob", "ann"],
        "camera": ["door", "door", "hall", "door"],
        "recorded_at": ["2026-05-30T23:59:00Z", "2026-05-30", "2026-05-30T01:00:00+02:00", "2026-05-31"],
    }
)


@pytest.mark.parametrize(
    ("emptied", "grouping", "expected"),
    [
        ([], "auto", ["ann", "ann", "bob", "ann"]),
        (["subject"], "auto", ["door", "door", "hall", "door"]),
        (["subject", "camera"], "auto", ["2026-05-30"] * 3 + ["2026-05-31"]),
        (["subject", "camera", "recorded_at"], "auto", ["a", "a", "b", "c"]),
        ([], "camera", ["door", "door", "hall", "door"]),
        ([], "day", ["2026-05-30"] * 3 + ["2026-05-31"]),
        ([], "video", ["a", "a", "b", "c"]),
    ],
)
def test_group(emptied, grouping, expected):
    facts = FACTS.assign(**dict.fromkeys(emptied, ""))
    assert list(group_of(facts, facts, grouping)) == expected


def test_a_column_that_is_given_for_some_rows_only_does_not_group():
    facts = FACTS.assign(subject=["ann", "", "bob", "ann"])
    assert list(group_of(facts, facts, "auto")) == ["door", "door", "hall", "door"]
    with refused("group.lacking") as caught:
        group_of(facts, facts, "subject")
    assert "'subject'" in str(caught.value)


def test_one_camera_for_all_does_not_group():
    facts = FACTS.assign(subject="", camera="door")
    assert list(group_of(facts, facts, "auto")) == ["2026-05-30"] * 3 + ["2026-05-31"]


def test_people_who_share_a_video_are_one_group():
    groups = pd.Series(["ann", "bob", "bob", "cy", "dan"])
    videos = pd.Series(["a", "a", "b", "b", "c"])
    assert list(joined_by_video(groups, videos)) == ["ann+bob+cy"] * 4 + ["dan"]


def test_ids_of_rows_that_look_alike_differ():
    rows = pd.DataFrame(
        {
            "video": ["a/b.mp4", "a-b.mp4", "a/b.avi", "a/b.mp4", "a/b.mp4", "x"],
            "start_s": [0.0] * 6,
            "end_s": [1.0] * 6,
            "label": ["Up", "Up", "Up", "Pick up", "Pick-up!", "Ü/ber"],
        }
    )
    ids = clip_ids(rows)
    assert ids.is_unique
    assert ids[4] == "a-b_0-1000-Pick-up"
    assert ids[5] == "x_0-1000-Ü_ber"
    assert not any("/" in name for name in ids)


def test_times_go_to_the_nearest_border_of_frames(tmp_path, run):
    """At 10 frames a second 0.24 s is nearer to frame 2, 0.26 to 3, and 2.05, half way, to 21."""
    write_grey_video(tmp_path / "in" / "a.avi", 40, step=1)
    write_manifest(tmp_path / "in", "a.avi,0.24,1,Walking,,,", "a.avi,0.26,2.05,Sitting,,,")
    _, _, catalogue = run(tmp_path / "in")
    clips = catalogue.clips.set_index("label")
    assert clips.loc["Walking", ["start_frame", "n_frames"]].tolist() == [2, 8]
    assert clips.loc["Sitting", ["start_frame", "n_frames"]].tolist() == [3, 18]
