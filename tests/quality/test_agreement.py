import numpy as np
import pandas as pd
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.quality import check_agreement


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Three clips of 60 frames at 30 a second, 2 seconds, with 30 poses at 15 a second and one segment each."""
    return make(["a", "b", "c"])


def make(names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    clips = pd.DataFrame({"clip_id": names, "label": "run", "fps": 30.0, "n_frames": 60, "width": 320, "height": 240})
    segments = pd.DataFrame(
        {"clip_id": names, "start_frame": 0, "end_frame": 60, "label": "run", "parent_label": "run"}
    )
    index = pd.DataFrame({"clip_id": names, "fps": 15.0, "frames": 30, "width": 320, "height": 240})
    return clips, segments, index


def reasons(tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]) -> dict[str, str]:
    return dict(check_agreement(*tables).itertuples(index=False))


def test_tables_that_agree(tables):
    assert reasons(tables) == {}


@pytest.mark.parametrize(("frames", "agrees"), [(30, True), (28, True), (32, True), (20, False), (60, False)])
def test_length_of_the_poses(tables, frames, agrees):
    # At 15 a second, 60 poses are 4 seconds; two steps either way are within the slack.
    tables[2].loc[1, "frames"] = frames
    assert reasons(tables) == ({} if agrees else {"b": f"poses last {frames / 15:.2f} s, expected 2.00 s"})


def test_picture_of_the_poses(tables):
    tables[2].loc[2, ["width", "height"]] = 240, 320
    assert reasons(tables) == {"c": "poses in a picture of 240 x 320, expected 320 x 240"}


def test_segments_beyond_the_end_and_of_another_class(tables):
    tables[1].loc[0, "end_frame"] = 61
    tables[1].loc[1, "parent_label"] = "walk"
    assert reasons(tables) == {
        "a": "segment run ends at frame 61, expected at most 60",
        "b": "segments of class walk, expected run",
    }


def test_several_faults_of_a_clip_are_one_row(tables):
    tables[1].loc[0, "end_frame"] = 61
    tables[2].loc[0, "frames"] = 60
    assert reasons(tables) == {
        "a": "poses last 4.00 s, expected 2.00 s; segment run ends at frame 61, expected at most 60"
    }


def test_a_clip_without_segments(tables):
    clips, segments, index = tables
    assert reasons((clips, segments.drop(index=1), index)) == {"b": "no segment, expected at least one"}
    # Nobody was found in c, so no segment is expected.
    assert reasons((clips, segments.drop(index=2), index.drop(index=2))) == {}


@pytest.mark.parametrize(("which", "stage"), [(1, "relabel"), (2, "pose")])
def test_rows_of_clips_that_do_not_exist_stop_the_run(tables, which, stage):
    tables[which].loc[0, "clip_id"] = "x"
    with refused("tables.foreign-clips", DataError) as caught:
        check_agreement(*tables)
    assert "x;" in str(caught.value).split()
    assert f"--force {stage}" in str(caught.value)


def test_every_fault_is_found_among_as_many_clips_as_ucf101_has():
    tables = make([f"clip{number}" for number in range(13_320)])
    tables[2].loc[np.arange(0, 13_320, 2), "frames"] = 60
    assert len(check_agreement(*tables)) == 6660
