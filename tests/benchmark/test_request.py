"""Words of the command line, and what it prints."""

import pytest
from refusals import refused
from typer.testing import CliRunner

from pan_core.benchmark.protocol import PICTURES
from pan_core.benchmark.request import choose_classes, parse_request
from pan_core.benchmark.results import stored_runs
from pan_core.cli.main import app
from pan_core.errors import ConfigError, DataError
from pan_core.model.features import MODES
from pan_core.params.schema import PoseParams
from pan_core.workspace.recipe import project_poses, project_recipe

PLAIN = {
    "seeds": 5, "modes": "clip,online", "splits": "all", "comparators": False, "without": [], "control": [],
    "other_seeds": None, "other_modes": "", "workers": 1,
}  # fmt: skip


def test_plain_request():
    request = parse_request(**PLAIN)
    assert (request.seeds, request.modes, request.splits, request.others) == (5, ("clip", "online"), (), ())


def test_everything_beside_the_recognizer():
    request = parse_request(
        **PLAIN
        | {"without": ["all"], "comparators": True, "control": ["leakage"], "splits": "1,3"}
        | {"other_seeds": 2, "other_modes": "clip"}
    )
    assert [(other.kind, other.name) for other in request.others] == [
        ("ablation", "pooling"), ("ablation", "joints_attention"), ("ablation", "pose_attention"),
        ("ablation", "joints_loss"), ("ablation", "recurrence"), ("comparator", "gru"), ("comparator", "stgcn"),
        ("comparator", "ddnet"), ("control", "leakage"),
    ]  # fmt: skip
    assert request.splits == (1, 3)
    assert (request.other_seeds, request.other_modes) == (2, ("clip",))


def test_every_unknown_word_is_named():
    with pytest.raises(ConfigError) as caught:
        parse_request(
            **PLAIN | {"modes": "film", "splits": "one", "without": ["gru"], "control": ["luck"], "other_modes": "b"}
        )
    assert len(caught.value.faults) == 5


def test_networks_that_see_pictures_and_their_weights():
    pictures = parse_request(
        **PLAIN, pictures=("transformation", "c3d"), picture_weights=("vgg16=imagenet", "c3d=a=b.pt")
    )
    assert pictures.pictures == ("c3d", "transformation")
    assert pictures.picture_weights == (("vgg16", "imagenet"), ("c3d", "a=b.pt"))
    assert parse_request(**PLAIN, pictures=("all",)).pictures == PICTURES
    with pytest.raises(ConfigError) as caught:
        parse_request(
            **PLAIN, pictures=("c3d", "slowfast"), device="tpu",
            picture_weights=("c3d", "c3d=", "resnet=a.pt", "vgg16=imagenet", "c3d=imagenet"),
        )  # fmt: skip
    # An unknown network and device; two weights without a place, of an unknown network, of one that is not asked for, and that nobody has.
    assert len(caught.value.faults) == 7
    assert "unknown ''" in said("ucf101", "--pictures", ",")
    assert "slowfast" in said("ucf101", "--pictures", "slowfast")
    assert "penn_action gives skeletons" in said("penn_action", "--pictures", "all")


def test_recipe_is_the_projects():
    assert project_recipe("penn_action", 3).training.epochs == 3
    assert project_recipe("penn_action").training.augmentation == project_recipe("penn_action", 3).training.augmentation


def test_splits_are_numbers_each_once():
    assert parse_request(**PLAIN | {"splits": "1,1,3"}).splits == (1, 3)
    with pytest.raises(ConfigError):
        parse_request(**PLAIN | {"splits": "\N{SUPERSCRIPT TWO}"})


@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({}, True),
        ({"classes": "wave,sit"}, False),
        ({"seeds": 4}, False),
        ({"modes": "online"}, False),
        ({"splits": "1"}, False),
        ({"epochs": 3}, False),
    ],
)
def test_only_the_whole_protocol_may_stand_beside_published_figures(changes, whole):
    assert parse_request(**PLAIN | changes).whole is whole


def said(*words):
    """The one line of an error."""
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_every_dataset_is_checked_before_the_first_run():
    assert "no_such_dataset" in said("no_such_dataset")
    assert "actors: has no official split" in said("jhmdb14", "actors")


def test_a_class_that_does_not_exist_is_named_before_anything_is_fetched():
    text = said("hmdb51", "--classes", "wave,wawe,Sit")
    assert "hmdb51 has no class 'wawe'; did you mean wave?" in text
    assert "'Sit'" not in text


def test_a_ladder_and_a_pose_network_that_do_not_exist_are_named():
    assert "no annotated joints are known of the videos of ucf101" in said("ucf101", "--ladder")
    assert "network" in said("jhmdb_video", "--pose-network", "telepathy")
    assert "quality" in said("jhmdb_video", "--quality", "worst")


def test_poses_are_the_projects():
    """The defaults of params.yaml, whatever a workspace says; other names give other extractors."""
    plain = project_poses()
    assert plain.describe()["network"] == PoseParams().network
    assert project_poses("movenet", "best").identity != project_poses("movenet", "fast").identity
    assert project_poses("paper").describe()["network"] == "paper"


def test_classes_are_found_whatever_their_capitals():
    known = ("Archery", "YoYo", "Swing")
    assert choose_classes("ucf101", ("yoyo", "Archery", "YOYO"), known) == ("Archery", "YoYo")
    assert choose_classes("ucf101", ("yoyo", "archery", "swing"), known) == ()
    with refused("benchmark.unknown-class", ConfigError) as caught:
        choose_classes("ucf101", ("", "Swimming", "YoYo", "Dancing"), known)
    assert len(caught.value.faults) == 3


def test_what_is_compared_must_be_results(tmp_path):
    (tmp_path / "README.md").write_text("# no result")
    (tmp_path / "other.json").write_text('{"runs": [{}]}')
    assert "a.json" in said("compare", tmp_path / "a.json", tmp_path / "b.json")
    with refused("result.missing", DataError):
        stored_runs(tmp_path / "a.json")
    for name in ("README.md", "other.json"):
        assert name in said("compare", tmp_path / name, tmp_path / name)
        with refused("result.damaged", DataError):
            stored_runs(tmp_path / name)
    assert f"known: {', '.join(MODES)}" in said("compare", tmp_path / "a", tmp_path / "b", "--mode", "film")
