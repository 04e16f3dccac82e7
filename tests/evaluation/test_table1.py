"""Table 1 shows published figures as cited, ours as measured, and "-" where there is none."""

import pytest

from pan_core.evaluation.table1 import CITED, DATASET_TITLES, MEASURED, RERUN, build_table1, published


def test_paper_row_is_always_there_and_cited():
    table = build_table1("actors", {"clip": 0.9})
    paper = table.rows[0]
    assert {name: (figure.percent, figure.kind) for name, figure in paper.figures.items()} == {
        "ucf101": (93.5, CITED),
        "hmdb51": (63.3, CITED),
    }
    assert table.columns == ("ucf101", "hmdb51", "actors")


def test_ours_comes_last_in_both_modes_and_only_in_its_column():
    ours = build_table1("actors", {"clip": 0.915, "online": 0.88}).rows[-2:]
    assert [str(row.figures["actors"]) for row in ours] == ["91.5", "88.0"]
    assert all(row.ours and set(row.figures) == {"actors"} for row in ours)
    assert all(row.figures["actors"].kind == MEASURED for row in ours)


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51"])
def test_a_dataset_of_the_paper_needs_no_third_column(dataset):
    table = build_table1(dataset, {"clip": 0.5})
    assert table.columns == ("ucf101", "hmdb51")
    assert table.as_records()[-1] == {
        "Method": "PAN, this run, clip mode",
        "UCF101": f"50.0 ({MEASURED})" if dataset == "ucf101" else "-",
        "HMDB51": f"50.0 ({MEASURED})" if dataset == "hmdb51" else "-",
    }


def test_penn_action_has_its_own_comparators_and_other_datasets_do_not():
    penn = build_table1("penn_action", {"clip": 0.97})
    assert sorted(row.figures["penn_action"].percent for row in penn.rows if "penn_action" in row.figures) == [
        95.2, 97.0, 97.2, 98.1,
    ]  # fmt: skip
    assert not [row for row in build_table1("actors", {}).rows if "penn_action" in row.figures]


def test_every_figure_has_its_kind():
    for row in build_table1("penn_action", {"clip": 0.97}).rows:
        rerun = row.method.startswith("DD-Net")
        expected = MEASURED if row.ours else RERUN if rerun else CITED
        assert {figure.kind for figure in row.figures.values()} == {expected}


def test_poses_of_a_dataset_are_compared_with_the_dataset():
    assert [row.method for row in published("ucf101_pose")] == [row.method for row in published("ucf101")]
    assert {str(row.figures["jhmdb14"]) for row in published("jhmdb14")} == {"75.0", "81.0", "84.7"}
    assert DATASET_TITLES["jhmdb14"] == "JHMDB, 14 of 21 classes"


@pytest.mark.parametrize(("poses", "column"), [("ucf101_pose", "UCF101"), ("hmdb51_pose", "HMDB51")])
def test_poses_of_a_dataset_stand_in_its_column(poses, column):
    ours = build_table1(poses, {"clip": 0.5}).as_records()[-1]
    assert ours[column] == f"50.0 ({MEASURED})"


def test_jhmdb14_is_never_called_jhmdb():
    assert DATASET_TITLES["jhmdb14"] in build_table1("jhmdb14", {"clip": 0.5}).titles()
