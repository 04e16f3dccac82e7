"""Parameters that a retraining sets itself, and those that it refuses."""

import pytest
from refusals import refused

from pan_core.datasets.holdout import Holdout
from pan_core.errors import ConfigError, DataError
from pan_core.params.load import Params
from pan_core.retraining.decision import RetrainingPlan
from pan_core.retraining.run_parameters import choose_parameters, merged, require_kept_videos, training_parameters

HOLDOUT = Holdout("camera", ("a",), ("b",))


def test_overrides_keep_what_they_have_and_get_the_footage():
    chosen = choose_parameters({"train": {"epochs": 3}, "surveillance": {"group": "auto"}})
    assert chosen["train"] == {"epochs": 3}
    assert chosen["dataset"] == "surveillance"
    assert chosen["surveillance"] == {"group": "auto", "folder": "data/footage", "manifest": "auto"}


def test_all_parameters_that_it_sets_itself_are_refused_at_once():
    given = {"dataset": "actors", "retrain": {"champion": 1, "begin": None}, "train": 5}
    with pytest.raises(ConfigError) as caught:
        choose_parameters(given)
    assert caught.value.names == ("dataset", "retrain.champion")


def test_a_training_knows_group_champion_and_version():
    found = training_parameters({"retrain": {"classes": ["a"]}}, HOLDOUT, RetrainingPlan(start=3, begin=False), "ab12")
    assert found["surveillance"] == {"group": "camera"}
    assert found["retrain"] == {"classes": ["a"], "champion": 3, "data_version": "ab12", "begin": False}
    with refused("holdout.gone", DataError):
        training_parameters({}, None, RetrainingPlan(), "")


def test_videos_that_decide_are_not_removed():
    params = Params.model_validate({"dataset": "surveillance", "pose": {"keep_video": False}})
    with pytest.raises(ConfigError) as caught:
        require_kept_videos(params)
    assert caught.value.names == ("pose.keep_video",)
    require_kept_videos(Params(dataset="surveillance"))


def test_of_a_value_that_both_have_the_seconds_counts():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {"e": 5}}) == {
        "a": {"b": 1, "c": 4},
        "d": {"e": 5},
    }
