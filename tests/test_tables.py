"""Tables are checked on both sides of a stage's border."""

import pandas as pd
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.tables import check_table, empty_table, read_table, splits_of, write_table


def clips(**changes):
    row = {
        "clip_id": "a", "path": "", "source": "s", "label": "Walking", "group": "g1", "subject": "", "camera": "",
        "fps": 15.0, "start_frame": 0, "n_frames": 30, "width": 320, "height": 240, "split1": "train", "split2": "test",
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def test_a_table_survives_its_file(tmp_path):
    write_table(clips(), "clips", tmp_path / "clips.parquet")
    pd.testing.assert_frame_equal(read_table("clips", tmp_path / "clips.parquet"), clips())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fps": 0.0}, "column fps"),
        ({"start_frame": 0, "n_frames": 0}, "column n_frames"),
        ({"label": ""}, "column label"),
        ({"split1": "learn"}, "learn"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_broken_row_is_refused_by_column(changes, said):
    with refused("table.invalid", DataError) as caught:
        check_table(clips(**changes), "clips", "here")
    assert said in str(caught.value)


def test_two_clips_of_one_name_are_refused():
    with refused("table.invalid", DataError) as caught:
        check_table(pd.concat([clips(), clips()]), "clips", "here")
    assert "clip_id" in str(caught.value)


def test_a_segment_must_end_after_it_starts():
    rows = {"clip_id": ["a"], "start_frame": [5], "end_frame": [5], "label": ["Walking"], "parent_label": ["Walking"]}
    with refused("table.invalid", DataError) as caught:
        check_table(pd.DataFrame(rows), "segments", "here")
    assert "start_frame < end_frame" in str(caught.value)


def test_every_fault_is_in_one_message():
    with refused("table.invalid", DataError) as caught:
        check_table(clips(fps=-1.0, width=0), "clips", "here")
    assert "column fps" in str(caught.value)
    assert "column width" in str(caught.value)


def test_missing_and_damaged_files_are_told_apart(tmp_path):
    with refused("table.missing", DataError):
        read_table("clips", tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with refused("table.unreadable", DataError):
        read_table("clips", tmp_path / "text.parquet")


def test_split_numbers_are_read_from_the_columns():
    assert splits_of(clips()) == [1, 2]


def test_an_empty_table_is_valid():
    assert len(check_table(empty_table("quarantine"), "quarantine", "here")) == 0
