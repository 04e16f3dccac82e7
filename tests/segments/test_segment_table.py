"""Rows and measures on clips that are small enough for the answers to follow by thought."""

import numpy as np
import pandas as pd
import pytest

from pan_core.datasets.taxonomy import Composition
from pan_core.segments.table import boundary_errors, frame_accuracy, frame_matrix, segment_rows, whole_clips
from pan_core.tables import check_table

RUN_THEN_JUMP = Composition("sequence", ("Running", "Jumping"))
OUT_AND_BACK = Composition("sequence", ("Walking", "Sitting", "Walking"))
BOTH = Composition("together", ("Walking", "Waving"))


def table(made, boundaries, clip_id="clip", frames=40):
    return pd.DataFrame(segment_rows(clip_id, "class", made, frames, boundaries))


def test_rows_of_a_sequence_cover_the_clip_in_order():
    rows = segment_rows("clip", "LongJump", RUN_THEN_JUMP, 40, [25])
    assert [(r["start_frame"], r["end_frame"], r["label"]) for r in rows] == [(0, 25, "Running"), (25, 40, "Jumping")]
    assert {r["parent_label"] for r in rows} == {"LongJump"}


def test_rows_of_actions_at_once_overlap():
    rows = segment_rows("clip", "WalkingAndWaving", BOTH, 40, [])
    assert [(r["start_frame"], r["end_frame"]) for r in rows] == [(0, 40), (0, 40)]


def test_whole_clips_are_their_classes():
    clips = pd.DataFrame({"clip_id": ["a", "b"], "label": ["LongJump", "Running"], "n_frames": [40, 30], "fps": 15.0})
    rows = check_table(whole_clips(clips), "segments", "test")
    assert rows.to_numpy().tolist() == [["a", 0, 40, "LongJump", "LongJump"], ["b", 0, 30, "Running", "Running"]]


def test_frame_matrix_by_thought():
    holds = frame_matrix(table(RUN_THEN_JUMP, [1], frames=3), ["Jumping", "Running", "Waving"], 3)
    assert holds.astype(int).tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]


def test_frame_accuracy_and_boundary_error_by_thought():
    true, found = table(RUN_THEN_JUMP, [20]), table(RUN_THEN_JUMP, [24])
    assert frame_accuracy(found, true, {"clip": 40}) == pytest.approx(36 / 40)
    assert boundary_errors(found, true).tolist() == [4]


def test_an_action_that_comes_twice_has_each_of_its_boundaries_compared():
    true, found = table(OUT_AND_BACK, [10, 30]), table(OUT_AND_BACK, [12, 27])
    assert boundary_errors(found, true).tolist() == [2, -3]


def test_boundaries_that_do_not_correspond_are_left_out():
    true = pd.concat([table(RUN_THEN_JUMP, [20]), table(OUT_AND_BACK, [10, 30], "other"), table(BOTH, [], "absent")])
    found = pd.concat([table(OUT_AND_BACK, [5, 9]), table(OUT_AND_BACK, [11, 30], "other")])
    assert boundary_errors(found, true).tolist() == [1, 0]
    assert boundary_errors(found.head(0), true).size == 0


def test_frame_accuracy_takes_the_whole_set_of_actions():
    """Waving is said throughout, but true in the first quarter only."""
    true = table(BOTH, []).assign(end_frame=np.array([40, 10]))
    assert frame_accuracy(table(BOTH, []), true, {"clip": 40}) == pytest.approx(10 / 40)
