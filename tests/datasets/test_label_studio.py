"""Label Studio exports written out by hand after the documented format: frames from 1, both ends included."""

import json

import pytest
from grey_videos import write_grey_video
from refusals import refused

from pan_core.datasets.manifests import read_any
from pan_core.datasets.manifests.references import AmbiguousReference, VideoIndex, address_path


@pytest.fixture
def footage(tmp_path):
    """door.mp4 with 40 frames at 10 a second in a folder cam."""
    write_grey_video(tmp_path / "cam" / "door.mp4", 40, step=5)
    return tmp_path


def region(start, end, *labels, **value):
    return {
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": list(labels), **value},
        "id": "r", "from_name": "videoLabels", "to_name": "video", "type": "timelinelabels", "origin": "manual",
    }  # fmt: skip


def task(*regions, video="/data/upload/1/0a1b2c3d-door.mp4", data=None, **annotation):
    return {
        "id": 7,
        "data": {"video": video, **(data or {})},
        "annotations": [
            {"id": 1, "was_cancelled": False, "ground_truth": False, "result": list(regions), **annotation}
        ],
        "predictions": [{"result": [region(1, 2, "Guessed")]}],
    }


def read(folder, *tasks):
    (folder / "export.json").write_text(json.dumps(list(tasks)))
    return read_any(folder)


def spans(manifest):
    columns = ["video", "start_s", "end_s", "label"]
    return [tuple(row) for row in manifest.rows[columns].itertuples(index=False)]


def test_frames_become_seconds_at_the_videos_own_rate_which_is_said(footage):
    manifest = read(footage, task(region(1, 20, "Walking"), region(11, 15, "Reading", "Sitting")))
    assert spans(manifest) == [
        ("cam/door.mp4", 0, 2, "Walking"),
        ("cam/door.mp4", 1, 1.5, "Reading"),
        ("cam/door.mp4", 1, 1.5, "Sitting"),
    ]
    (note,) = manifest.notes
    assert note.startswith("export.json:task 7: ")
    assert "10" in note and "fps" in note


def test_a_rate_in_the_task_comes_first(footage):
    manifest = read(footage, task(region(1, 24, "Walking"), data={"fps": 24, "camera": "door", "subject": "ann"}))
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]
    assert (manifest.rows["camera"][0], manifest.rows["subject"][0], manifest.notes) == ("door", "ann", ())


def test_a_rate_follows_from_a_region_with_frame_count_and_duration(footage):
    box = {"type": "videorectangle", "value": {"framesCount": 100, "duration": 4.0, "sequence": [], "labels": ["Man"]}}
    assert spans(read(footage, task(box, region(26, 50, "Walking")))) == [("cam/door.mp4", 1, 2, "Walking")]


def test_labels_beyond_the_video_show_that_the_rate_was_another(footage):
    manifest_rows = task(region(1, 10, "Walking"), region(50, 96, "Sitting"))
    manifest = read(footage, manifest_rows)
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]
    assert all(value in manifest.quarantine["reason"][0] for value in ("96", "40", "fps"))
    assert manifest.quarantine["clip_id"][0].startswith("export.json:task 7")


def test_the_ground_truth_or_else_the_latest_annotation_counts(footage):
    one = task(region(1, 10, "Old"), updated_at="2026-01-01T00:00:00Z")
    new = {"id": 2, "updated_at": "2026-02-01T00:00:00Z", "result": [region(1, 10, "New")]}
    cancelled = {"id": 3, "updated_at": "2026-03-01T00:00:00Z", "was_cancelled": True, "result": [region(1, 9, "Not")]}
    one["annotations"] += [new, cancelled]
    manifest = read(footage, one)
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "New")]
    (note,) = [note for note in manifest.notes if "annotation" in note]
    assert note.count("2") == 2  # the second of two
    one["annotations"][0]["ground_truth"] = True
    assert spans(read(footage, one)) == [("cam/door.mp4", 0, 1, "Old")]


def test_tasks_without_annotation_are_passed_over_and_said(footage):
    open_task, cancelled = task(), task(region(1, 9, "Not"), was_cancelled=True)
    open_task["annotations"] = []
    manifest = read(footage, open_task, cancelled, task(region(1, 10, "Walking")))
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]
    assert "predictions" in manifest.notes[0]
    assert "cancelled" in manifest.notes[1]


def test_the_short_export(footage):
    short = {"id": 5, "video": "s3://bucket/cam/door.mp4", "annotator": 1, "fps": 10,
             "videoLabels": [{"ranges": [{"start": 11, "end": 20}], "timelinelabels": ["Walking"]}]}  # fmt: skip
    assert spans(read(footage, short)) == [("cam/door.mp4", 1, 2, "Walking")]


def audio_region(start, end, *labels, **value):
    """A region of the template "Video Timeline Segmentation": Labels of the audio that is synchronised with the video."""
    return {
        "original_length": 4.0, "value": {"start": start, "end": end, "channel": 0, "labels": list(labels), **value},
        "id": "a", "from_name": "tricks", "to_name": "audio", "type": "labels", "origin": "manual",
    }  # fmt: skip


def choice(*choices, name="action", **value):
    return {
        "value": {"choices": list(choices), **value},
        "id": "c",
        "from_name": name,
        "to_name": "video",
        "type": "choices",
    }


BOX = {"type": "videorectangle", "value": {"framesCount": 40, "duration": 4.0, "labels": ["Man"], "sequence": [
    {"frame": 1, "enabled": True, "x": 1, "y": 1, "width": 9, "height": 9, "time": 0.04}]}}  # fmt: skip


def test_labels_of_the_synchronised_audio_are_in_seconds(footage):
    given = task(
        audio_region(0.5, 2, "Walking"), audio_region(1.25, 3, "Reading", "Sitting"), data={"recorded_at": "20.11.2025"}
    )
    manifest = read(footage, given)
    assert spans(manifest) == [
        ("cam/door.mp4", 0.5, 2, "Walking"), ("cam/door.mp4", 1.25, 3, "Reading"), ("cam/door.mp4", 1.25, 3, "Sitting"),
    ]  # fmt: skip
    assert list(manifest.rows["recorded_at"]) == ["2025-11-20"] * 3
    (note,) = manifest.notes
    assert "day, month, year" in note


def test_the_short_export_of_such_labels(footage):
    short = {"id": 5, "video_url": "/data/upload/1/0a1b2c3d-door.mp4", "annotator": 1, "annotation_id": 2,
             "tricks": [{"start": 0.5, "end": 1, "channel": 0, "labels": ["Walking"]}]}  # fmt: skip
    assert spans(read(footage, short)) == [("cam/door.mp4", 0.5, 1, "Walking")]


def test_a_choice_is_a_label_of_the_whole_video(footage):
    assert spans(read(footage, task(choice("Walking")))) == [("cam/door.mp4", 0, 4, "Walking")]
    both = read(footage, task(choice("Walking", "Reading")))
    assert [row[1:] for row in spans(both)] == [(0, 4, "Walking"), (0, 4, "Reading")]
    short = {
        "id": 5,
        "video": "/data/upload/1/0a1b2c3d-door.mp4",
        "annotation_id": 2,
        "action": {"choices": ["Walking"]},
    }
    assert spans(read(footage, short)) == [("cam/door.mp4", 0, 4, "Walking")]


def test_a_choice_of_a_video_that_cannot_be_read_costs_that_video(footage):
    (footage / "bad.mp4").write_bytes(b"no video")
    manifest = read(footage, task(choice("Walking")), task(choice("Walking"), video="bad.mp4"))
    assert spans(manifest) == [("cam/door.mp4", 0, 4, "Walking")]
    assert "bad.mp4" in manifest.quarantine["reason"][0]


def test_choices_beside_spans_are_no_actions(footage):
    manifest = read(footage, task(choice("good light"), audio_region(0, 1, "Walking")))
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]
    assert "choices are passed over" in " ".join(manifest.notes)


def test_choices_of_several_questions_are_refused(footage):
    with refused("label-studio.several-choices") as caught:
        read(footage, task(choice("Walking")), task(choice("dark", name="light")))
    assert "action, light" in str(caught.value)


def test_choices_of_several_questions_in_a_short_export(footage):
    short = {"id": 5, "video": "/data/upload/1/0a1b2c3d-door.mp4", "annotation_id": 2}
    light = {"light": {"choices": ["day", "dusk"]}}
    with refused("label-studio.several-choices") as caught:
        read(footage, short | {"action": {"choices": ["Walking", "Sitting"]}} | light)
    assert "action, light" in str(caught.value)
    manifest = read(footage, short | {"action": "Walking"} | light)
    assert "a single choice in a short export" in " ".join(manifest.notes)


@pytest.mark.parametrize(
    ("export", "named"),
    [
        (task(BOX), "VideoRectangle"),
        (task({"type": "rating", "value": {"rating": 4}}), "the type rating"),
        (task({"type": "textarea", "value": {"text": ["Walking"]}}), "the type textarea"),
        (
            task({"type": "labels", "value": {"start": 0, "end": 5, "text": "Peter", "labels": ["PER"]}}),
            "labels in a text",
        ),
        (task(choice("Walking", start=0, end=2)), "the type choices"),
        (
            task({"type": "timeserieslabels", "value": {"start": 1.5, "end": 2, "timeserieslabels": ["Run"]}}),
            "TimeSeriesLabels",
        ),
        ({"id": 5, "video": "a.mp4", "annotation_id": 2, "action": "Walking"}, "single choice"),
        ({"id": 5, "video": "a.mp4", "annotation_id": 2, "box": [BOX["value"]]}, "VideoRectangle"),
    ],
)
def test_other_kinds_are_named_with_what_to_do(footage, export, named):
    for given in ("auto", "export.json"):
        with refused("label-studio.no-labels") as caught:
            read(footage, export) if given == "auto" else read_any(footage, manifest=given)
        assert named in str(caught.value) and "export as JSON" in str(caught.value)
    (footage / "good.json").write_text(json.dumps([task(audio_region(0, 1, "Walking"), BOX)]))
    manifest = read_any(footage)
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]
    assert any(note.startswith("passed over: export.json: ") and named in note for note in manifest.notes)
    assert any(note.startswith("good.json: passed over: VideoRectangle") for note in manifest.notes)


@pytest.mark.parametrize(("name", "separator"), [("export.csv", ","), ("export.tsv", "\t"), ("manifest.csv", ",")])
def test_a_csv_export_is_named(footage, name, separator):
    columns = ["video", "id", "action", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"]
    row = ["/data/upload/1/0a1b2c3d-door.mp4", "7", "Walking", "1", "3", "2026-01-01", "2026-01-01", "3.2"]
    (footage / name).write_text("\n".join(separator.join(line) for line in (columns, row)))
    with refused("label-studio.csv" if name == "manifest.csv" else "label-studio.no-labels") as caught:
        read_any(footage)
    assert "export the project as JSON" in str(caught.value)


@pytest.mark.parametrize("bad", [(-1, 2), (2, 1), ("1", 2), (None, 2), (True, 2), (float("nan"), 2), (0, float("inf"))])
def test_a_span_in_seconds_that_is_none(footage, bad):
    manifest = read(footage, task(audio_region(*bad, "Sitting"), audio_region(0, 1, "Walking")))
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]


@pytest.mark.parametrize("bad", [(0, 5), (9, 5), (None, 5), ("1", 5), (True, 5)])
def test_a_range_that_is_none(footage, bad):
    manifest = read(footage, task(region(*bad, "Sitting"), region(1, 10, "Walking")))
    assert spans(manifest) == [("cam/door.mp4", 0, 1, "Walking")]
    assert "'Sitting'" in manifest.quarantine["reason"][0]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (task(region(1, 10**400, "Walking")), "expected a range of frames from 1"),
        (task(region(1, 10**400, "Walking"), data={"fps": 10}), "expected a range of frames from 1"),
        (task(region(1, float("nan"), "Walking")), "expected a range of frames from 1"),
        (task(region(1, 5000, "Walking"), data={"fps": 1e-320}), "expected seconds as a number"),
        (task(region(1, 10, "Wal\ud800king")), "label: has control characters or halves of characters"),
        (task(region(1, 10, "Wal\0king")), "label: has control characters"),
        (task(region(1, 10, "Walking"), data={"camera": "\ud800"}), "camera: has control characters or halves"),
    ],
)
def test_an_odd_task_goes_to_quarantine_and_the_rest_goes_on(footage, odd, reason):
    manifest = read(footage, task(region(1, 20, "Sitting")), odd | {"id": "odd \ud800"})
    assert spans(manifest) == [("cam/door.mp4", 0, 2, "Sitting")]
    (row,) = manifest.quarantine.itertuples()
    assert row.clip_id.startswith("export.json:task ") and row.clip_id.endswith("\\ud800")
    assert reason in row.reason


def test_a_number_of_thousands_of_digits_costs_its_range_only(footage):
    text = json.dumps([task(region(1, 20, "Sitting"), region(1, 12345, "Walking"), data={"fps": 10})])
    (footage / "export.json").write_text(text.replace("12345", "9" * 5000))
    manifest = read_any(footage)
    assert spans(manifest) == [("cam/door.mp4", 0, 2, "Sitting")]
    assert len(manifest.quarantine) == 1


def test_a_rate_too_great_for_a_float_is_none(footage):
    (span,) = spans(read(footage, task(region(1, 20, "Sitting"), data={"fps": 10**400})))
    assert span == ("cam/door.mp4", 0, 2, "Sitting")


def test_a_region_without_label_and_a_video_that_is_absent(footage):
    manifest = read(footage, task(region(1, 10)), task(region(1, 10, "Up"), video="/data/upload/1/0a1b2c3d-hall.mp4"),
                    task(region(1, 5, "Walking")))  # fmt: skip
    assert manifest.quarantine["reason"][0].startswith("label: ")
    assert manifest.missing == ("hall.mp4",)


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/3/0a1b2c3d-door.mp4",
        "/data/local-files/?d=footage%2Fcam%2Fdoor.mp4",
        r"/data/local-files/?d=C:\footage\cam\door.mp4",
        "s3://bucket/footage/cam/door.mp4",
        "https://host:8080/cam/door.mp4?X-Amz-Signature=a%2Fb.mp4",
        "gs://bucket/door.mp4",
        "cam/door.mp4",
    ],
)
def test_addresses_of_the_same_video(footage, address):
    assert spans(read(footage, task(region(1, 10, "Walking"), video=address)))[0][0] == "cam/door.mp4"


def test_two_videos_of_one_name_are_told_apart_by_their_folder_or_refused(footage):
    index = VideoIndex({name: footage / name for name in ("cam1/door.mp4", "cam2/door.mp4", "my video (1).mp4")})
    assert index.find("s3://bucket/cam2/door.mp4") == "cam2/door.mp4"
    assert index.find("/data/upload/1/0a1b2c3d-my_video_1.mp4") == "my video (1).mp4"
    assert index.find("/data/upload/1/hall.mp4") is None
    with pytest.raises(AmbiguousReference) as caught:
        index.find("/data/upload/1/0a1b2c3d-door.mp4")
    assert "cam1/door.mp4" in str(caught.value) and "cam2/door.mp4" in str(caught.value)


def test_a_path_without_name_is_no_video():
    assert address_path("https://host/").name == "unknown"


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("label-studio.not-json", "{"),
        ("label-studio.no-labels", "[]"),
        ("label-studio.no-labels", "[1, 2]"),
        ("label-studio.no-labels", '{"data": {"video": "a.mp4"}, "annotations": [{"result": []}]}'),
    ],
)
def test_a_file_that_is_no_export(footage, code, content):
    (footage / "export.json").write_text(content)
    with refused(code):
        read_any(footage, manifest="export.json")
