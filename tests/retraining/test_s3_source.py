"""Deliveries in a bucket of moto's S3 server on loopback, some of them behind a relay that breaks what passes."""

import logging
import shutil
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from threading import Thread

import boto3
import pytest
from faulty_server import QuietServer
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from refusals import refused

from pan_core.errors import DataError, PanError
from pan_core.retraining.s3_source import fetch_deliveries, parse_address

SECRET = "wJalrXUtnFEMI-K7MDENG"
VIDEO = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def bucket(moto, monkeypatch, tmp_path):
    """An empty bucket `footage`: a function puts (key, content) into it."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{moto[0]}:{moto[1]}",
        "AWS_ACCESS_KEY_ID": "camera",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="footage")
    yield lambda key, content=b"": client.put_object(Bucket="footage", Key=key, Body=content)
    for item in client.list_objects_v2(Bucket="footage").get("Contents", []):
        client.delete_object(Bucket="footage", Key=item["Key"])


class Relay(BaseHTTPRequestHandler):
    """Hands requests on to moto; what the server's `fault` says of a path is done to the answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(f"{self.command} {self.path.partition('?')[0]}")
        connection = HTTPConnection(*self.server.moto)
        connection.request(self.command, self.path, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        status, body, sent = self.server.fault(self.command, self.path, answer.status, body)
        self.send_response(status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body[:sent])
        self.close_connection = sent is not None

    do_HEAD = do_GET

    def log_message(self, *args):
        """Nothing on stderr."""


@pytest.fixture
def relay(bucket, moto, monkeypatch):
    """The relay's server: its `fault` makes (status, body, bytes to send before it hangs up) of an answer."""
    server = QuietServer(("127.0.0.1", 0), Relay)
    server.moto, server.seen = moto, []
    server.fault = lambda command, path, status, body: (status, body, None)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.shutdown()
    server.server_close()


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def deliver(bucket, name="2026-11-20"):
    bucket(f"cams/{name}/hall/0001.mp4", VIDEO)
    bucket(f"cams/{name}/manifest.csv", b"video,start_s,end_s,label\n")
    bucket(f"cams/{name}/_SUCCESS")


def test_whole_deliveries_come_and_unfinished_ones_do_not(bucket, tmp_path):
    deliver(bucket)
    deliver(bucket, "2026-11-21")
    bucket("cams/2026-11-22/hall/0001.mp4", VIDEO)
    bucket("cams/2026-11-23/hall/_SUCCESS")  # belongs to nobody: the delivery itself has no marker
    bucket("cams/notes.txt", b"no delivery")
    bucket("cams/2026-11-21/hall/")  # a folder as a web console makes it
    bucket("other/2026-11-20/_SUCCESS")
    seen, unfinished = [], []
    brought = fetch_deliveries(
        "s3://footage/cams",
        tmp_path / "in",
        progress=lambda *now: seen.append(now),
        unfinished=lambda name, _: unfinished.append(name),
    )
    assert unfinished == ["2026-11-22", "2026-11-23"]
    assert brought == [tmp_path / "in" / "2026-11-20", tmp_path / "in" / "2026-11-21"]
    delivery = {"hall/0001.mp4": VIDEO, "manifest.csv": b"video,start_s,end_s,label\n", "_SUCCESS": b""}
    assert files(tmp_path / "in") == {
        f"{name}/{path}": content for name in ("2026-11-20", "2026-11-21") for path, content in delivery.items()
    }
    size = 2 * (len(VIDEO) + 26)
    assert seen[-1] == (size, size)


def test_a_second_call_fetches_nothing_and_an_unfinished_one_comes_later(relay, bucket, tmp_path):
    deliver(bucket)
    bucket("cams/2026-11-22/hall/0001.mp4", VIDEO)
    assert len(fetch_deliveries("s3://footage/cams/", tmp_path)) == 1
    (tmp_path / "2026-11-20" / "manifest.csv").write_text("edited here\n")
    relay.seen.clear()
    assert fetch_deliveries("s3://footage/cams/", tmp_path) == []
    assert set(relay.seen) == {"GET /footage"}, "lists only"
    assert (tmp_path / "2026-11-20" / "manifest.csv").read_text() == "edited here\n"
    bucket("cams/2026-11-22/_SUCCESS")
    assert fetch_deliveries("s3://footage/cams/", tmp_path) == [tmp_path / "2026-11-22"]


def test_deliveries_at_the_top_of_a_bucket(bucket, tmp_path):
    bucket("2026-11-20/_SUCCESS")
    assert fetch_deliveries("s3://footage", tmp_path) == [tmp_path / "2026-11-20"]


def test_a_listing_of_several_pages(relay, bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for name in ("2026-11-20", "2026-11-21", "2026-11-22"):
        deliver(bucket, name)
    brought = fetch_deliveries("s3://footage/cams", tmp_path)
    assert [len(files(folder)) for folder in brought] == [3, 3, 3]
    assert relay.seen.count("GET /footage") == 2 + 3 * 2


def test_a_download_that_breaks_in_the_middle_leaves_nothing_half_and_the_others_come(relay, bucket, tmp_path):
    for day in ("2026-11-19", "2026-11-20", "2026-11-21"):
        deliver(bucket, day)
    broken = "GET", "/footage/cams/2026-11-20/hall/0001.mp4"
    relay.fault = lambda command, path, status, body: (
        status, body, 1000 if (command, path.partition("?")[0]) == broken else None
    )  # fmt: skip
    with refused("s3.broken-off") as caught:
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert "s3://footage/cams: http://127.0.0.1:" in str(caught.value)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"2026-11-19", "2026-11-21"} <= names
    assert not any("2026-11-20" in name for name in names)
    assert relay.seen.count(" ".join(broken)) > 1, "tried again before it gave up"


def test_a_download_that_breaks_once_is_tried_again(relay, bucket, tmp_path):
    deliver(bucket)
    breaks = [1000]

    def fault(command, path, status, body):
        return status, body, breaks.pop() if breaks and command == "GET" and path.endswith("0001.mp4") else None

    relay.fault = fault
    (folder,) = fetch_deliveries("s3://footage/cams", tmp_path)
    assert not breaks
    assert files(folder)["hall/0001.mp4"] == VIDEO


def test_a_file_of_another_size_than_listed_is_refused(relay, bucket, tmp_path):
    """The sender goes on writing: the listing is of before."""
    deliver(bucket)

    def fault(command, path, status, body):
        if command == "HEAD" and path.endswith("0001.mp4"):
            return status, body, None
        listed = body.replace(f"<Size>{len(VIDEO)}</Size>".encode(), b"<Size>7</Size>")
        return status, listed, None

    relay.fault = fault
    with refused("s3.changed", DataError):
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("cams/2026-11-20/../../evil.sh", "'../../evil.sh' in it would lead out of the folder"),
        ("cams/2026-11-20/hall//x.mp4", "'hall//x.mp4' in it would lead out of the folder"),
        ("cams/2026-11-20/..\\evil.sh", "would lead out of the folder"),
        ("cams/2026-11-20/manifest.csv/x", "'manifest.csv' in it is a file and a folder"),
        (f"cams/2026-11-20/{'x' * 300}", "is no name of a file"),
        ("cams/../_SUCCESS", "delivery '..' is refused: its name would lead out of the folder"),
        ("cams//_SUCCESS", "delivery '' is refused"),
        ("cams/.trash/_SUCCESS", "delivery '.trash' is refused: its name is hidden"),
    ],
)
def test_hostile_names_are_refused_and_other_deliveries_go_on(bucket, tmp_path, caplog, key, reason):
    bucket("cams/2026-11-20/manifest.csv", b"x")
    bucket("cams/2026-11-20/_SUCCESS")
    bucket("cams/2026-11-21/_SUCCESS")
    bucket(key, b"hostile")
    brought = fetch_deliveries("s3://footage/cams", tmp_path / "deep" / "in")
    assert reason in caplog.text
    assert tmp_path / "deep" / "in" / "2026-11-21" in brought
    assert b"hostile" not in files(tmp_path).values()


def test_space_is_asked_for_before_anything_is_written(bucket, tmp_path, monkeypatch):
    deliver(bucket)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=50_000))
    with pytest.raises(PanError, match=r"delivery 2026-11-20 needs 0 MB, but 0 MB are free; make space"):
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert list(tmp_path.iterdir()) == []


def answers(status, code):
    text = f"<Error><Code>{code}</Code><Message>key camera, secret {SECRET}</Message></Error>".encode()
    return lambda command, path, *_: (status, b"" if command == "HEAD" else text, None)


@pytest.mark.parametrize(
    ("status", "answer", "code", "advice"),
    [
        (403, "AccessDenied", "s3.access-denied", "s3:GetObject"),
        (403, "InvalidAccessKeyId", "s3.invalid-access-key-id", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "s3.signature-does-not-match", "clock"),
        (400, "ExpiredToken", "s3.expired-token", "expired"),
        (301, "PermanentRedirect", "s3.permanent-redirect", "AWS_REGION"),
        (503, "SlowDown", "s3.slow-down", "(SlowDown)"),
    ],
)
def test_what_the_server_refuses_is_said_without_credentials(relay, tmp_path, caplog, status, answer, code, advice):
    relay.fault = answers(status, answer)
    with refused(code) as caught:
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert advice in str(caught.value)
    assert SECRET not in f"{caught.value}{caplog.text}"


def test_a_file_that_may_not_be_read(relay, bucket, tmp_path):
    deliver(bucket)
    denied = answers(403, "AccessDenied")
    relay.fault = lambda command, path, status, body: (
        denied(command, path) if path.endswith("0001.mp4") else (status, body, None)
    )
    with refused("s3.access-denied"):
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_such_bucket(bucket, tmp_path):
    with refused("s3.no-such-bucket"):
        fetch_deliveries("s3://elsewhere/cams", tmp_path)


def test_no_credentials(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with refused("s3.credentials") as caught:
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with refused("s3.credentials") as caught:
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert "(ProfileNotFound)" in str(caught.value)


def test_the_endpoint_is_away(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@127.0.0.1:9")
    with refused("s3.away") as caught:
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "hidden" not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with refused("s3.settings") as caught:
        fetch_deliveries("s3://footage/cams", tmp_path)
    assert "(minio:9000)" in str(caught.value)


def test_addresses():
    assert parse_address("s3://footage") == ("footage", "")
    assert parse_address("s3://footage/") == ("footage", "")
    assert parse_address(" s3://footage/cams/north/ ") == ("footage", "cams/north/")
    for wrong in ("footage/cams", "https://host/footage", "s3:///cams", ""):
        with refused("s3.address", DataError):
            parse_address(wrong)
    with refused("s3.address", DataError) as caught:
        parse_address(f"s3://camera:{SECRET}@footage/cams")
    assert SECRET not in str(caught.value)


def test_what_is_no_name_of_a_bucket(bucket, tmp_path):
    with refused("s3.bucket-name"):
        fetch_deliveries("s3://my bucket/cams", tmp_path)
