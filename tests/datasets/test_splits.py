"""Validation groups, splits by group, counts and leakage: on tables whose answer follows by thought, and real lists."""

from pathlib import Path

import pandas as pd
import pytest
from refusals import refused

from pan_core.datasets import hmdb51, ucf101, ucf_layout
from pan_core.datasets.base import Facts
from pan_core.datasets.splits import check_counts, group_splits, leakage, with_validation


def table(groups=12, classes=("a", "b", "c"), test_groups=4):
    rows = [
        {"clip_id": f"{label}{group}", "label": label, "group": f"g{group}",
         "split1": "test" if group < test_groups else "train"}
        for group in range(groups)
        for label in classes
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_whole_groups_move_and_test_stays():
    clips = table()
    parts = with_validation(clips, "split1", share=0.25, seed=0)
    assert (parts[clips["split1"] == "test"] == "test").all()
    assert set(parts) == {"train", "val", "test"}
    assert clips.assign(part=parts).groupby("group")["part"].nunique().eq(1).all()
    assert (parts == "val").sum() == 2 * 3  # a quarter of eight groups of three clips


def test_every_class_is_in_both_parts():
    clips = table()
    clips["part"] = with_validation(clips, "split1", share=0.25, seed=3)
    for part in ("train", "val"):
        assert set(clips.loc[clips["part"] == part, "label"]) == {"a", "b", "c"}


def test_the_draw_depends_on_the_seed_alone():
    clips = table(groups=30)
    first, again, other = (with_validation(clips, "split1", share=0.2, seed=seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_of_few_groups_one_moves():
    clips = table(groups=3, test_groups=1)
    parts = with_validation(clips, "split1", share=0.15, seed=0)
    assert clips.loc[parts == "val", "group"].nunique() == 1
    assert clips.loc[parts == "train", "group"].nunique() == 1


def test_a_single_training_group_is_said():
    with refused("splits.one-group"):
        with_validation(table(groups=2, test_groups=1), "split1", share=0.15, seed=0)


def test_clips_without_a_group_move_one_by_one():
    clips = table(groups=20, classes=("a",), test_groups=0).assign(group="")
    parts = with_validation(clips, "split1", share=0.25, seed=0)
    assert (parts == "val").sum() == 5


def test_leakage_counts_test_clips_whose_group_was_learned():
    clips = table(groups=4, test_groups=2)
    assert leakage(clips, "split1") == {"group": 0, "group_values": 0, "group_same_class": 0}
    clips.loc[clips["clip_id"] == "a0", "split1"] = "train"
    # b0 and c0 are left in test; training knows their group from class a only.
    assert leakage(clips, "split1") == {"group": 2, "group_values": 1, "group_same_class": 0}
    extra = clips[clips["clip_id"] == "b0"].assign(clip_id="b0 again", split1="val")
    assert leakage(pd.concat([clips, extra]), "split1")["group_same_class"] == 1


def test_leakage_of_subjects_and_cameras_where_they_are_known():
    clips = pd.DataFrame(
        {
            "clip_id": list("pqrst"),
            "label": ["walk", "fall", "walk", "fall", "walk"],
            "group": list("pqrst"),
            "subject": ["", "", "ann", "ben", "ann"],
            "camera": ["hall", "hall", "hall", "door", ""],
            "split1": ["train", "val", "test", "test", "unused"],
        }
    )
    assert leakage(clips, "split1") == {
        "group": 0, "group_values": 0, "group_same_class": 0,
        "subject": 0, "subject_values": 0, "subject_same_class": 0,
        "camera": 1, "camera_values": 1, "camera_same_class": 1,
    }  # fmt: skip


def test_every_group_is_in_test_once():
    clips = table(groups=12).drop(columns="split1")
    split = group_splits(clips, folds=3, seed=0)
    columns = ["split1", "split2", "split3"]
    assert (split[columns] == "test").sum(axis=1).eq(1).all()
    assert split[columns].isin(["train", "test"]).all(axis=None)
    for column in columns:
        assert split.groupby("group")[column].nunique().eq(1).all()
        assert (split[column] == "test").sum() == 4 * 3
        assert leakage(split, column)["group"] == 0
    assert "split1" not in clips


def test_group_splits_depend_on_the_seed_alone():
    clips = table(groups=30)
    first, again, other = (group_splits(clips, folds=3, seed=seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_too_few_groups_for_the_folds_are_named():
    with refused("splits.few-groups") as caught:
        group_splits(table(groups=3), folds=5, seed=0)
    assert all(group in str(caught.value) for group in ("g0", "g1", "g2"))
    with refused("splits.few-folds"):
        group_splits(table(), folds=1, seed=0)


def test_a_class_of_one_group_is_said(caplog):
    clips = table(groups=6)
    clips = clips[(clips["label"] != "c") | (clips["group"] == "g2")]
    split = group_splits(clips, folds=2, seed=0)
    assert len(split) == len(clips)
    (record,) = caplog.records
    assert record.args == (1, 3, "c")


FACTS = Facts("made up", classes=3, clips=12, splits={1: {"train": 6, "test": 6}})


def test_counts_as_published_need_no_words():
    clips = table(groups=4, test_groups=2)
    assert check_counts(clips, FACTS) == []
    clips.loc[clips["clip_id"] == "a3", "split1"] = "val"
    assert check_counts(clips, FACTS) == []
    assert check_counts(clips, Facts("nothing published")) == []


def test_counts_that_differ_are_sentences():
    clips = table(groups=4, test_groups=2)[1:]
    assert check_counts(clips, FACTS) == [
        "clips: expected 12 as published, but got 11",
        "split1 test: expected 6 as published, but got 5",
    ]
    many = Facts("many", splits={1: {"train": 9537}, 2: {"train": 1}})
    assert check_counts(clips, many) == [
        "split1 train: expected 9,537 as published, but got 6",
        "split2: expected as published, but the clip table has no such column",
    ]


def listed_clips(splits, name_of):
    """The clip table that the lists alone give: every listed clip, as if its video were there."""
    names = [name_of(Path(f"{clip_id}.avi")) for clip_id in splits["split1"]]
    table = pd.DataFrame({"clip_id": [n.clip_id for n in names], "label": [n.label for n in names],
                          "group": [n.group for n in names], "subject": "", "camera": ""})  # fmt: skip
    for column, parts in splits.items():
        table[column] = table["clip_id"].map(parts)
    return table


@pytest.fixture(scope="module")
def ucf101_clips(real_data):
    folder = real_data / "ucf101" / "ucfTrainTestlist"
    classes = ucf_layout.read_classes(folder / "classInd.txt")
    splits = ucf_layout.read_splits(folder, classes)
    return listed_clips(splits, ucf_layout.name_reader(classes, splits))


@pytest.fixture(scope="module")
def hmdb51_clips(real_data):
    return listed_clips(hmdb51.read_splits(real_data / "hmdb51" / "testTrainMulti_7030_splits"), hmdb51.read_name)


def test_the_official_lists_of_ucf101_have_the_published_counts(ucf101_clips):
    assert check_counts(ucf101_clips, ucf101.FACTS) == []
    assert ucf101_clips["group"].nunique() == 101 * 25


def test_the_official_lists_of_hmdb51_have_the_published_counts(hmdb51_clips):
    assert check_counts(hmdb51_clips, hmdb51.FACTS) == []


@pytest.mark.parametrize("column", ["split1", "split2", "split3"])
def test_no_group_of_ucf101_is_on_both_sides(ucf101_clips, column):
    assert leakage(ucf101_clips, column) == {"group": 0, "group_values": 0, "group_same_class": 0}


# Counted from the lists with an awk script of its own.
@pytest.mark.parametrize(
    ("column", "clips", "films", "same"),
    [("split1", 495, 118, 106), ("split2", 565, 133, 116), ("split3", 575, 129, 123)],
)
def test_films_of_hmdb51_are_on_both_sides_of_its_official_splits(hmdb51_clips, column, clips, films, same):
    assert leakage(hmdb51_clips, column) == {"group": clips, "group_values": films, "group_same_class": same}


@pytest.mark.parametrize(
    ("name", "column"),
    [("ucf101_clips", "split1"), ("hmdb51_clips", "split1"), ("hmdb51_clips", "split2"), ("hmdb51_clips", "split3")],
)
def test_validation_groups_of_the_official_splits(name, column, request):
    clips = request.getfixturevalue(name)
    parts = with_validation(clips, column, share=0.15, seed=0)
    train, val = clips[parts == "train"], clips[parts == "val"]
    assert not set(train["group"]) & set(val["group"])
    assert set(train["label"]) == set(val["label"]) == set(clips["label"])
    assert 0.12 < len(val) / (len(train) + len(val)) < 0.18
    assert (parts == "test").equals(clips[column] == "test")
