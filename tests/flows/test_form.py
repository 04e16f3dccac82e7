"""What the UI and the API know of the deployment's parameters."""

import pytest
from prefect.utilities.schema_tools import ValidationError, validate

from pan_core.datasets.registry import REGISTRY
from pan_core.params.load import Params
from pan_core.stages import STAGES


@pytest.fixture(scope="module")
def schema() -> dict:
    from flows.pan import pan

    return pan.parameters.model_dump_for_openapi()


def choice(schema: dict, name: str) -> dict:
    """What a parameter may be beside None."""
    shown = schema["properties"][name]
    assert shown["default"] is None
    given, nothing = shown["anyOf"]
    assert nothing == {"type": "null"}
    return given


def section(schema: dict, name: str) -> dict:
    """Values of a section of the overrides."""
    given, nothing = choice(schema, "overrides")["properties"][name]["anyOf"]
    assert nothing == {"type": "null"}
    return schema["definitions"][given["$ref"].rpartition("/")[2]]["properties"]


def check(schema: dict, **parameters: object) -> None:
    """As the server does before it takes a run."""
    validate(parameters, schema, raise_on_error=True, ignore_required=True)


def test_every_parameter_is_optional(schema):
    assert list(schema["properties"]) == ["dataset", "targets", "overrides"]
    assert "required" not in schema
    assert all("required" not in definition for definition in schema["definitions"].values())
    check(schema)
    check(schema, dataset=None, targets=None, overrides={"train": None, "model": {"hidden": None}})


def test_datasets_and_stages_are_enumerations(schema):
    assert choice(schema, "dataset")["enum"] == list(REGISTRY)
    assert choice(schema, "targets")["items"]["enum"] == list(STAGES)
    check(schema, dataset="ucf101", targets=["train", "evaluate"])


def test_every_section_is_there_under_its_name(schema):
    names = {field.alias or name for name, field in Params.model_fields.items()} - {"dataset"}
    assert choice(schema, "overrides")["properties"].keys() == names


def test_values_have_their_types_and_bounds_and_no_default_that_would_be_sent(schema):
    train = section(schema, "train")
    assert train["epochs"] == {"type": "integer", "minimum": 1, "title": "epochs"}
    assert train["learning_rate"] == {"type": "number", "exclusiveMinimum": 0, "title": "learning_rate"}
    assert train["device"]["enum"] == ["auto", "cpu", "cuda"]
    assert section(schema, "validate")["max_quarantined"] == {
        "type": "number", "minimum": 0, "maximum": 1, "title": "max_quarantined",
    }  # fmt: skip


def test_a_switch_can_be_left_alone(schema):
    # The form sends false for a plain one that nobody has touched.
    switch = section(schema, "relabel")["enabled"]
    assert [kind["type"] for kind in switch["anyOf"]] == ["boolean", "null"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"dataset": "ucf102"},
        {"targets": ["trian"]},
        {"overrides": {"train": {"epochs": 0}}},
        {"overrides": {"train": {"epochs": "many"}}},
        {"overrides": {"train": {"epochz": 3}}},
        {"overrides": {"trian": {"epochs": 3}}},
        {"overrides": {"train": {"augmentation": {"flip": 1.5}}}},
    ],
)
def test_nonsense_is_refused(schema, parameters):
    with pytest.raises(ValidationError):
        check(schema, **parameters)
