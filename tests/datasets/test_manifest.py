"""Manifest CSVs as people and spreadsheets write them; expected rows are written out by hand."""

import json
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from refusals import refused

from pan_core.datasets.manifests import read_any, read_manifest, write_manifest
from pan_core.datasets.manifests.manifest import RowFault, video_path

HEADER = "video,start_s,end_s,label,camera,recorded_at"
GOOD = "a.mp4,0,2.5,Walking,door,2026-05-31T14:30:00"
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


def write(folder, *lines, name="manifest.csv", encoding="utf-8", end="\n"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(end.join(lines).encode(encoding))
    return path


def spans(manifest):
    columns = ["video", "start_s", "end_s", "label"]
    return [tuple(row) for row in manifest.rows[columns].itertuples(index=False)]


def test_rows_and_their_facts(tmp_path):
    path = write(
        tmp_path, HEADER + ",subject", GOOD + ",ann", "b/c.avi,1,3,Sitting,,,", "a.mp4,1,2,Reading,door,,ann", ""
    )
    manifest = read_manifest(path, now=NOW)
    assert spans(manifest) == [
        ("a.mp4", 0, 2.5, "Walking"),
        ("b/c.avi", 1, 3, "Sitting"),
        ("a.mp4", 1, 2, "Reading"),
    ]
    assert list(manifest.rows["camera"]) == ["door", "", "door"]
    assert list(manifest.rows["recorded_at"]) == ["2026-05-31T14:30:00", "", ""]
    assert list(manifest.rows["subject"]) == ["ann", "", "ann"]
    assert manifest.quarantine.empty
    assert manifest.notes == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.mp4,one,2,Walking,,", "start_s: expected seconds as a number"),
        ("a.mp4,0,,Walking,,", "end_s: expected seconds as a number"),
        ("a.mp4,0,nan,Walking,,", "end_s: expected seconds as a number"),
        ("a.mp4,0,1e999,Walking,,", "end_s: expected seconds as a number"),
        ("a.mp4,0,1e308,Walking,,", "end_s: expected at most 1e+07 seconds, but got 1e+308"),
        ("a.mp4,1e300,1.1e300,Walking,,", "start_s: expected at most 1e+07 seconds"),
        ("a.mp4,0," + "9" * 5000 + ",Walking,,", "end_s: expected seconds as a number"),
        ("a.mp4,0,1,Walk\0ing,,", "label: has control characters"),
        ("a.mp4,0,1,Walking,do\x1bor,", "camera: has control characters"),
        pytest.param("a.mp4,0,1," + "A" * 200_000 + ",,", "a cell is over 131072 long", id="long"),
        ("a.mp4,0,1_0,Walking,,", "end_s: expected seconds as a number"),
        ("a.mp4,00:00:05,00:00:09:12,Walking,,", "end_s: '00:00:09:12' is a time code"),
        ("a.mp4,0,1:75,Walking,,", "end_s: '1:75': expected minutes and seconds below 60"),
        ("a.mp4,0,1:60:00,Walking,,", "end_s: '1:60:00': expected minutes and seconds below 60"),
        ("a.mp4,0,-0:05,Walking,,", "end_s: expected seconds as a number"),
        ('a.mp4,0,"1,234",Walking,,', "end_s: '1,234' may be 1.234 or 1234 seconds"),
        ('a.mp4,0,"1,234,5",Walking,,', "end_s: expected seconds as a number"),
        ("a.mp4,0,1 min,Walking,,", "end_s: expected seconds as a number"),
        ("a.mp4,0,1,Walking,,02/03/2026", "recorded_at: '02/03/2026' may be 2026-02-03 or 2026-03-02"),
        ("a.mp4,0,1,Walking,,20.11.25", "recorded_at: expected a date"),
        ("a.mp4,0,1,Walking,,31.13.2025", "recorded_at: expected a date"),
        ("a.mp4,0,1,Walking,,20.11.2025 25:00", "recorded_at: expected a date"),
        ("a.mp4,-1,2,Walking,,", "start_s: expected 0 or more seconds"),
        ("a.mp4,9.7,3,Walking,,", "end_s: expected more than start_s=9.7, but got 3"),
        ("a.mp4,3,3,Walking,,", "end_s: expected more than start_s=3"),
        ("a.mp4,3,3.0001,Walking,,", "end_s: expected more than start_s=3"),
        ("a.mp4,0,1,  ,,", "label: empty"),
        (",0,1,Walking,,", "video: expected a path"),
        ("../a.mp4,0,1,Walking,,", "leads out of the folder"),
        ("b/../../a.mp4,0,1,Walking,,", "leads out of the folder"),
        ("/etc/a.mp4,0,1,Walking,,", "leads out of the folder"),
        (r"C:\a.mp4,0,1,Walking,,", "leads out of the folder"),
        (r"..\a.mp4,0,1,Walking,,", "leads out of the folder"),
        ("a.mp4,0,1,Walking,,1026-05-31", "recorded_at: expected a date from 1970 to now"),
        ("a.mp4,0,1,Walking,,2062-05-31", "recorded_at: expected a date from 1970 to now"),
        ("a.mp4,0,1,Walking,", "expected 6 cells, but got 5"),
        ("a.mp4,0,1,Walking,,,x", "expected 6 cells, but got 7"),
        ('"a.mp4,0,1,Walking,,', "a quotation mark is out of place"),
        (GOOD, "the same span with the same label as manifest.csv:2"),
    ],
)
def test_a_malformed_row_is_named_with_its_line_and_the_rest_goes_on(tmp_path, row, reason):
    manifest = read_manifest(write(tmp_path, HEADER, GOOD, "", row, "b.mp4,0,1,Sitting,,"), now=NOW)
    assert spans(manifest) == [("a.mp4", 0, 2.5, "Walking"), ("b.mp4", 0, 1, "Sitting")]
    (failed,) = manifest.quarantine.itertuples(index=False)
    assert (failed.clip_id, failed.stage) == ("manifest.csv:4", "fetch")
    assert reason in failed.reason


@pytest.mark.parametrize(
    "stamp",
    ["2026-05-31", "2026-05-31T14:30", "2026-05-31 14:30:00", "2026-05-31T14:30:00Z", "2026-05-31T14:30:00+02:00"],
)
def test_dates_with_and_without_time_and_zone(tmp_path, stamp):
    manifest = read_manifest(write(tmp_path, HEADER, f"a.mp4,0,1,Walking,,{stamp}"), now=NOW)
    assert list(manifest.rows["recorded_at"]) == [stamp]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_separators_and_line_ends(tmp_path, encoding, separator, end):
    lines = [line.replace(",", separator) for line in (HEADER, "Küche.mp4,0,1.5,Café trinken,,")]
    manifest = read_manifest(write(tmp_path, *lines, "", encoding=encoding, end=end))
    assert spans(manifest) == [("Küche.mp4", 0, 1.5, "Café trinken")]
    assert bool(manifest.notes) == (encoding == "latin-1")


def test_spaces_case_order_and_further_columns(tmp_path):
    path = write(
        tmp_path, ' Label , "VIDEO" ,Start S, end-s ,comment', ' Walking  slowly , "a.mp4" , 0 , 2 ,"see, ""b"""'
    )
    manifest = read_manifest(path)
    assert spans(manifest) == [("a.mp4", 0, 2, "Walking slowly")]
    assert manifest.notes == ("manifest.csv: columns ignored: comment",)


def test_decimal_commas_of_a_spreadsheet_set_to_semicolons(tmp_path):
    manifest = read_manifest(
        write(tmp_path, "video;start_s;end_s;label;;", "a.mp4;0,5;2,25;Walking;;", "a.mp4;1;3;Sitting;;")
    )
    assert spans(manifest) == [("a.mp4", 0.5, 2.25, "Walking"), ("a.mp4", 1, 3, "Sitting")]


def test_a_remark_may_run_over_lines_and_an_open_quote_costs_one_line(tmp_path):
    lines = [
        "video,start_s,end_s,label,remark",
        'a.mp4,0,1,Walking,"two',
        'lines"',
        "b.mp4,0,1,Sitting,",
        'c.mp4,0,1,"Up,',
        "d.mp4,0,1,Up,",
    ]
    manifest = read_manifest(write(tmp_path, *lines))
    assert list(manifest.rows["video"]) == ["a.mp4", "b.mp4", "d.mp4"]
    assert list(manifest.quarantine["clip_id"]) == ["manifest.csv:5"]


def test_labels_that_differ_in_case_only_are_said(tmp_path):
    manifest = read_manifest(write(tmp_path, HEADER, GOOD, "b.mp4,0,1,walking,,"))
    assert manifest.notes == ("labels 'Walking' and 'walking' differ in case only and are taken as 2 classes",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:01:02.5", 62.5), ("00:01:02", 62), ("1:02:03.5", 3723.5), ("01:02", 62), ("1:2.25", None), ("00:00:62", None),
        ("62,5", 62.5), ("0,125", 0.125), ("00:01:02,500", 62.5), ("62.5 s", 62.5), ("62,5sec", 62.5), ("100:00:00", 360000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_times_as_people_write_them(tmp_path, text, seconds, separator):
    row = separator.join(["a.mp4", "0", f'"{text}"', "Walking"])
    path = write(tmp_path, HEADER.replace(",", separator), GOOD.replace(",", separator), row + 2 * separator)
    manifest = read_manifest(path, now=NOW)
    assert spans(manifest)[1:] == ([("a.mp4", 0, seconds, "Walking")] if seconds else [])
    if seconds:
        assert f"cells such as {text!r} are read as " in manifest.notes[0]


def test_one_decimal_comma_makes_the_others_clear(tmp_path):
    manifest = read_manifest(write(tmp_path, HEADER, 'a.mp4,"0,5","1,234",Up,,', 'a.mp4,1,"2,25",Up,,'))
    assert spans(manifest) == [("a.mp4", 0.5, 1.234, "Up"), ("a.mp4", 1, 2.25, "Up")]
    assert manifest.notes == ("manifest.csv: 3 cells such as '0,5' are read as numbers with a decimal comma",)


def test_semicolons_beside_points_say_nothing_of_a_comma(tmp_path):
    lines = [line.replace(",", ";") for line in (HEADER, "a.mp4,0.5,2,Up,,")]
    manifest = read_manifest(write(tmp_path, *lines, "a.mp4;0;1,234;Up;;"))
    assert spans(manifest) == [("a.mp4", 0.5, 2, "Up")]
    assert "may be 1.234 or 1234 seconds" in manifest.quarantine["reason"][0]


@pytest.mark.parametrize(
    ("text", "stamp", "order"),
    [
        ("31.05.2026", "2026-05-31", "day, month, year"),
        ("2.3.2026 08:05", "2026-03-02T08:05:00", "day, month, year"),
        ("2. 3. 2026", "2026-03-02", "day, month, year"),
        ("2026/03/02", "2026-03-02", "year, month, day"),
        ("31/05/2026 8:00:30", "2026-05-31T08:00:30", "day, month, year"),
        ("5/31/2026 2:30 PM", "2026-05-31T14:30:00", "month, day, year"),
        ("05/05/2026", "2026-05-05", "day, month, year"),
        ("31-05-2026", "2026-05-31", "day, month, year"),
        ("2026-05-31 8:00", "2026-05-31T08:00:00", "year, month, day"),
    ],
)
def test_dates_with_one_meaning_are_read_and_noted(tmp_path, text, stamp, order):
    manifest = read_manifest(write(tmp_path, HEADER, f"a.mp4,0,1,Walking,,{text}"), now=NOW)
    assert list(manifest.rows["recorded_at"]) == [stamp]
    assert manifest.notes == (f"manifest.csv: 1 cells such as {text!r} are read as dates written {order}",)


@pytest.mark.parametrize("said", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_the_first_line_of_excel_is_no_header(tmp_path, said, encoding):
    lines = [said, HEADER.replace(",", ";"), "a.mp4;0;1,5;Walking;;", ";;;;;", ""]
    assert spans(read_manifest(write(tmp_path, *lines, encoding=encoding, end="\r\n"))) == [
        ("a.mp4", 0, 1.5, "Walking")
    ]


def test_a_separator_that_only_the_first_line_tells(tmp_path):
    lines = ["sep=|", HEADER.replace(",", "|"), "a.mp4|0|1|Up, down||"]
    assert spans(read_manifest(write(tmp_path, *lines))) == [("a.mp4", 0, 1, "Up, down")]


def test_comments_are_passed_over_and_said(tmp_path):
    (tmp_path / "#7.mp4").write_bytes(b"video")
    lines = [
        '# labels of Ann, "draft',
        '"# by hand, twice",,,,,',
        "",
        HEADER,
        GOOD,
        '# "open, quote',
        "#b.mp4,0,1,Walking,,",
        "#7.mp4,0,1,Walking,,",
    ]
    manifest = read_manifest(write(tmp_path, *lines), now=NOW)
    assert spans(manifest) == [("a.mp4", 0, 2.5, "Walking"), ("#7.mp4", 0, 1, "Walking")]
    assert manifest.notes == ("manifest.csv: 4 lines that begin with # are taken for comments",)
    assert manifest.quarantine.empty


def test_a_header_behind_a_hash_is_the_header(tmp_path):
    assert spans(read_manifest(write(tmp_path, "# video,Start (s),end_seconds,label", "a.mp4,0,1,Up"))) == [
        ("a.mp4", 0, 1, "Up")
    ]


def test_a_remark_on_the_columns_is_no_header_before_one(tmp_path):
    lines = ["# columns were video,end_s,start_s,label", "# video,end_s,start_s,label", HEADER, "a.mp4,0,1,Up,,"]
    manifest = read_manifest(write(tmp_path, *lines), now=NOW)
    assert spans(manifest) == [("a.mp4", 0, 1, "Up")]
    assert manifest.quarantine.empty


def test_absolute_paths_inside_the_folder(tmp_path):
    day = tmp_path / "in" / "day"
    (day / "cam").mkdir(parents=True)
    (tmp_path / "other").symlink_to(tmp_path / "in")
    (day / "cam" / "a.mp4").write_bytes(b"video")
    write(day, HEADER, f"{day}/cam/a.mp4,0,1,Up,,", f"{day}/../b.mp4,0,1,Up,,", f"{tmp_path}/c.mp4,0,1,Up,,")
    for folder in (tmp_path / "in", tmp_path / "other"):
        manifest = read_any(folder)
        assert spans(manifest) == [("day/cam/a.mp4", 0, 1, "Up")]
        assert "paths below day" in manifest.notes[0]
        assert all("leads out of the folder" in reason for reason in manifest.quarantine["reason"])
        assert len(manifest.quarantine) == 2


def test_names_that_differ_in_case_only_are_the_one_file_that_fits(tmp_path):
    for name in ("Cam/A.MP4", "b.mp4", "B.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"video")
    write(tmp_path, HEADER, "cam/a.mp4,0,1,Up,,", "b.mp4,0,1,Up,,", "B.MP4,0,1,Up,,", "Cam/A.MP4,0,1,Up,,")
    manifest = read_any(tmp_path)
    assert spans(manifest) == [("Cam/A.MP4", 0, 1, "Up"), ("b.mp4", 0, 1, "Up"), ("B.MP4", 0, 1, "Up")]
    assert manifest.missing == ("B.MP4",)
    assert manifest.unlisted == ("B.mp4",)
    assert "'cam/a.mp4' is taken for Cam/A.MP4" in " ".join(manifest.notes)
    assert "'B.MP4' may be B.mp4 or b.mp4" in " ".join(manifest.notes)


def test_windows_paths_are_read(tmp_path):
    ((video, *_),) = spans(read_manifest(write(tmp_path, HEADER, r"day 1\a.mp4,0,1,Walking,,")))
    assert PurePosixPath(video).parts == ("day 1", "a.mp4")


@pytest.mark.parametrize(
    ("lines", "code", "named"),
    [
        ((), "manifest.empty", ()),
        (("", ""), "manifest.empty", ()),
        (("video,start,end_s,label", "a.mp4,0,1,Up"), "manifest.missing-column", ("start_s missing", "'start'")),
        (("a.mp4,0,1,Walking",), "manifest.missing-column", ("video, start_s, end_s, label missing",)),
        ((HEADER,), "manifest.no-row", ("0",)),
        ((HEADER, "a.mp4,2,1,Walking,,"), "manifest.no-row", ("1", "end_s")),
        ((HEADER + ",label", "a.mp4,0,1,Up,,,Down"), "manifest.column-twice", ("label",)),
    ],
)
def test_a_file_that_is_no_manifest(tmp_path, lines, code, named):
    with refused(code) as caught:
        read_manifest(write(tmp_path, *lines))
    assert all(name in str(caught.value) for name in named)


def test_written_rows_are_read_back_equal(tmp_path):
    odd = 'b/"c", d.mp4'
    (tmp_path / "#1.mp4").write_bytes(b"video")
    manifest = read_manifest(
        write(
            tmp_path,
            HEADER + ",subject,variant",
            GOOD + ",ann,FW",
            '"b/""c"", d.mp4",0.1,1e1,"a; b",,,,',
            "#1.mp4,0,1,#,,,,",
        )
    )
    assert manifest.rows["video"][2] == "#1.mp4"
    assert manifest.rows["video"][1] == odd
    write_manifest(manifest.rows, tmp_path / "out" / "manifest.csv")
    again = read_manifest(tmp_path / "out" / "manifest.csv")
    assert again.rows.equals(manifest.rows)
    assert again.quarantine.empty


def test_dated_deliveries_with_a_manifest_each(tmp_path):
    for day in ("2026-05-30", "2026-05-31"):
        write(tmp_path / day, HEADER, "cam/a.mp4,0,1,Walking,,", "b.mp4,0,oops,Up,,")
        (tmp_path / day / "cam").mkdir()
        (tmp_path / day / "cam" / "a.mp4").write_bytes(b"video")
    (tmp_path / "2026-05-31" / "extra.MP4").write_bytes(b"video")
    write(tmp_path / "2026-06-01", "not,a,manifest")
    manifest = read_any(tmp_path)
    assert list(manifest.rows["video"]) == ["2026-05-30/cam/a.mp4", "2026-05-31/cam/a.mp4"]
    names = ["2026-05-30/manifest.csv:3", "2026-05-31/manifest.csv:3", "2026-06-01/manifest.csv"]
    assert list(manifest.quarantine["clip_id"]) == names
    assert manifest.missing == ()
    assert manifest.unlisted == ("2026-05-31/extra.MP4",)


def test_a_row_of_a_delivery_cannot_reach_into_another(tmp_path):
    write(tmp_path / "one", HEADER, GOOD, "../two/a.mp4,0,1,Up,,")
    assert "'../two/a.mp4'" in read_any(tmp_path).quarantine["reason"][0]
    with pytest.raises(RowFault) as caught:
        video_path("../two/a.mp4")
    assert caught.value.code == "row.video-outside"


def test_absent_videos_and_linked_folders(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.mp4").write_bytes(b"video")
    write(tmp_path / "in", HEADER, "cam/a.mp4,0,1,Walking,,", "cam/b.mp4,0,1,Walking,,")
    (tmp_path / "in" / "cam").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "in")
    manifest = read_any(tmp_path / "in")
    assert manifest.missing == ("cam/b.mp4",)
    assert manifest.unlisted == ()


def test_decomposed_names_of_files_are_the_composed_ones_of_the_manifest(tmp_path):
    (tmp_path / "Cafe\u0301.mp4").write_bytes(b"video")
    write(tmp_path, HEADER, "Caf\u00e9.mp4,0,1,Walking,,")
    manifest = read_any(tmp_path)
    assert (manifest.missing, manifest.unlisted) == ((), ())


@pytest.mark.parametrize(
    ("files", "manifest", "code", "named"),
    [
        ({}, "auto", "footage.empty", "manifest.csv"),
        ({"a.mp4": b"v", "notes.txt": b"x"}, "auto", "footage.no-labels", ".mp4, .txt"),
        ({"a.mp4": b"v", "labels.csv": b"x"}, "manifest2.csv", "footage.no-file", "labels.csv"),
        ({"settings.json": b"{}"}, "auto", "footage.no-labels", ".json"),
    ],
)
def test_a_folder_without_labels(tmp_path, files, manifest, code, named):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with refused(code) as caught:
        read_any(tmp_path, manifest=manifest)
    assert named in str(caught.value)


def test_a_folder_that_does_not_exist(tmp_path):
    with refused("footage.no-folder") as caught:
        read_any(tmp_path / "nowhere")
    assert "manifest.csv" in str(caught.value) and "surveillance.folder" in str(caught.value)


def test_a_span_in_two_exports_of_one_project_is_taken_once(tmp_path):
    task = {"id": 1, "data": {"video": "a.mp4", "fps": 10}, "annotations": [{"result": [
        {"value": {"ranges": [{"start": 1, "end": 20}], "timelinelabels": ["Walking"]}}]}]}  # fmt: skip
    (tmp_path / "a.mp4").write_bytes(b"video")
    for name in ("old.json", "new.json"):
        (tmp_path / name).write_text(json.dumps([task]))
    manifest = read_any(tmp_path, now=NOW)
    assert spans(manifest) == [("a.mp4", 0, 2, "Walking")]
    (note,) = manifest.notes
    assert all(part in note for part in ("1 spans", "'Walking'", "a.mp4", "0 s to 2 s"))


def test_a_manifest_of_another_name(tmp_path):
    write(tmp_path, HEADER, GOOD, name="labels 2026.csv")
    assert spans(read_any(tmp_path, manifest="labels 2026.csv")) == [("a.mp4", 0, 2.5, "Walking")]
