"""Errors as programs see them: a code, the names of what is wrong, and both after a worker process handed them on."""

import pickle

import pytest

from pan_core.errors import ConfigError, DataError, GateError, PanError, VideoError


@pytest.mark.parametrize("kind", [PanError, DataError, VideoError, GateError])
def test_an_error_has_its_code_and_its_message(kind):
    error = kind("a.mp4: ends early", code="video.truncated")
    assert (error.code, str(error)) == ("video.truncated", "a.mp4: ends early")
    assert kind("a").code == ""


def test_a_code_reaches_the_process_that_started_the_worker():
    error = pickle.loads(pickle.dumps(VideoError("a.mp4: ends early", code="video.truncated")))
    assert (type(error), error.code, str(error)) == (VideoError, "video.truncated", "a.mp4: ends early")


def test_parameters_that_are_wrong_are_named():
    error = ConfigError("params.yaml", ["train.epochs: expected 1 or more", "seed: not a number"], code="params.range")
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert each.names == ("train.epochs", "seed")
        assert (each.code, each.source) == ("params.range", "params.yaml")
    assert ConfigError("params.yaml", ["seed: no"]).code == "config"


def test_no_message_shows_a_password():
    assert "secret" not in str(DataError("rtsp://me:secret@camera/live: does not answer"))
