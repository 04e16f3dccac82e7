"""GMDCSA24's lists: cells by hand, and the real lists with numbers that were counted in a shell.

The counts of the real lists: 160 lines (81 in the ADL.csv, 79 in the Fall.csv); `grep -oE '[0-9.]+ *to *[0-9.]+'` on
their last cells gives 356 spans, two more lack their "to", and one of all (Sitting[9.7 to 3]) is reversed: 357. Two
labels have no span at all. Of the 160 videos 15 are at hand; their cells have 31 spans.
"""

import shutil

import pytest
from refusals import refused

from pan_core.datasets.base import Context
from pan_core.datasets.manifests import read_any
from pan_core.datasets.manifests.gmdcsa24_lists import CLASSES, parse_cell
from pan_core.datasets.registry import dataset_by_name

HEADER = "File Name,Length (seconds),Time of Recording,Attire,Description, Classes"


def read(cell):
    """Spans of a cell as (label, start, end), and its faults."""
    spans = list(parse_cell(cell))
    return [(s.label, s.start_s, s.end_s) for s in spans if not s.fault], [s.fault for s in spans if s.fault]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (" Sitting[0 to 1]; Sleeping[2 to 8]", [("Sitting", "0", "1"), ("Sleeping", "2", "8")]),
        ("Drinking[10.5 to 11]; Sitting [0 to 11];", [("Drinking", "10.5", "11"), ("Sitting", "0", "11")]),
        ("Standing[0 to 0.5; 4.2 to 6.5];Walking[ 5 to 7]; ",
         [("Standing", "0", "0.5"), ("Standing", "4.2", "6.5"), ("Walking", "5", "7")]),
        ("Falling (SW) [ 2.8 to 6] ; Sitting [0 to 2.9]", [("Falling (SW)", "2.8", "6"), ("Sitting", "0", "2.9")]),
        ("Falling (SW)[1.8 to 5]:; Walking[0 to 1.8]", [("Falling (SW)", "1.8", "5"), ("Walking", "0", "1.8")]),
        ("Falling (BW[5.9 to 10]; Walking[0 to 1.3]", [("Falling (BW", "5.9", "10"), ("Walking", "0", "1.3")]),
        ("Eating[0.9 4.6]; Standing[0 to 8.1]", [("Eating", "0.9", "4.6"), ("Standing", "0", "8.1")]),
        ("Standing[2.4 to 3.6; 6.6 to 7.9; Walking[3.6 to 5.2; 7.9 to 9.2] ",
         [("Standing", "2.4", "3.6"), ("Standing", "6.6", "7.9"), ("Walking", "3.6", "5.2"), ("Walking", "7.9", "9.2")]),
    ],
)  # fmt: skip
def test_cells_whose_meaning_is_certain(cell, expected):
    assert read(cell) == (expected, [])


@pytest.mark.parametrize(
    ("cell", "kept", "fault"),
    [
        ("Reading; Sitting[0.8 to 8.1]", [("Sitting", "0.8", "8.1")], "'Reading' has no span"),
        ("Sitting[0 to 1; Reading", [], "'Reading' has no span"),
        ("Walking[0 to 2]; Sitting[3 to 1", [("Walking", "0", "2")], "the bracket of 'Sitting' is not closed"),
        ("Walking[0 to 2]; [3 to 5]", [("Walking", "0", "2")], "belongs to no label"),
        ("Walking[0-2]; Sitting[3 to 5]", [("Sitting", "3", "5")], "Walking"),
        ("Walking[0 to]", [], "expected 'start to end'"),
        ("Walking[]", [], "expected 'start to end'"),
        ("Walking[1 to 2 to 3]", [], "expected 'start to end'"),
        ("Walking[0 to 2;]", [("Walking", "0", "2")], "expected 'start to end'"),
    ],
)
def test_pieces_whose_meaning_is_not_certain(cell, kept, fault):
    spans, faults = read(cell)
    assert [span for span in spans if span in kept] == kept
    assert any(fault in text for text in faults)


@pytest.fixture
def folder(tmp_path):
    """Two subjects: a fall in two spellings, an unknown label, a reversed span; one of the four videos is there."""
    for subject in ("Subject 1", "Subject 2"):
        (tmp_path / subject).mkdir()
    lines = [
        HEADER,
        "01.mp4,06,Day,T-shirt,Falls, Falling (SW)[3.4 to 6]; Sitting[0 to 3.4]",
        "02.mp4,5,Day,T,F,Fall (FW)[0 to 3]",
    ]
    (tmp_path / "Subject 1" / "Fall.csv").write_text("\n".join(lines))
    lines = [
        HEADER,
        "01.mp4,06,Day,T-shirt,Sits; falls,Siting[0 to 1]; Walking[2 to 1]; Eating[1 to 2]",
        "02.mp4,1,2",
        "03.mp4,1,Day,T,,",
    ]
    (tmp_path / "Subject 2" / "ADL.csv").write_text("\n".join(lines))
    (tmp_path / "Subject 2" / "ADL").mkdir()
    (tmp_path / "Subject 2" / "ADL" / "01.mp4").write_bytes(b"video")
    return tmp_path


def test_lists_become_rows(folder):
    manifest = read_any(folder)
    rows = list(manifest.rows[["video", "label", "variant", "subject"]].itertuples(index=False, name=None))
    assert rows == [
        ("Subject 1/Fall/01.mp4", "Falling", "SW", "Subject 1"),
        ("Subject 1/Fall/01.mp4", "Sitting", "", "Subject 1"),
        ("Subject 1/Fall/02.mp4", "Falling", "FW", "Subject 1"),
        ("Subject 2/ADL/01.mp4", "Eating", "", "Subject 2"),
    ]
    assert manifest.missing == ("Subject 1/Fall/01.mp4", "Subject 1/Fall/02.mp4")
    reasons = dict.fromkeys(manifest.quarantine["clip_id"])
    assert list(reasons) == ["Subject 2/ADL.csv:2", "Subject 2/ADL.csv:3", "Subject 2/ADL.csv:4"]
    text = " ".join(manifest.quarantine["reason"])
    for part in (
        "unknown label 'Siting'",
        "expected more than start_s=2, but got 1",
        "expected 6 cells, but got 3",
        "empty",
    ):
        assert part in text


@pytest.mark.parametrize("text", ["video,start\n", ""])
def test_one_list_with_another_header_or_none_goes_to_quarantine(folder, text):
    before = read_any(folder).rows
    (folder / "Subject 1" / "Fall.csv").write_text(text)
    manifest = read_any(folder)
    assert manifest.rows["video"].tolist() == [name for name in before["video"] if not name.startswith("Subject 1")]
    reasons = dict(zip(manifest.quarantine["clip_id"], manifest.quarantine["reason"], strict=True))
    assert "'Classes'" in reasons["Subject 1/Fall.csv"]


def test_lists_all_with_another_header_are_refused(folder):
    for path in folder.glob("Subject */*.csv"):
        path.write_text("video,start\n")
    with refused("gmdcsa24.header"):
        read_any(folder)


def test_without_the_dataset_the_error_says_how_to_get_it(tmp_path):
    with refused("file.not-at-hand") as caught:
        dataset_by_name("gmdcsa24").fetch(tmp_path / "raw", Context(tmp_path / "cache", tmp_path / "mirror"))
    assert "10.5281/zenodo.12921216" in str(caught.value)


def test_the_folder_of_an_unpacked_archive_is_found(folder, tmp_path_factory):
    mirror = tmp_path_factory.mktemp("mirror")
    shutil.copytree(folder, mirror / "gmdcsa24" / "GMDCSA24-2.0")
    context = Context(mirror / "cache", mirror)
    assert dataset_by_name("gmdcsa24").source(context) == mirror / "gmdcsa24" / "GMDCSA24-2.0"


def test_the_real_lists(real_data):
    manifest = read_any(real_data / "gmdcsa24")
    assert len(manifest.rows) == 357
    assert manifest.rows["video"].nunique() == 160
    assert manifest.rows["label"].value_counts().to_dict() == {
        "Falling": 79, "Sitting": 77, "Standing": 66, "Walking": 61, "Reading": 20, "Sleeping": 15, "Drinking": 12,
        "Exercising": 11, "Writing": 8, "Eating": 8,
    }  # fmt: skip
    assert set(manifest.rows["label"]) == set(CLASSES)
    assert list(manifest.quarantine["clip_id"]) == [
        "Subject 2/ADL.csv:7",
        "Subject 3/ADL.csv:13",
        "Subject 4/Fall.csv:16",
    ]
    assert len(manifest.missing) == 145
    assert manifest.unlisted == ()
    assert [note.split(": ")[0] for note in manifest.notes] == [
        "Subject 1/Fall.csv:6", "Subject 2/Fall.csv:12", "Subject 2/Fall.csv:20", "Subject 3/ADL.csv:5",
        "Subject 4/Fall.csv:10",
    ]  # fmt: skip


def test_the_real_videos(real_data, tmp_path):
    dataset, context = dataset_by_name("gmdcsa24"), Context(tmp_path / "cache", mirror=real_data)
    dataset.fetch(tmp_path / "raw", context)
    catalogue = dataset.catalogue(tmp_path / "raw", context)
    clips = catalogue.clips.set_index("clip_id")
    assert len(clips) == 31
    assert clips["path"].nunique() == 15
    assert clips["group"].value_counts().to_dict() == {"Subject 1": 6, "Subject 2": 6, "Subject 3": 11, "Subject 4": 8}
    assert len(catalogue.quarantine) == 3
    assert len(catalogue.missing) == 145
    # Sitting [6.9 to 9] in 296 frames at 29.88 a second: 206.2 and 268.9; Eating [7.7 to 9] begins at 230.1.
    sitting = clips.loc["Subject_4-ADL-19_6900-9000-Sitting"]
    assert (sitting["start_frame"], sitting["n_frames"], sitting["label"]) == (206, 269 - 206, "Sitting")
    segments = dataset.segments(tmp_path / "raw", catalogue.clips)
    inside = segments[segments["clip_id"] == sitting.name].sort_values("label")
    assert list(inside[["label", "start_frame", "end_frame", "parent_label"]].itertuples(index=False, name=None)) == [
        ("Eating", 230 - 206, 269 - 206, "Sitting"),
        ("Sitting", 0, 269 - 206, "Sitting"),
    ]
