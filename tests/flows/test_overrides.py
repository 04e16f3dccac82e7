import pytest
from refusals import refused

from flows.overrides import read_overrides
from pan_core.errors import PanError


def test_names_nest_and_values_are_yaml():
    given = ["train.epochs=30", "train.augmentation.flip=0.1", "split.splits=[1, 2]", "seed=7", "pyskl.path=a=b"]
    assert read_overrides(given) == {
        "train": {"epochs": 30, "augmentation": {"flip": 0.1}},
        "split": {"splits": [1, 2]},
        "seed": 7,
        "pyskl": {"path": "a=b"},
    }


def test_the_last_value_of_a_name_counts():
    assert read_overrides(["seed=1", "seed=2"]) == {"seed": 2}


@pytest.mark.parametrize("setting", ["train.epochs", "=3", "train.=3", ".epochs=3", "seed=[1", "seed={a"])
def test_what_cannot_be_read_is_named(setting):
    with pytest.raises(PanError) as error:
        read_overrides([setting])
    assert f"--set {setting}" in str(error.value)


def test_a_value_cannot_become_a_section():
    with refused("override.section"):
        read_overrides(["train=3", "train.epochs=3"])
