"""What becomes of a message that MLflow's server does not take, by what it answers."""

import json
import os
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from refusals import refused

from pan_core.errors import PanError
from pan_core.tracking.outbox import REFUSED, AwayError
from pan_core.tracking.run import Run, outboxes, single_attempt
from pan_core.tracking.tracker import Tracker, deliver_waiting, run_address

TAKEN = (200, "{}")


def says(code):
    return json.dumps({"error_code": code, "message": "no"})


class Answer(BaseHTTPRequestHandler):
    """Answers everything as the server's `answer` says."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        code, text = self.server.answer
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PUT = do_POST

    def log_message(self, *args):
        """Nothing on stderr."""


@contextmanager
def answering():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with answering() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        yield server


@pytest.fixture
def run(server):
    return Run(MlflowClient(f"http://127.0.0.1:{server.server_port}"), "1234")


class ClientOfProxy(MlflowClient):
    """Sends artifacts as MLflow's client sends them to a server's proxy: by requests, whose errors are its own."""

    def __init__(self, server):
        self._address = f"http://127.0.0.1:{server.server_port}"
        super().__init__(self._address)

    def log_artifact(self, run_id, local_path, artifact_path=None):
        HttpArtifactRepository(f"{self._address}/api/2.0/mlflow-artifacts/artifacts").log_artifact(local_path)


def waiting():
    return [path for path in outboxes().rglob("message.json") if REFUSED not in path.parts]


def moved_aside():
    return list((outboxes() / REFUSED / "1234").rglob("message.json"))


@pytest.mark.parametrize(
    "answer",
    [
        (401, "You are not authenticated"), (403, says("PERMISSION_DENIED")), (407, "a proxy wants a login"),
        (404, "<html>not here</html>"), (429, says("REQUEST_LIMIT_EXCEEDED")), (500, says("INTERNAL_ERROR")),
        (503, "later"),
    ],
    ids=lambda answer: str(answer[0]),
)  # fmt: skip
def test_what_may_be_taken_later_waits_is_told_and_is_taken_then(server, run, caplog, answer):
    server.answer = answer
    run.tag("a", 1)
    assert len(waiting()) == 1
    assert str(outboxes()) in caplog.text
    with pytest.raises(AwayError):
        run.deliver_waiting()
    with refused("store.undelivered"):
        run.require_delivered()
    assert len(waiting()) == 1
    server.answer = TAKEN
    run.require_delivered()
    assert (waiting(), moved_aside()) == ([], [])


@pytest.mark.parametrize("answer", [(400, says("INVALID_PARAMETER_VALUE")), (404, says("RESOURCE_DOES_NOT_EXIST"))])
def test_what_can_never_be_taken_is_moved_aside(server, run, caplog, answer):
    server.answer = (503, "later")
    run.tag("a", 1)
    server.answer = answer
    assert run.deliver_waiting() == 0
    assert (len(waiting()), len(moved_aside())) == (0, 1)
    assert moved_aside()[0].parent.name in caplog.messages[-1]
    with refused("store.refused"):
        run.require_delivered()


def test_a_trial_goes_on_where_its_row_cannot_be_opened(server, caplog):
    server.answer = (200, json.dumps({"experiment": {"experiment_id": "1", "name": "actors"}}))
    tracker = Tracker("actors")
    server.answer = (401, "You are not authenticated")
    with tracker.nested("1234", "trial-3", params={"units": 8}) as row:
        row.metrics({"loss": 1.0})
        row.tag("pan.pruned", "no")
    assert "trial-3" in caplog.text
    assert waiting() == []


def test_an_artifact_that_a_proxy_finds_too_large_holds_up_nothing(server, tmp_path, caplog):
    """413: no later try would end otherwise."""
    server.answer = (503, "later")
    (tmp_path / "model.bin").write_bytes(b"weights")
    run = Run(ClientOfProxy(server), "1234")
    run.artifact(tmp_path / "model.bin")
    server.answer = (413, "Request Entity Too Large")
    assert run.deliver_waiting() == 0
    assert (len(waiting()), len(moved_aside())) == (0, 1)
    assert "413" in caplog.text
    with pytest.raises(MlflowException) as caught:
        Run(ClientOfProxy(server), "1234").artifact(tmp_path / "model.bin")
    assert "413" in str(caught.value)


@pytest.mark.parametrize("status", [403, 404, 429])
def test_an_artifact_that_may_be_taken_later_waits(server, tmp_path, status):
    (tmp_path / "model.bin").write_bytes(b"weights")
    server.answer = (status, "not now")
    Run(ClientOfProxy(server), "1234").artifact(tmp_path / "model.bin")
    assert (len(waiting()), len(moved_aside())) == (1, 0)


def test_figures_that_a_proxy_finds_too_large_hold_up_nothing(server, run):
    server.answer = (503, "later")
    run.metrics({"loss": 1.0})
    server.answer = (413, "<html>Request Entity Too Large</html>")
    assert run.deliver_waiting() == 0
    assert (len(waiting()), len(moved_aside())) == (0, 1)


@pytest.mark.parametrize(
    ("status", "code", "later"),
    [
        (400, "ExpiredToken", True),
        (403, "AccessDenied", True),
        (404, "NoSuchBucket", True),
        (400, "EntityTooLarge", False),
    ],
)
def test_what_s3_says_decides_however_boto_wraps_it(server, status, code, later):
    """`upload_file` turns each error into one of its own."""
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(AwayError if later else MlflowException), single_attempt():
        try:
            raise ClientError(answer, "PutObject")
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904


@pytest.mark.parametrize("by_user", [None, "1"])
def test_mlflow_gets_its_own_settings_back(server, monkeypatch, by_user):
    """One try is for what may wait; a user's own settings hold there, too."""
    names = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
    for name in names:
        monkeypatch.setenv(name, by_user) if by_user else monkeypatch.delenv(name, raising=False)
    with pytest.raises(ZeroDivisionError), single_attempt():
        assert [os.environ[name] for name in names] == ([by_user] * 2 if by_user else ["0", "20"])
        raise ZeroDivisionError
    assert [os.environ.get(name) for name in names] == [by_user] * 2


def test_what_waited_for_a_login_is_delivered_with_another_one(server, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://pan:old-word@127.0.0.1:{server.server_port}")
    refused_login = Run(MlflowClient(), "1234")
    server.answer = (401, "You are not authenticated")
    refused_login.tag("a", 1)
    assert len(waiting()) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://pan:new-word@127.0.0.1:{server.server_port}/")
    server.answer = TAKEN
    deliver_waiting()
    assert waiting() == []
    assert not list(outboxes().parent.rglob("message.json"))


def test_a_store_that_cannot_be_opened_does_not_hide_how_a_run_ended(server, run, monkeypatch, caplog):
    server.answer = (503, "later")
    run.tag("a", 1)

    def cannot():
        raise PanError("cannot be opened")

    monkeypatch.setattr("pan_core.tracking.tracker.open_client", cannot)
    caplog.clear()
    deliver_waiting()
    assert len(waiting()) == 1
    assert str(outboxes()) in caplog.text


def test_the_page_of_a_run_is_where_browsers_reach_it(server, monkeypatch):
    info = {"run_id": "1234", "experiment_id": "7", "status": "FINISHED", "lifecycle_stage": "active"}
    server.answer = (200, json.dumps({"run": {"info": info, "data": {}}}))
    assert run_address("1234") == f"http://127.0.0.1:{server.server_port}/#/experiments/7/runs/1234"
    monkeypatch.setenv("PAN_MLFLOW_UI", "https://mlflow.example/")
    assert run_address("1234") == "https://mlflow.example/#/experiments/7/runs/1234"
