"""Splits whose parts show one class only."""

import pandas as pd
import pytest
from refusals import refused

from pan_core.datasets.splits import with_validation
from pan_core.errors import DataError
from pan_core.evaluation.class_parts import draw_validation, require_classes

PARTS = ("train", "val", "test")


def table(**labels):
    """Clips by part, a letter a class."""
    rows = [(part, label) for part, own in labels.items() for label in own]
    clips = pd.DataFrame(rows, columns=["split1", "label"])
    return clips.assign(clip_id=[f"c{number}" for number in range(len(rows))], group="")


def test_two_classes_in_every_part_will_do():
    require_classes(table(train="ab", val="ab", test="ab", unused="c"), "split1")


@pytest.mark.parametrize(
    "clips",
    [
        table(train="aa", val="a", test="a"),
        table(train="aa", val="a", test="a", unused="b"),
        table(train="aA", val="a", test="A"),
        table(train=["a ", "a"], val=["a"], test=["a"]),
    ],
)
def test_one_class_in_all_is_refused(clips):
    with refused("classes.one", DataError):
        require_classes(clips, "split1")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("shown", ["aa", ""])
def test_one_class_or_none_in_a_part_is_refused(part, shown):
    with refused("classes.one-in-part", DataError) as caught:
        require_classes(table(**(dict.fromkeys(PARTS, "abc") | {part: shown})), "split1")
    assert f"the part {part} " in str(caught.value)
    assert "b, c" in str(caught.value)


def test_validation_of_one_class_is_drawn_again(caplog):
    """Group a shows one class, the other three both: which validates is a matter of the seed. Class c is of one group."""
    clips = table(train="abcababaa", test="ab")
    clips["group"] = ["m1", "m1", "m1", "m2", "m2", "m3", "m3", "a", "a", "x", "y"]
    seeds = [seed for seed in range(40) if with_validation(clips, "split1", share=0.25, seed=seed).eq("val").pipe(
        lambda chosen: clips.loc[chosen, "label"].nunique()) == 1]  # fmt: skip
    assert seeds, "no seed draws one class, so that nothing is tested"
    for seed in seeds:
        parts = draw_validation(clips, "split1", share=0.25, seed=seed)
        require_classes(clips.assign(split1=parts), "split1")
    assert not caplog.messages, "a warning about groups of the training part would be taken for one of all clips"


def test_a_validation_that_shows_two_classes_is_the_first_draw():
    clips = table(train="abababababab", test="ab")
    clips["group"] = [f"g{number // 2}" for number in range(14)]
    for seed in range(5):
        drawn = draw_validation(clips, "split1", share=0.3, seed=seed)
        assert drawn.equals(with_validation(clips, "split1", share=0.3, seed=seed))
