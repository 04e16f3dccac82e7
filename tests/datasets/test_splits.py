"""Validation groups and leakage, on tables whose answer follows by thought."""

import pandas as pd
import pytest

from pan_core.datasets.splits import leakage, with_validation
from pan_core.errors import DataError


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


def test_too_few_groups_are_said():
    with pytest.raises(DataError, match="training has 2 groups"):
        with_validation(table(groups=3, test_groups=1), "split1", share=0.15, seed=0)


def test_leakage_counts_test_clips_whose_group_was_learned():
    clips = table(groups=4, test_groups=2)
    assert leakage(clips, "split1") == 0
    clips.loc[clips["clip_id"] == "a0", "split1"] = "train"
    assert leakage(clips, "split1") == 2
