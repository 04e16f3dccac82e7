"""params.yaml: every fault at once, with the nearest valid name."""

import hashlib
import json
from dataclasses import fields

import pytest
from refusals import refused
from ruamel.yaml import YAML

from pan_core.datasets.actors import ActorsSettings
from pan_core.errors import ConfigError
from pan_core.model.pan import PanSettings
from pan_core.params.load import load_params, parse_params, set_dataset, set_options
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.quality import DriftSettings
from pan_core.training.augmentation import AugmentationSettings
from pan_core.training.settings import TrainSettings


def write(folder, text):
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_three_mistakes_are_reported_in_one_message(tmp_path):
    path = write(tmp_path, "dataset: actors\ntrain: {epoch: 3, batch: 0}\npoze: {stages: 2}\n")
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    faults = dict(zip(caught.value.names, caught.value.faults, strict=True))
    assert set(faults) == {"train.epoch", "train.batch", "poze"}
    assert "did you mean 'epochs'?" in faults["train.epoch"]
    assert "greater than or equal to 2, but got 0" in faults["train.batch"]
    assert "'pose'" in faults["poze"]
    assert all(fault in str(caught.value) for fault in caught.value.faults)


def test_section_validate_is_found_under_its_own_name(tmp_path):
    path = write(tmp_path, "dataset: actors\nvalidate: {max_quarantind: 0.5}\n")
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    assert caught.value.names == ("validate.max_quarantind",)
    assert "'max_quarantined'" in caught.value.faults[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: [unclosed", "not YAML"),
        ("- a\n- b\n", "expected sections"),
        ("seed: 1\n", "dataset: missing"),
        ("dataset: actors\nsplit: {splits: []}\n", "split.splits"),
        ("dataset: actors\nsplit: {splits: [1, 2, 1]}\n", "a split is named twice"),
        ("dataset: actors\npyskl: {fps: .inf}\n", "pyskl.fps"),
        ("dataset: actors\npyskl: {fps: 1.0e-300}\n", "pyskl.fps"),
        ("dataset: actors\npyskl: {fps: 1001}\n", "pyskl.fps"),
        ("dataset: actors\npose: {max_fps: .inf}\n", "pose.max_fps"),
        ("dataset: actors\ntrain: {learning_rate: .nan}\n", "train.learning_rate"),
        ("dataset: actors\ntrain: {weight_decay: .inf}\n", "train.weight_decay"),
        ("dataset: actor\n", "did you mean 'actors'?"),
        ("dataset: actors\nmodel: {hidden: 190}\n", "hidden must be a multiple of pose_heads=8"),
        ("dataset: actors\ntrain: {modes: [offline]}\n", "train.modes.0"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load_params(write(tmp_path, text))
    assert said in str(caught.value)


def test_missing_file_says_where_to_run(tmp_path):
    with refused("params.missing", ConfigError):
        load_params(tmp_path / "params.yaml")


def test_an_empty_section_means_its_defaults():
    assert parse_params({"dataset": "actors", "train": None}, "here") == parse_params({"dataset": "actors"}, "here")


def test_fingerprint_depends_on_meaning_not_on_form(tmp_path):
    first = load_params(write(tmp_path, "dataset: actors\nseed: 0\n"))
    same = load_params(write(tmp_path, "# a comment\nseed: 0\ndataset: 'actors'\n"))
    other = load_params(write(tmp_path, "dataset: actors\nseed: 1\n"))
    assert first.fingerprint() == same.fingerprint() != other.fingerprint()


def test_choosing_a_dataset_keeps_comments_and_everything_else(tmp_path):
    path = write(tmp_path, "# top\ndataset: actors  # which\nseed: 3\n")
    assert set_dataset("penn_action", path)
    assert path.read_text() == "# top\ndataset: penn_action  # which\nseed: 3\n"
    assert not set_dataset("penn_action", path)


def test_an_option_is_set_and_everything_else_stays(tmp_path, request):
    text = (request.config.rootpath / "params.yaml").read_text()
    path = write(tmp_path, text)
    folder = "/srv/my videos: #1 Übung's"
    assert set_options("folders", {"folder": folder}, path)
    assert load_params(path).folders.folder == folder
    changed = [
        pair for pair in zip(text.splitlines(), path.read_text().splitlines(), strict=True) if pair[0] != pair[1]
    ]
    assert [before for before, _ in changed] == ["  folder: data/videos"]
    assert not set_options("folders", {"folder": folder}, path)


def test_an_option_is_set_in_a_file_without_its_section(tmp_path):
    path = write(tmp_path, "# top\ndataset: folders  # which\n")
    assert set_options("folders", {"folder": "a", "group_pattern": "(x)"}, path)
    assert (load_params(path).folders.folder, load_params(path).folders.group_pattern) == ("a", "(x)")
    assert path.read_text().startswith("# top\ndataset: folders  # which\n")


@pytest.mark.parametrize("pattern", ["(", "person", "(a)(b)"])
def test_a_pattern_that_is_none_is_refused_and_not_written(tmp_path, pattern):
    text = "dataset: folders\n"
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        set_options("folders", {"group_pattern": pattern}, path)
    assert caught.value.names == ("folders.group_pattern",)
    assert path.read_text() == text


def test_the_section_of_folders_changes_no_hash_of_parameters_as_long_as_it_says_nothing():
    """Rows of MLflow are found by these hashes, and a retraining begins if the recipe changed."""
    plain, named = ({"dataset": "actors"}, {"dataset": "actors", "folders": {"folder": "elsewhere"}})
    plain, same, named = (parse_params(data, "here") for data in (plain, {**plain, "folders": {}}, named))
    values = plain.model_dump(mode="json", by_alias=True)
    del values["folders"]
    before = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    assert plain.fingerprint() == same.fingerprint() == before
    assert named.fingerprint() != before
    assert named.recipe() == plain.recipe()


def test_the_projects_own_params_file_is_valid_and_names_every_section(request):
    path = request.config.rootpath / "params.yaml"
    params = load_params(path)
    sections = {key for key, value in params.model_dump(by_alias=True).items() if isinstance(value, dict)}
    assert sections <= set(YAML(typ="safe").load(path.read_text()))


def test_defaults_are_those_of_the_library():
    """A value left out of params.yaml must mean the same as an argument left out of a call."""
    params = parse_params({"dataset": "actors"}, "here")
    sections = [
        (params.pose, ExtractionSettings()),
        (params.model, PanSettings()),
        (params.train, TrainSettings()),
        (params.train.augmentation, AugmentationSettings()),
        (params.actors, ActorsSettings()),
        (params.drift, DriftSettings()),
    ]
    for section, settings in sections:
        shared = set(type(section).model_fields) & {field.name for field in fields(settings)} - {"augmentation"}
        assert shared
        assert {name: getattr(section, name) for name in shared} == {name: getattr(settings, name) for name in shared}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (4, 2)), ({"quality": "fast"}, (4, 4)), ({"quality": "best"}, (4, 1)), ({"network": "paper"}, (4, 2)),
        ({"network": "paper", "quality": "best", "look_every": 2}, (6, 2)),
        ({"network": "models/pose/pose.onnx", "quality": "best"}, (6, 1)),
        ({"network": "networks/own.onnx", "quality": "best"}, (6, 1)),
    ],
)  # fmt: skip
def test_a_network_and_a_quality_give_what_is_left_out(given, expected):
    pose = parse_params({"dataset": "actors", "pose": given}, "here").pose
    assert (pose.stages, pose.look_every) == expected
    assert ExtractionSettings(**pose.extraction()).stages == expected[0]


def test_the_network_has_a_name_or_lies_in_the_folder_of_ones_own():
    for value in ("models/pose/pose.onnx", "paper"):  # the first is how it was written before
        assert parse_params({"dataset": "actors", "pose": {"network": value}}, "here").pose.network == "paper"
    for value in ("moovenet", "networks", "networks/../pose.onnx", "/networks/own.onnx", "models/pose/other.onnx", ""):
        with pytest.raises(ConfigError) as caught:
            parse_params({"dataset": "actors", "pose": {"network": value}}, "here")
        assert caught.value.names == ("pose.network",)
        assert "movenet" in str(caught.value)


def test_a_seed_that_no_library_takes_and_a_folder_for_a_file_are_said(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("dataset: actors\nseed: 5000000000\n")
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    assert caught.value.names == ("seed",)
    with refused("params.unreadable", ConfigError):
        load_params(tmp_path)


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({"space": {"model": {"hiden": [1, 2]}}}, "tune.space.model: unknown name 'hiden'; did you mean 'hidden'?"),
        ({"space": {"train": {"epochs": [1, 2]}}}, "unknown name 'epochs'"),
        ({"space": {"train": {"learning_rate": {"low": 2, "high": 1}}}}, "expected low below high"),
        ({"space": {"model": {"dropout": {"low": 0.5, "high": 1.5}}}}, "tune.space.model.dropout: 1.5 cannot be used"),
        ({"space": {"model": {"hidden": [96, 100]}}}, "hidden 100 is no multiple of pose_heads 8"),
        ({"space": {"model": {"pose_heads": {"low": 5, "high": 6}}}}, "hidden 192 is no multiple of pose_heads 5"),
        ({"space": {"model": {"hidden": ["a", "b"]}}}, "tune.space.model.hidden: expected whole numbers, but got 'a'"),
        ({"space": {"model": {"hidden": [16.0, 100.0]}}}, "hidden: expected whole numbers, but got 16.0"),
        ({"space": {"model": {"dropout": ["0.1", "0.2"]}}}, "dropout: expected numbers, but got '0.1'"),
        ({"space": {"model": {"pooling": {"low": 0, "high": 1}}}}, "expected a list of true and false"),
        ({"space": {"modle": {}}}, "input should be 'model', 'train' or 'augmentation'"),
        ({"space": {}, "trials": 3}, "tune.space: empty, nothing to search"),
        (
            {"space": {"train": {"learning_rat": {"low": 1, "high": 2}, "weight_decay": {"low": 0, "high": 1}}}},
            "'learning_rat'",
        ),
        ({"space": {"model": {"joint_units": {"low": 24.2, "high": 24.8}}}}, "holds less than two whole numbers"),
        ({"objectives": ["step_ms"]}, "expected [accuracy] or [accuracy, step_ms]"),
        ({"study": "a/b"}, "tune.study"),
        ({"sampler": "tpee"}, "tune.sampler"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(tune, said):
    with pytest.raises(ConfigError) as told:
        parse_params({"dataset": "actors", "tune": tune}, "params.yaml")
    assert said in str(told.value)


def test_a_space_has_full_names_and_knows_whole_numbers():
    params = parse_params(
        {
            "dataset": "actors",
            "model": {"pose_heads": 1},
            "tune": {
                "space": {"model": {"hidden": {"low": 96, "high": 192}}, "augmentation": {"cut": {"low": 0, "high": 1}}}
            },
        },
        "params.yaml",
    )
    found = params.search_space().entries
    assert (found["model.hidden"].whole, found["train.augmentation.cut"].whole) == (True, False)
    model, train = params.varied({"model.hidden": 100, "train.augmentation.cut": 0.7, "train.batch": 8})
    assert (model.hidden, train.augmentation.cut, train.batch) == (100, 0.7, 8)
    assert (params.model.hidden, params.train.augmentation.cut) == (192, 0.3)


def test_tuning_does_not_see_what_another_split_tests():
    with pytest.raises(ConfigError) as caught:
        parse_params({"dataset": "actors", "tune": {"trials": 2}, "split": {"splits": [1, 2]}}, "params.yaml")
    assert caught.value.names == ("tune.trials",)
    with pytest.raises(ConfigError) as caught:
        parse_params(
            {"dataset": "actors", "tune": {"trials": 2, "mode": "clip"}, "train": {"modes": ["online"]}}, "params.yaml"
        )
    assert caught.value.names == ("tune.mode",)


def test_a_file_that_was_saved_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("dataset: actors\nseed: 3\n".encode("utf-8-sig"))
    assert load_params(path).seed == 3
    assert set_dataset("ucf101", path)
    assert (load_params(path).dataset, load_params(path).seed) == ("ucf101", 3)
