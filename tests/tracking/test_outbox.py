"""Messages to a server that is there, away, or refuses."""

import json

import pytest

from pan_core.tracking import outbox
from pan_core.tracking.outbox import AwayError, Message, Outbox


class Server:
    """Takes messages while it is up; refuses those of the kind "bad"."""

    def __init__(self):
        self.up, self.taken, self.tries = True, [], 0

    def deliver(self, message):
        self.tries += 1
        if not self.up:
            raise AwayError("the server: does not answer")
        if message.kind == "bad":
            raise ValueError("nonsense")
        content = message.attached.read_text() if message.attached else None
        self.taken.append((message.values.get("number"), content))


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def now(monkeypatch):
    """The clock, set by the test."""
    time = [100.0]
    monkeypatch.setattr(outbox.time, "monotonic", lambda: time[0])
    return time


def say(box, number, attached=None, kind="say"):
    box.post(Message(kind, {"number": number}, attached))


def test_nothing_is_written_while_the_server_answers(server, tmp_path):
    box = Outbox(tmp_path / "box", server.deliver)
    say(box, 1)
    assert server.taken == [(1, None)]
    assert list(tmp_path.iterdir()) == []


def test_what_waits_comes_first_and_in_order(server, now, tmp_path):
    box = Outbox(tmp_path / "box", server.deliver)
    server.up = False
    for number in range(12):
        say(box, number)
    assert len(box) == 12
    server.up = True
    now[0] += outbox.FIRST_PAUSE_S
    say(box, 12)
    assert [number for number, _ in server.taken] == list(range(13))
    assert len(box) == 0


def test_work_does_not_wait_for_a_server_that_is_away(server, now, tmp_path):
    """One try, then none until the pause is over, and pauses grow."""
    box = Outbox(tmp_path / "box", server.deliver)
    server.up = False
    for _ in range(50):
        say(box, 0)
    assert server.tries == 1
    now[0] += outbox.FIRST_PAUSE_S
    say(box, 0)
    now[0] += outbox.FIRST_PAUSE_S
    say(box, 0)
    assert server.tries == 2


def test_a_file_is_kept_as_it_was_and_another_process_delivers_it(server, now, tmp_path):
    attached = tmp_path / "figures.txt"
    attached.write_text("as it was")
    server.up = False
    say(Outbox(tmp_path / "box", server.deliver), 1, attached)
    attached.write_text("changed since")
    server.up = True
    assert Outbox(tmp_path / "box", server.deliver).flush() == 1
    assert server.taken == [(1, "as it was")]


def test_what_is_refused_or_damaged_holds_nothing_up(server, now, tmp_path, caplog):
    box = Outbox(tmp_path / "box", server.deliver)
    server.up = False
    say(box, 1)
    say(box, 2, kind="bad")
    say(box, 3)
    say(box, 4)
    damaged = sorted((tmp_path / "box").iterdir())[2]
    (damaged / outbox.MESSAGE).write_text("{")
    server.up = True
    assert box.flush() == 2
    assert [number for number, _ in server.taken] == [1, 4]
    assert (len(box), box.refused) == (0, 2)
    kept = sorted((tmp_path / outbox.REFUSED / "box").rglob(outbox.MESSAGE))
    assert "nonsense" in caplog.text
    assert [kept[k].parent.name in caplog.messages[-2 + k] for k in (0, 1)] == [True, True]
    assert json.loads(kept[0].read_text())["values"] == {"number": 2}
    assert kept[1].read_text() == "{"


def test_what_the_server_refuses_while_it_is_there_is_an_error(server, tmp_path):
    with pytest.raises(ValueError):
        say(Outbox(tmp_path / "box", server.deliver), 1, kind="bad")


def test_a_server_that_goes_away_again_keeps_its_place(server, now, tmp_path):
    box = Outbox(tmp_path / "box", server.deliver)
    server.up = False
    say(box, 1)
    with pytest.raises(AwayError):
        box.flush()
    assert len(box) == 1


def test_what_an_earlier_version_left_is_delivered_first(server, tmp_path):
    """Folders as versions up to 2026 wrote them, and the lock file that they left beside."""
    left = tmp_path / "box"
    for name, content in {
        "00000002-4711-5060708": '{"kind": "say", "values": {"number": 2}, "attached": null}',
        "00000010-4712-9": '{"kind": "say", "values": {"number": 10}, "attached": "figures.txt"}',
        "00000001-4711-5060707": '{"kind": "say", "values": {"number": 1}, "attached": null}',
    }.items():
        (left / name).mkdir(parents=True)
        (left / name / "message.json").write_text(content)
    (left / "00000010-4712-9" / "attached").mkdir()
    (left / "00000010-4712-9" / "attached" / "figures.txt").write_text("as it was")
    (left / ".00000011-4712-10.x1y2z3.partial").mkdir()  # it was being written when the process was killed
    (tmp_path / "box.lock").touch()
    box = Outbox(left, server.deliver)
    assert len(box) == 3
    say(box, 11)
    assert server.taken == [(1, None), (2, None), (10, "as it was"), (11, None)]
    assert len(box) == 0
