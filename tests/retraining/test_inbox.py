"""What is wrong with a delivery, by its code."""

import os
import shutil

import pytest
from deliveries import deliver, hold_out, receive
from refusals import refused

from pan_core.errors import DataError


def broken_manifest(folder):
    (folder / "ann.avi").unlink()


def damaged_videos(folder):
    for name in ("ann.avi", "ben.avi"):
        (folder / name).write_text("no video at all")


def rows_of_nonsense(folder):
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(",1,2,", ",2,1,"))


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "_SUCCESS").touch()


@pytest.mark.parametrize(
    ("spoil", "code", "names"),
    [
        (broken_manifest, "delivery.videos-missing", "ann.avi"),
        (damaged_videos, "delivery.unusable-rows", "validate.max_quarantined"),
        (rows_of_nonsense, "delivery.one-class", "start_s=2"),
        (empty, "delivery.manifest", "manifest.csv"),
    ],
)
def test_a_delivery_that_cannot_be_used_is_refused_with_the_reason(footage, incoming, context, spoil, code, names):
    spoil(deliver(incoming, "2026-11-02"))
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.code) == ("refused", code)
    assert names in receipt.reason
    assert not footage.ledger.taken


@pytest.mark.parametrize("name", ["2026-13-02", "2026-11-2", "november", "20261102"])
def test_a_folder_that_is_no_day_is_refused(footage, incoming, context, name):
    deliver(incoming, name)
    assert receive(footage, incoming, context)[name].code == "delivery.name"


def test_a_folder_whose_name_is_no_text_is_refused_and_the_others_are_taken(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    (incoming / os.fsdecode(b"2026-11-03-caf\xe9")).mkdir()
    (incoming / os.fsdecode(b"2026-11-03-caf\xe9") / "_SUCCESS").touch()
    receipts = receive(footage, incoming, context)
    assert receipts["2026-11-02"].state == "taken"
    assert receipts["2026-11-03-caf\\xe9"].code == "delivery.name"


def test_a_dead_link_and_a_pipe_in_a_delivery_are_told_and_a_video_of_another_suffix_is_taken(
    footage, incoming, context
):
    folder = deliver(incoming, "2026-11-02")
    (folder / "ann.avi").rename(folder / "ann.dvr")
    (folder / "manifest.csv").write_text((folder / "manifest.csv").read_text().replace("ann.avi", "ann.dvr"))
    (folder / "unmounted.avi").symlink_to("/nowhere/unmounted.avi")
    os.mkfifo(folder / "pipe.avi")
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "taken"
    assert "pipe.avi" in receipt.reason and "and 1 more" in receipt.reason
    assert (footage.folder / "2026-11-02" / "ann.dvr").is_file()


def test_labels_that_nobody_announced_are_refused(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    deliver(incoming, "2026-11-03", ("dan", "eve"), ("Walking", "Fallling"), shade=5)
    receipt = receive(footage, incoming, context)["2026-11-03"]
    assert (receipt.state, receipt.code) == ("refused", "delivery.unknown-labels")
    assert "Fallling" in receipt.reason
    assert receive(footage, incoming, context, classes=["Fallling"])["2026-11-03"].state == "taken"


def test_footage_of_one_class_is_refused_at_first_and_welcome_later(footage, incoming, context):
    deliver(incoming, "2026-11-02", labels=("Walking",))
    assert receive(footage, incoming, context)["2026-11-02"].code == "delivery.one-class"
    deliver(incoming, "2026-11-01", shade=9)
    found = receive(footage, incoming, context)
    assert [found[name].state for name in ("2026-11-01", "2026-11-02")] == ["taken", "taken"]


def test_spans_beyond_the_end_of_their_videos_count_as_unusable(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    rows = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join([*rows, "ann.avi,100,102,Walking,hall,2026-11-01,ann"]) + "\n")
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.code) == ("refused", "delivery.unusable-rows")
    assert receipt.reason.startswith("1")


def test_a_delivery_that_does_not_say_whose_it_is_is_refused_once_the_holdout_is_of_people(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    folder = deliver(incoming, "2026-11-03", ("dan",), shade=7)
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(",dan\n", ",\n"))
    assert receive(footage, incoming, context)["2026-11-03"].code == "delivery.no-group"


def test_an_inbox_that_does_not_exist_is_told(footage, incoming, context):
    with refused("inbox.missing", DataError):
        receive(footage, incoming, context)
