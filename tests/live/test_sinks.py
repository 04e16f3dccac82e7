"""Events on their way: files, and a webhook whose server fails, refuses and comes back."""

import csv
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.live.events import Event
from pan_core.live.sinks import CsvTable, EventWriter, JsonLines
from pan_core.live.webhook import Webhook

BEGUN = Event("a1", "=HYPERLINK(1)", "1", 0, "Waving", 1.0, None, 0.8)
OVER = Event("a1", "=HYPERLINK(1)", "1", 0, "Waving", 1.0, 2.5, 0.7)
LONG_S = 30.0
LOGIN = "Basic bWU6czNjcjN0"  # printf me:s3cr3t | base64


class Broken:
    """A sink that always fails so."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def write(self, event: Event) -> None:
        raise self._error

    def close(self) -> None:
        raise self._error


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@contextmanager
def hook(answers: Iterator[int], port: int = 0) -> Iterator[tuple[str, list[dict]]]:
    """A server that answers with these statuses, and what it was sent."""
    got: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Authorization"] == LOGIN
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = next(answers)
            if status == 0:  # no HTTP at all
                self.wfile.write(b"nonsense\r\n")
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")  # type: ignore[attr-defined]
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://me:s3cr3t@127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        server.server_close()


def always(status: int) -> Iterator[int]:
    while True:
        yield status


def test_files_have_each_event_once_when_it_is_over(tmp_path: Path) -> None:
    lines, table = tmp_path / "new" / "events.jsonl", tmp_path / "events.csv"
    for _ in range(2):  # a second start appends
        with EventWriter([JsonLines(lines), CsvTable(table)]) as writer:
            writer.put(BEGUN)
            writer.put(OVER)
    assert [json.loads(line)["end_s"] for line in lines.read_text().splitlines()] == [2.5, 2.5]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["end_s"]) for row in rows] == [("Waving", "2.5")] * 2
    assert rows[0]["camera"] == "'=HYPERLINK(1)", "a spreadsheet would run it"


def test_files_that_cannot_be_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with refused("events.columns", DataError):
        CsvTable(tmp_path / "other.csv")
    (tmp_path / "file").write_text("")
    with refused("events.unwritable", DataError):
        JsonLines(tmp_path / "file" / "events.jsonl")
    with refused("webhook.address") as caught:
        Webhook("ftp://me:s3cr3t@host", tmp_path)
    assert "ftp://host" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_one_sink_that_fails_does_not_cost_the_others(tmp_path: Path) -> None:
    with EventWriter([Broken(OSError("no space left")), JsonLines(tmp_path / "events.jsonl")]) as writer:
        writer.put(OVER)
    assert writer.failed == 1
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 1


def test_a_webhook_that_fails_is_tried_again_in_order(tmp_path: Path) -> None:
    with ExitStack() as stack:
        address, got = stack.enter_context(hook(iter([500, 503, 200, 200])))
        writer = stack.enter_context(EventWriter([Webhook(address, tmp_path, first_pause_s=0.05)]))
        writer.put(BEGUN)
        writer.put(OVER)
        wait_for(lambda: len(got) == 4)
    assert [one["phase"] for one in got] == ["started"] * 3 + ["ended"]
    assert {one["id"] for one in got} == {"a1"}
    assert not list(tmp_path.glob("*/*.json"))


def test_events_outlive_a_server_that_is_away_and_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with hook(always(200)) as (address, _):
        pass
    began = time.monotonic()
    with EventWriter([Webhook(address, tmp_path)]) as writer:
        writer.put(OVER)
        assert time.monotonic() - began < 5, "who puts an event waits for nobody"
        wait_for(lambda: len(list(tmp_path.glob("*/*.json"))) == 1)
    assert len(list(tmp_path.glob("*/*.json"))) == 1
    assert "s3cr3t" not in caplog.text
    with hook(always(200), urlsplit(address).port or 0) as (address, got):
        webhook = Webhook(address, tmp_path)
        wait_for(lambda: len(got) == 1)
        webhook.close()
    assert got[0]["id"] == "a1"
    assert not list(tmp_path.glob("*/*.json"))


def test_what_a_server_refuses_for_good_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with hook(iter([422, 200])) as (address, got), EventWriter([Webhook(address, tmp_path)]) as writer:
        writer.put(BEGUN)
        writer.put(OVER)
        wait_for(lambda: len(got) == 2)
    assert len(list(tmp_path.glob("*/refused/*.json"))) == 1


def test_what_an_earlier_version_left_is_sent_first_and_a_damaged_event_put_aside(tmp_path: Path) -> None:
    """Files as versions up to 2026 wrote them, in the folder of their address."""
    with hook(always(200)) as (address, got):
        folder = tmp_path / hashlib.sha256(address.encode()).hexdigest()[:16]
        folder.mkdir()
        for number, phase in ((2, "ended"), (1, "started")):
            (folder / f"01764486000000000000-00000{number}-{phase}.json").write_text(
                f'{{\n  "phase": "{phase}",\n  "id": "old",\n  "camera": "hall",\n  "end_s": null\n}}\n'
            )
        (folder / "01764486000000000000-000003-started.json").write_text('{"phase": "star')
        with EventWriter([Webhook(address, tmp_path)]) as writer:
            writer.put(OVER)
            wait_for(lambda: len(got) == 3)
    assert [(one["id"], one["phase"]) for one in got] == [("old", "started"), ("old", "ended"), ("a1", "ended")]
    assert [path.name for path in folder.glob("refused/*.json")] == ["01764486000000000000-000003-started.json"]
    assert not list(folder.glob("*.json"))


def test_redirects_are_not_followed_and_nonsense_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with hook(iter([302, 0, 200])) as (address, got):
        webhook = Webhook(f"{address}?code=verysecret", tmp_path, first_pause_s=0.05)
        webhook.write(OVER)
        wait_for(lambda: len(got) == 3)
        webhook.close()
    assert "302" in caplog.text
    assert "BadStatusLine" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert "verysecret" not in caplog.text + webhook.name
    assert not list(tmp_path.glob("*/*.json"))


def test_each_address_has_its_own_folder_and_one_process_at_a_time(tmp_path: Path) -> None:
    webhooks = [Webhook(f"http://127.0.0.1:9/{name}", tmp_path) for name in ("a", "b")]
    assert len({webhook.folder for webhook in webhooks}) == 2
    with refused("webhook.claimed"):
        Webhook("http://127.0.0.1:9/a", tmp_path)
    for webhook in webhooks:
        webhook.close()
    Webhook("http://127.0.0.1:9/a", tmp_path).close()


def test_what_a_full_disk_kept_back_is_written_later_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first line only a part is written at first, as on a disk that is full."""
    path, real, left = tmp_path / "events.jsonl", os.write, [2]

    def write(descriptor: int, content: bytes) -> int:
        if left[0]:
            left[0] -= 1
            return real(descriptor, content[:10])
        return real(descriptor, content)

    sink, broken = JsonLines(path), Broken(ValueError("never"))
    monkeypatch.setattr(os, "write", write)
    with EventWriter([broken, sink]) as writer:
        for person in range(4):
            writer.put(replace(OVER, person=person))
    assert [json.loads(line)["person"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]
    assert writer.failed == 4, "the broken one took none"
