"""A queue on disk: order, refusals, a limit, several processes, and kills at any point."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pan_core.durable_queue import ClaimedError, DurableQueue, EntryRefusedError

ENDLESS = """
import sys
from pathlib import Path
from pan_core.durable_queue import DurableQueue

folder = Path(sys.argv[1])
queue = DurableQueue(folder / "waiting", refused=folder / "refused")

def write(path, text):
    path.mkdir()
    (path / "first").write_text(text)
    (path / "second").write_text(text)

number = int(sys.argv[2])
while True:
    number += 1
    queue.append(lambda path: write(path, str(number)))
    if number % 5 == 0:
        queue.deliver(lambda path: print((path / "first").read_text(), (path / "second").read_text(), flush=True))
"""


@pytest.fixture
def queue(tmp_path):
    return opened(tmp_path)


def opened(folder, **settings):
    return DurableQueue(folder / "waiting", refused=folder / "refused", **settings)


def append(queue, *texts):
    for text in texts:
        queue.append(lambda path, text=text: path.write_text(text))


def taken(queue):
    """What the queue delivers."""
    texts = []
    queue.deliver(lambda path: texts.append(path.read_text()))
    return texts


def test_entries_are_delivered_once_in_order_by_another_object_too(queue, tmp_path):
    append(queue, *"abc")
    append(opened(tmp_path), *"de")
    assert len(queue) == 5
    assert taken(opened(tmp_path)) == list("abcde")
    assert (len(queue), taken(queue)) == (0, [])


def test_an_empty_queue_makes_no_folder(queue, tmp_path):
    assert (len(queue), taken(queue)) == (0, [])
    assert list(tmp_path.iterdir()) == []


def test_entries_of_one_object_keep_their_order_while_the_first_are_delivered(queue):
    """The number of an entry is never used again, though the folder is empty in between."""
    append(queue, "a")
    texts = []

    def send(path):
        path.unlink()  # as if this one had made room
        append(queue, "b", "c")
        texts.append("a")

    queue.deliver(send)
    assert [*texts, *taken(queue)] == list("abc")


def test_a_failure_stops_the_delivery_and_a_refusal_does_not(queue, tmp_path):
    append(queue, *"abcd")

    def send(path):
        text = path.read_text()
        if text == "b":
            raise EntryRefusedError("never")
        if text == "d":
            raise OSError("later")

    with pytest.raises(OSError, match="later"):
        queue.deliver(send)
    assert (len(queue), queue.refused_count) == (1, 1)
    (aside,) = (tmp_path / "refused").iterdir()
    assert aside.read_text() == "b"
    assert taken(queue) == ["d"]


def test_a_file_that_a_sender_misses_is_no_entry_that_made_room(queue):
    append(queue, "a")
    with pytest.raises(FileNotFoundError):
        queue.deliver(lambda path: Path("missing").read_text() and None)
    assert len(queue) == 1


def test_the_oldest_make_room(tmp_path, caplog):
    queue = opened(tmp_path, limit=3, name="the queue of the test")
    append(queue, *"abcde")
    assert (len(queue), queue.lost_count) == (3, 2)
    assert "the queue of the test" in caplog.text
    assert taken(queue) == list("cde")


def test_only_one_claims_a_queue(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path)
    first.claim()
    with pytest.raises(ClaimedError):
        second.claim()
    append(second, "a")
    assert taken(first) == ["a"]
    first.release()
    second.claim()
    second.release()


def test_an_entry_whose_writing_fails_is_none(queue):
    def write(path):
        path.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        queue.append(write)
    assert len(queue) == 0


def test_entries_survive_kills_at_any_point(tmp_path):
    """Each entry is whole, and none is lost: of every process the numbers go on without a gap."""
    seen: set[int] = set()
    for start in range(0, 50_000, 10_000):
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(tmp_path), str(start)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert process.stdout
        printed = [process.stdout.readline()]  # it works now
        time.sleep(0.02 + start / 1e6)
        process.send_signal(signal.SIGKILL)
        printed += process.communicate(timeout=60)[0].splitlines()
        pairs = [line.split() for line in printed if line.count(" ") == 1]
        rest: list[list[str]] = []
        opened(tmp_path).deliver(
            lambda path, rest=rest: rest.append([(path / n).read_text() for n in ("first", "second")])
        )
        assert all(first == second for first, second in rest)
        numbers = {int(first) for first, _ in pairs + rest}
        assert numbers == set(range(start + 1, max(numbers) + 1))
        seen |= numbers
    assert len(opened(tmp_path)) == 0
    assert len(seen) >= 5
