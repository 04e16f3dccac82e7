"""What is taken of the inbox, and what is not."""

import shutil

from deliveries import deliver, hold_out, make_video, receive, relabel
from refusals import refused

from pan_core.errors import DataError
from pan_core.files import sha256_of
from pan_core.retraining.intake import refuse
from pan_core.retraining.receipts import require_taken


def test_a_whole_delivery_is_taken_once_and_nothing_in_the_inbox_changes(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.clips) == ("taken", 6)
    assert receipt.reason == "6 clips of 2 classes in 3 videos"
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"
    assert len(footage.ledger.taken) == 1
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir()) == before


def test_a_delivery_without_its_marker_waits(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02", marker=False)
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, footage.ledger.taken) == ("waiting", ())
    assert "_SUCCESS" in receipt.reason
    (folder / "_SUCCESS").touch()
    assert receive(footage, incoming, context)["2026-11-02"].state == "taken"


def no_labels(folder):
    (folder / "manifest.csv").unlink()


def test_videos_without_labels_wait_for_them(footage, incoming, context):
    no_labels(deliver(incoming, "2026-11-02"))
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.reason) == ("unlabelled", "3 videos without labels")


def test_the_same_footage_under_another_name_is_refused(footage, incoming, context):
    shutil.copytree(deliver(incoming, "2026-11-02"), incoming / "2026-11-09")
    found = receive(footage, incoming, context)
    assert found["2026-11-02"].state == "taken"
    assert found["2026-11-09"].code == "delivery.taken-before"
    assert "ann.avi" in found["2026-11-09"].reason
    assert "2026-11-02" in found["2026-11-09"].reason


def test_a_delivery_that_is_corrected_takes_its_own_place(footage, incoming, context):
    """Labels put right, a video that got labels later, another left out; what was taken before is gone."""
    folder = deliver(incoming, "2026-11-02", ("ann", "ben", "cem"))
    make_video(folder / "dan.avi", 20, 99)
    assert receive(footage, incoming, context)["2026-11-02"].reason.endswith("1 videos without labels")
    relabel(folder, "ann.avi,0,1,Walking", "ann.avi,0,1,Falling")
    relabel(folder, "cem", "dan")
    (folder / "cem.avi").unlink()
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "taken"
    assert "6 clips of 2 classes in 3 videos, instead of what was taken on" in receipt.reason
    (entry,) = footage.ledger.taken
    assert sorted(entry["hashes"]) == ["ann.avi", "ben.avi", "dan.avi"]
    assert sorted(path.name for path in (footage.folder / "2026-11-02").glob("*.avi")) == sorted(entry["hashes"])
    assert (footage.folder / "2026-11-02" / "manifest.csv").read_text().count("ann.avi,0.0,1.0,Falling") == 1
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"


def test_a_delivery_that_failed_is_refused_until_it_or_the_parameters_change(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")

    def receipt(recipe="one"):
        return receive(footage, incoming, context, recipe=recipe)["2026-11-02"]

    footage.transaction.begin()
    taken = receipt()
    (folder / "manifest.csv").touch()  # put right while it was on trial
    footage.transaction.recover()
    refuse(footage, taken, "3 of 9 clips are in quarantine", "one")
    footage.transaction.begin()
    again = receipt()
    assert again.state == "taken"
    footage.transaction.recover()
    refuse(footage, again, "3 of 9 clips are in quarantine", "one")
    refused = receipt()
    assert (refused.state, refused.reason) == ("refused", "3 of 9 clips are in quarantine")
    assert receipt("another").state == "taken"


def test_a_video_that_decides_does_not_come_back_to_be_learnt(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    folder = deliver(incoming, "2026-11-09", ("dan", "eve"), shade=7)
    shutil.copy2(incoming / "2026-11-02" / "ann.avi", folder / "dan.avi")
    receipt = receive(footage, incoming, context)["2026-11-09"]
    assert receipt.code == "delivery.taken-before"
    assert "dan.avi" in receipt.reason


def test_a_video_that_is_in_a_delivery_twice_is_told(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    shutil.copy2(folder / "ann.avi", folder / "ben.avi")
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.code) == ("refused", "delivery.doubles")
    assert "ann.avi" in receipt.reason
    assert "ben.avi" in receipt.reason


def test_a_delivery_that_was_taken_is_hashed_again_only_where_a_file_was_touched(
    footage, incoming, context, monkeypatch
):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hashed = []
    monkeypatch.setattr("pan_core.retraining.inbox.sha256_of", lambda path: hashed.append(path.name) or sha256_of(path))
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"
    assert hashed == []
    (folder / "manifest.csv").touch()
    for _ in range(2):
        assert receive(footage, incoming, context)["2026-11-02"].state == "known"
        assert sorted(hashed) == ["ann.avi", "ben.avi", "cem.avi"]


def test_a_delivery_that_changes_while_it_is_taken_is_left_for_the_next_run(footage, incoming, context, monkeypatch):
    folder = deliver(incoming, "2026-11-02")

    copy = shutil.copy2

    def meanwhile(source, target):
        copy(source, target)
        (folder / "late.avi").touch()

    monkeypatch.setattr("pan_core.retraining.intake.shutil.copy2", meanwhile)
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.code == "delivery.changed"
    assert not footage.ledger.taken
    monkeypatch.undo()
    (folder / "late.avi").unlink()
    assert receive(footage, incoming, context)["2026-11-02"].state == "taken"


def test_a_killed_process_left_a_folder_and_it_is_taken_again(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    (footage.folder / "2026-11-02").mkdir(parents=True)
    assert receive(footage, incoming, context)["2026-11-02"].state == "taken"
    assert (footage.folder / "2026-11-02" / "ann.avi").is_file()


def test_videos_that_decide_may_get_other_labels_and_nothing_else(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    holdout = hold_out(footage, context)
    name = holdout.videos[0].partition("/")[2]
    relabel(folder, f"{name},0,1,Walking", f"{name},0,1,Falling")
    relabel(folder, f"{name},1,2,Falling", f"{name},1,2,Walking")
    assert receive(footage, incoming, context)["2026-11-02"].change == "corrected"
    assert hold_out(footage, context) == holdout
    kept = (folder / name).read_bytes()
    make_video(folder / "other.avi", 20, 99)
    # As `cp` does it: into the very file.
    (folder / name).write_bytes((folder / "other.avi").read_bytes())
    (folder / "other.avi").unlink()
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.code) == ("refused", "delivery.holdout-changed")
    assert name in receipt.reason
    assert (footage.folder / "2026-11-02" / name).read_bytes() == kept


def test_a_run_in_which_all_was_refused_is_told(footage, incoming, context):
    deliver(incoming, "november")
    found = receive(footage, incoming, context)
    with refused("retraining.all-refused", DataError) as caught:
        require_taken(list(found.values()))
    assert "november" in str(caught.value)
    deliver(incoming, "2026-11-02")
    require_taken(list(receive(footage, incoming, context).values()))
