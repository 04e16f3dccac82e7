"""Nothing that is written has a password in it."""

import logging
import os
import re
import subprocess
import sys

import pytest

from pan_core.errors import ConfigError, PanError
from pan_core.secrets import hide, masked, without_login


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:hunter22@10.0.0.4:554/s?x=1", "rtsp://admin:***@10.0.0.4:554/s?x=1"),
        ("rtsp://admin:p@ss/w:rd@camera/live", "rtsp://admin:***@camera/live"),
        (
            "postgresql+psycopg2://pan:a%40b@db:5432/mlflow refused",
            "postgresql+psycopg2://pan:***@db:5432/mlflow refused",
        ),
        ("'redis://:hunter22@cache'", "'redis://:***@cache'"),
        ("rtsp://a:one@h1,rtsp://b:two@h2", "rtsp://a:***@h1,rtsp://b:***@h2"),
        ("host=db password=hunter22 dbname=x", "host=db password=*** dbname=x"),
        ("http://h/api?token=abc&page=2", "http://h/api?token=***&page=2"),
        ("http://h/x?key=a1&sig=b2&n=3&auth=c4&pass=d5", "http://h/x?key=***&sig=***&n=3&auth=***&pass=***"),
        (
            "http://h/x?X-Amz-Signature=b2&access_key=a1&access_token=c3",
            "http://h/x?X-Amz-Signature=***&access_key=***&access_token=***",
        ),
        ("http://h/a?X-Amz-Signature=abc&key=def&n=1", "http://h/a?X-Amz-Signature=***&key=***&n=1"),
        ("rtsp://admin:it's@camera/live", "rtsp://admin:***@camera/live"),
        ("rtsp://admin:p@it's@camera/live", "rtsp://admin:***@camera/live"),
        ('rtsp://admin:a"b@camera', "rtsp://admin:***@camera"),
        ("rtsp://admin:my pass word@camera gone", "rtsp://admin:***@camera gone"),
        ("rtsp://admin:p@ss word@camera gone", "rtsp://admin:***@camera gone"),
        ("rtsp://admin:a://b@camera", "rtsp://admin:***@camera"),
        ("rtsp://a:o e@h1 rtsp://b:t o@h2", "rtsp://a:***@h1 rtsp://b:***@h2"),
        ("['rtsp://a:one@h1', 'rtsp://b:two@h2', 'c@d']", "['rtsp://a:***@h1', 'rtsp://b:***@h2', 'c@d']"),
        ("https://ghp_abc@github.com/x", "https://***@github.com/x"),
        ("https://ghp_abc:@github.com/x", "https://***@github.com/x"),
        ("password: hunter22", "password: ***"),
        ("{'password': 'hunter 22', 'n': 1}", "{'password': '***', 'n': 1}"),
        ('{"token": "x", "n": 1}', '{"token": "***", "n": 1}'),
        ("password='it\\'s' user=x", "password='***' user=x"),
        ("Authorization: Bearer x", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic cGFuOng='}", "{'Authorization': 'Basic ***'}"),
        ("sent Bearer eyJhbGciOi.abc", "sent Bearer ***"),
        ("x-api-key: abcdefgh", "x-api-key: ***"),
        ("aws_secret_access_key = wJalr/x", "aws_secret_access_key = ***"),
        ("AccountKey=abc/d==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        ("server --password hunter22 --host h", "server --password *** --host h"),
        ("passphrase: hunter22", "passphrase: ***"),
    ],
)
def test_passwords_are_hidden(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1:5000/#/runs", "postgresql://pan@db/mlflow", "s3://bucket/prefix", "at 12:30 ask me@example.org", "?monkey=1&bypass=2", "",
     "http://127.0.0.1:5000 refused, ask me@example.org", "http://a:80/x, http://b:81/y", "rtsp://camera:554: gone",
     "monkey=1 tokens: 5 bearer of news", "the secret of it: x", "secretary: x --passwords are", "max_tokens=5"],
)  # fmt: skip
def test_what_has_none_stays(text):
    assert masked(text) == text


def test_what_the_environment_was_given_as_a_secret_is_hidden_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("PAN_OPTUNA_STORAGE", "postgresql://pan:pass%40word@db/optuna")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "disabled")
    assert masked("wJalrXUtnFEMI,pass@word,pass%40word,disabled") == "***,***,***,disabled"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:prefect-word")
    monkeypatch.setenv("REMOTE", "https://ghp_token@host/x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "minioadmin")
    assert masked("http://minioadmin:9000") == "http://minioadmin:9000"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    assert masked("(AKIAIOSFODNN7EXAMPLE)") == "(***)"
    assert masked("admin:prefect-word,prefect-word,ghp_token") == "***,***,***"


def test_an_address_to_open_has_no_login_in_it():
    assert without_login("https://pan:hunter22@mlflow:5000/x?y=1#z") == "https://mlflow:5000/x?y=1#z"
    assert without_login("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


def test_errors_tell_none():
    address = "rtsp://admin:hunter22@camera"
    assert "hunter22" not in str(PanError(f"{address}: gone")) + str(ConfigError("params.yaml", [f"a: {address}"]))


def test_log_records_and_their_tracebacks_tell_none():
    try:
        raise ValueError("rtsp://admin:hunter22@camera")
    except ValueError:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "at %s", ("rtsp://admin:hunter22@camera",), sys.exc_info()
        )
    hide(record)
    told = logging.Formatter().format(record)
    assert "hunter22" not in told
    assert told.splitlines()[0] == "at rtsp://admin:***@camera"
    assert told.splitlines()[-1] == "ValueError: rtsp://admin:***@camera"


PROGRAM = """
import logging, sys, threading, warnings
from pan_core.secrets import guard_output
guard_output()
guard_output()
def fail():
    raise ValueError("rtsp://admin:hunter22@thread")
thread = threading.Thread(target=fail, name="reader")
thread.start()
thread.join()
warnings.warn("rtsp://admin:hunter22@warning")
logging.getLogger("x").warning("at %s", "rtsp://admin:hunter22@camera")
raise ValueError("rtsp://admin:hunter22@camera")
"""


def test_a_process_logs_none_and_dies_without_telling_one():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "hunter22" not in done.stdout + done.stderr
    told = re.findall(r"(\w+):? (rtsp://\S+)", done.stderr)
    assert set(told) >= {
        ("at", "rtsp://admin:***@camera"),
        ("ValueError", "rtsp://admin:***@camera"),
        ("ValueError", "rtsp://admin:***@thread"),
        ("UserWarning", "rtsp://admin:***@warning"),
    }
    assert re.search(r"thread reader\b", done.stderr)


def test_a_stage_with_a_store_that_cannot_be_reached_writes_no_password(tmp_path):
    """Not in what it prints, nor in any file: MLflow and its client have the address, too."""
    address = "http://pan:hunter22x@127.0.0.1:1"
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    done = subprocess.run(
        [sys.executable, "-c", "from pan_core.cli.main import app; app()", "stage", "fetch"],
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert done.returncode == 1
    assert re.search(r"^error: MLflow\b", done.stderr, flags=re.MULTILINE)
    assert "pan:***@127.0.0.1:1" in done.stderr
    assert "hunter22x" not in done.stdout + done.stderr
    assert not any(b"hunter22x" in content for content in written)


def test_an_error_hides_passwords_however_it_is_shown():
    assert repr(PanError("postgresql://pan:hunter22@db")) == "PanError('postgresql://pan:***@db')"
