import optuna
import pytest

from pan_core.params.space import Choice, Range, Space, read_entry


@pytest.mark.parametrize(
    ("written", "entry"),
    [
        ([1, 2], Choice((1, 2))),
        ([True, False], Choice((True, False))),
        ({"low": 0.1, "high": 1}, Range(0.1, 1)),
        ({"low": 0.1, "high": 1, "log": True}, Range(0.1, 1, log=True)),
    ],
)
def test_an_entry_is_read_and_written_alike(written, entry):
    assert read_entry(written) == entry
    assert read_entry(entry.written()) == entry


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([], "two different values"),
        ([3], "two different values"),
        ([3, 3], "two different values"),
        ({"low": 2, "high": 1}, "low below high"),
        ({"low": 1, "high": 1}, "low below high"),
        ({"low": 0, "high": 1, "log": True}, "low above 0"),
        ({"low": "a", "high": 1}, "numbers"),
        ({"low": float("nan"), "high": 1}, "numbers"),
        ({"low": 1, "high": float("inf")}, "numbers"),
        ({"low": 1, "high": 2, "log": "yes"}, "true or false"),
        ({"low": 1}, "a list of values, or"),
        ({"low": 1, "high": 2, "step": 1}, "a list of values, or"),
        (3, "a list of values, or"),
        (None, "a list of values, or"),
    ],
)
def test_an_entry_that_cannot_be_searched_is_refused(written, said):
    with pytest.raises(ValueError, match=said):
        read_entry(written)


def test_suggestions_lie_in_the_space():
    space = Space({"a": Choice((1, 3)), "b": Range(1, 4, whole=True), "c": Range(0.01, 1, log=True)})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [space.suggest(study.ask()) for _ in range(60)]
    assert {values["a"] for values in found} == {1, 3}
    assert {values["b"] for values in found} == {1, 2, 3, 4}
    assert sum(values["c"] < 0.1 for values in found) > 15  # half of them, where a doubling counts the same everywhere
    assert all(space.inside(values) == values for values in found)


def test_values_outside_are_left_out():
    space = Space({"a": Choice((1, 3)), "b": Range(1, 4)})
    assert space.inside({"a": 2, "b": 4}) == {"b": 4}
