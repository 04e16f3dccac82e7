"""Words of the command line, and what it prints."""

import pytest
from typer.testing import CliRunner

from pan_core.benchmark.request import parse_request, project_recipe
from pan_core.cli import app
from pan_core.errors import ConfigError

PLAIN = {
    "seeds": 5, "modes": "clip,online", "splits": "all", "comparators": False, "without": [], "control": [],
    "other_seeds": None, "other_modes": "", "workers": 1,
}  # fmt: skip


def test_plain_request():
    request = parse_request(**PLAIN)
    assert (request.seeds, request.modes, request.splits, request.others) == (5, ("clip", "online"), (), ())


def test_everything_beside_the_recogniser():
    request = parse_request(
        **PLAIN
        | {"without": ["all"], "comparators": True, "control": ["leakage"], "splits": "1,3"}
        | {"other_seeds": 2, "other_modes": "clip"}
    )
    assert [(other.kind, other.name) for other in request.others] == [
        ("ablation", "pooling"), ("ablation", "joints_attention"), ("ablation", "pose_attention"),
        ("ablation", "joints_loss"), ("ablation", "recurrence"), ("comparator", "gru"), ("comparator", "stgcn"),
        ("control", "leakage"),
    ]  # fmt: skip
    assert request.splits == (1, 3)
    assert (request.other_seeds, request.other_modes) == (2, ("clip",))


def test_every_unknown_word_is_named():
    with pytest.raises(ConfigError) as caught:
        parse_request(
            **PLAIN | {"modes": "film", "splits": "one", "without": ["gru"], "control": ["luck"], "other_modes": "b"}
        )
    assert len(caught.value.faults) == 5


def test_recipe_is_the_projects():
    assert project_recipe(3).training.epochs == 3
    assert project_recipe().training.augmentation == project_recipe(3).training.augmentation


def test_names_need_no_subcommand():
    shown = CliRunner().invoke(app, ["benchmark", "no_such_dataset"])
    assert "no_such_dataset" in str(shown.exception) + shown.output
    assert "compare" in CliRunner().invoke(app, ["benchmark", "--help"]).output
