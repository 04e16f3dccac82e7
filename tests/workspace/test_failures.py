"""Failure files of stages."""

import pickle

import pytest
from refusals import refused

from pan_core.errors import ConfigError, DataError, GateError, PanError, VideoError
from pan_core.stages.runner import run_stage
from pan_core.workspace import paths
from pan_core.workspace.failures import read_failure, recorded_failure


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fail(error):
    with pytest.raises(type(error)), recorded_failure("validate"):
        raise error
    return read_failure("validate")


@pytest.mark.parametrize(
    ("error", "kind", "measured"),
    [
        (GateError("many\nlines", code="quarantine.too-much"), "bound", True),
        (DataError("no labels"), "input", False),
        (VideoError("cut off"), "input", False),
        (PanError("the disk is full"), "other", None),
    ],
)
def test_a_failure_is_read_as_it_was_raised(error, kind, measured):
    failure = fail(error)
    assert (failure.stage, failure.kind, failure.exit_status) == ("validate", kind, error.exit_status)
    assert (failure.message, failure.code) == (str(error), error.code)
    refusal = failure.refusal
    assert (refusal and refusal.measured) == measured
    if refusal:
        again = pickle.loads(pickle.dumps(refusal))
        assert (again.stage, again.reason, again.code) == ("validate", str(error), error.code)


def test_a_stage_that_starts_again_has_not_failed():
    fail(DataError("no labels"))
    with recorded_failure("validate"):
        assert read_failure("validate") is None
    assert read_failure("validate") is None


def test_a_password_is_not_written():
    assert "hunter22" not in fail(DataError("rtsp://admin:hunter22@camera: is away")).message


@pytest.mark.parametrize("content", ["", "[]", '{"stage": "validate"}'])
def test_a_damaged_file_says_nothing(workspace, content):
    path = workspace / paths.failure("validate")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert read_failure("validate") is None


def test_a_file_that_cannot_be_written_does_not_hide_the_error(workspace):
    (workspace / "reports").write_text("no folder")
    with pytest.raises(DataError), recorded_failure("validate"):
        raise DataError("no labels")


def test_a_stage_writes_it():
    """Without params.yaml no stage runs."""
    with refused("params.missing", ConfigError):
        run_stage("split")
    failure = read_failure("split")
    assert (failure.kind, failure.code, failure.exit_status) == ("other", "params.missing", 1)
