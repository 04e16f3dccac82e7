"""Deliveries: small videos made here, 10 frames a second, with a manifest each."""

import re
import shutil

import cv2
import numpy as np
import pytest

from pan_core.datasets.base import Context
from pan_core.datasets.surveillance import Surveillance
from pan_core.errors import DataError
from pan_core.files import sha256_of
from pan_core.retraining.footage import Footage, require_taken

HEADER = "video,start_s,end_s,label,camera,recorded_at,subject"


def make_video(path, frames=20, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), shade + number, np.uint8))
    writer.release()


def deliver(incoming, name, subjects=("ann", "ben", "cem"), labels=("Walking", "Falling"), *, marker=True, shade=0):
    """Two labelled seconds of each subject for each label, in one video a subject."""
    folder, lines = incoming / name, [HEADER]
    for number, subject in enumerate(subjects):
        make_video(folder / f"{subject}.avi", 20, shade + 40 * number)
        lines += [f"{subject}.avi,{at},{at + 1},{label},hall,2026-11-01,{subject}" for at, label in enumerate(labels)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    if marker:
        (folder / "_SUCCESS").touch()
    return folder


@pytest.fixture
def incoming(tmp_path):
    return tmp_path / "incoming"


@pytest.fixture
def footage(tmp_path):
    return Footage(tmp_path / "footage", tmp_path / "deliveries.json")


@pytest.fixture
def context(tmp_path):
    return Context(tmp_path / "cache")


def receive(footage, incoming, context, *, classes=(), max_unusable=0.1):
    found = footage.receive(incoming, classes=classes, max_unusable=max_unusable, context=context)
    return {receipt.name: receipt for receipt in found}


def hold_out(footage, context, group="auto", **given):
    return footage.hold_out(group=group, folds=3, share=0.15, seed=0, context=context, **given)


def catalogue(footage, tmp_path, context):
    dataset = Surveillance()
    context = Context(context.cache, options={"folder": str(footage.folder), "seed": 0})
    shutil.rmtree(tmp_path / "raw", ignore_errors=True)
    dataset.fetch(tmp_path / "raw", context)
    return dataset.catalogue(tmp_path / "raw", context).clips


def test_a_whole_delivery_is_taken_once_and_nothing_in_the_inbox_changes(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.clips) == ("taken", 6)
    assert receipt.reason == "6 clips of 2 classes in 3 videos"
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"
    assert len(footage.taken) == 1
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir()) == before


def test_a_delivery_without_its_marker_waits(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02", marker=False)
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, footage.taken) == ("waiting", [])
    assert "_SUCCESS" in receipt.reason
    (folder / "_SUCCESS").touch()
    assert receive(footage, incoming, context)["2026-11-02"].state == "taken"


def broken_manifest(folder):
    (folder / "ann.avi").unlink()


def damaged_videos(folder):
    for name in ("ann.avi", "ben.avi"):
        (folder / name).write_text("no video at all")


def rows_of_nonsense(folder):
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(",1,2,", ",2,1,"))


def no_labels(folder):
    (folder / "manifest.csv").unlink()


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "_SUCCESS").touch()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (broken_manifest, "names 1 videos that are not there: ann.avi"),
        (damaged_videos, "4 of 6 rows cannot be used, validate.max_quarantined allows 10%"),
        (rows_of_nonsense, "end_s: expected more than start_s=2"),
        (empty, "no labels found"),
    ],
)
def test_a_delivery_that_cannot_be_used_is_refused_with_the_reason(footage, incoming, context, spoil, said):
    spoil(deliver(incoming, "2026-11-02"))
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "refused"
    assert said in receipt.reason
    assert not footage.taken


@pytest.mark.parametrize("name", ["2026-13-02", "2026-11-2", "november", "20261102"])
def test_a_folder_that_is_no_day_is_refused(footage, incoming, context, name):
    deliver(incoming, name)
    assert "expected a name that begins with a day" in receive(footage, incoming, context)[name].reason


def test_videos_without_labels_wait_for_them(footage, incoming, context):
    no_labels(deliver(incoming, "2026-11-02"))
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert (receipt.state, receipt.reason) == ("unlabelled", "3 videos without labels")


def test_labels_that_nobody_announced_are_refused(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    deliver(incoming, "2026-11-03", ("dan", "eve"), ("Walking", "Fallling"), shade=5)
    receipt = receive(footage, incoming, context)["2026-11-03"]
    assert receipt.state == "refused"
    assert "labels that nobody has announced: Fallling; known are Falling, Walking" in receipt.reason
    assert receive(footage, incoming, context, classes=["Fallling"])["2026-11-03"].state == "taken"


def test_footage_of_one_class_is_refused_at_first_and_welcome_later(footage, incoming, context):
    deliver(incoming, "2026-11-02", labels=("Walking",))
    assert "all of one class (Walking)" in receive(footage, incoming, context)["2026-11-02"].reason
    deliver(incoming, "2026-11-01", shade=9)
    found = receive(footage, incoming, context)
    assert [found[name].state for name in ("2026-11-01", "2026-11-02")] == ["taken", "taken"]


def test_the_same_footage_under_another_name_is_refused(footage, incoming, context):
    shutil.copytree(deliver(incoming, "2026-11-02"), incoming / "2026-11-09")
    found = receive(footage, incoming, context)
    assert found["2026-11-02"].state == "taken"
    assert found["2026-11-09"].reason.startswith("3 of its 3 videos were taken before, such as ann.avi with 2026-11-02")


def relabel(folder, old, new):
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(old, new))


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
    (entry,) = footage.taken
    assert sorted(entry["hashes"]) == ["ann.avi", "ben.avi", "dan.avi"]
    assert sorted(path.name for path in (footage.folder / "2026-11-02").glob("*.avi")) == sorted(entry["hashes"])
    assert (footage.folder / "2026-11-02" / "manifest.csv").read_text().count("ann.avi,0.0,1.0,Falling") == 1
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"


def test_a_delivery_can_be_taken_out_again(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    (folder / "_WITHDRAWN").touch()
    receipt = receive(footage, incoming, context)["2026-11-09"]
    assert (receipt.state, len(footage.taken)) == ("withdrawn", 1)
    assert not (footage.folder / "2026-11-09").exists()
    assert receive(footage, incoming, context)["2026-11-09"].reason.startswith("not in the footage")


def test_videos_that_decide_may_get_other_labels_and_nothing_else(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    holdout = hold_out(footage, context)
    name = holdout.videos[0].partition("/")[2]
    relabel(folder, f"{name},0,1,Walking", f"{name},0,1,Falling")
    assert receive(footage, incoming, context)["2026-11-02"].change == "corrected"
    assert hold_out(footage, context) == holdout
    kept = (folder / name).read_bytes()
    make_video(folder / "other.avi", 20, 99)
    # As `cp` does it: into the very file.
    (folder / name).write_bytes((folder / "other.avi").read_bytes())
    (folder / "other.avi").unlink()
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "refused"
    assert f"1 of its videos decide or validate, such as {name}" in receipt.reason
    assert (footage.folder / "2026-11-02" / name).read_bytes() == kept


def test_a_delivery_of_which_part_decides_can_be_withdrawn_but_not_all_that_decides(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    wider = hold_out(footage, context, least=4, new=["2026-11-09"])
    assert "2026-11-09/dan.avi" in wider.videos
    (folder / "_WITHDRAWN").touch()
    assert receive(footage, incoming, context)["2026-11-09"].state == "withdrawn"
    assert hold_out(footage, context) == drawn
    (incoming / "2026-11-02" / "_WITHDRAWN").touch()
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "refused"
    assert "all videos that decide, or all that validate, are in it" in receipt.reason
    assert [entry["name"] for entry in footage.taken] == ["2026-11-02"]


def test_what_was_withdrawn_does_not_come_back_by_itself_nor_decides_later(footage, incoming, context):
    """Somebody may have learnt from it."""
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    (folder / "_WITHDRAWN").touch()
    receive(footage, incoming, context)
    (folder / "_WITHDRAWN").unlink()
    assert receive(footage, incoming, context)["2026-11-09"].reason.startswith("was withdrawn on")
    folder.rename(incoming / "2026-11-10")
    assert receive(footage, incoming, context)["2026-11-10"].state == "taken"
    assert hold_out(footage, context, least=4, new=["2026-11-10"]) == drawn


def test_footage_on_trial_is_brought_back_unless_it_is_to_stay(footage, incoming, context):
    def content():
        return {
            path.relative_to(footage.folder): path.read_bytes() for path in footage.folder.rglob("*") if path.is_file()
        }

    folder = deliver(incoming, "2026-11-02")
    footage.begin()
    receive(footage, incoming, context)
    footage.recover()
    assert not footage.folder.exists()
    receive(footage, incoming, context)
    before = content()
    other = deliver(incoming, "2026-11-09", ("dan",), shade=7)
    relabel(folder, "ann.avi,0,1,Walking", "ann.avi,0,1,Falling")
    footage.begin()
    receive(footage, incoming, context)
    assert len(footage.taken) == 2
    Footage(footage.folder, footage.folder.with_name("deliveries.json")).recover()  # a later process
    assert content() == before
    footage.begin()
    receive(footage, incoming, context)
    footage.end()
    footage.recover()
    assert len(footage.taken) == 2
    (other / "_WITHDRAWN").touch()
    footage.begin()
    receive(footage, incoming, context)
    footage.recover()
    assert (footage.folder / "2026-11-09" / "dan.avi").is_file()


@pytest.mark.parametrize("version", ["", "outs:\n- md5: b1b8891f4f71ec5b77d5476d84b926d2.dir\n  path: footage\n"])
def test_a_version_that_dvc_was_killed_in_writing_is_none(footage, incoming, context, version):
    described = footage.folder.with_suffix(".dvc")
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    if version:
        described.write_text(version)
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    footage.begin()
    receive(footage, incoming, context)
    described.write_text("outs:\n- md5: 41")
    footage.recover()
    assert [path.name for path in sorted(footage.folder.iterdir()) if path.is_dir()] == ["2026-11-02"]
    assert (described.read_text() if version else described.exists()) == (version or False)


def test_a_delivery_that_failed_is_refused_until_it_or_the_parameters_change(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")

    def receipt(recipe="one"):
        (found,) = footage.receive(incoming, classes=(), max_unusable=0.1, context=context, recipe=recipe)
        return found

    footage.begin()
    taken = receipt()
    (folder / "manifest.csv").touch()  # put right while it was on trial
    footage.recover()
    footage.refuse(taken, "3 of 9 clips are in quarantine", "one")
    footage.begin()
    again = receipt()
    assert again.state == "taken"
    footage.recover()
    footage.refuse(again, "3 of 9 clips are in quarantine", "one")
    refused = receipt()
    assert (refused.state, refused.reason) == ("refused", "3 of 9 clips are in quarantine")
    assert receipt("another").state == "taken"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"stamps": 3}', "{", '{"failed": {"2026-11-02": "x"}, "told": {"a": []}}']
)
def test_a_damaged_memory_costs_work_and_nothing_else(footage, incoming, context, content):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    (footage.folder.parent / "deliveries.json").write_text(content)
    assert receive(footage, incoming, context)["2026-11-02"].state == "known"


def test_people_who_come_first_decide_too_while_too_few_clips_do(footage, incoming, context, tmp_path):
    """Those of whom something was learnt never do, nor does a video that shows one of them beside a new person."""
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context, least=4)
    assert len(drawn.videos) == 1  # two clips, and nobody new
    folder = deliver(incoming, "2026-11-09", ("dan", "eve", "Ben"), shade=7)
    relabel(folder, "dan.avi,1,2,Falling,hall,2026-11-01,dan", "dan.avi,1,2,Falling,hall,2026-11-01,ben")
    receive(footage, incoming, context)
    assert hold_out(footage, context, least=4) == drawn
    wider = hold_out(footage, context, least=4, new=["2026-11-09"])
    assert wider.videos == tuple(sorted((*drawn.videos, "2026-11-09/eve.avi")))
    assert wider.validation == drawn.validation
    parts = catalogue(footage, tmp_path, context).set_index("path")["split1"]
    assert parts.loc["videos/2026-11-09/eve.avi"].eq("test").all()
    deliver(incoming, "2026-11-16", ("fay",), shade=17)
    receive(footage, incoming, context)
    assert hold_out(footage, context, least=4, new=["2026-11-16"]) == wider


def test_first_footage_keeps_what_is_learnt_from_however_many_clips_are_asked_for(footage, incoming, context, tmp_path):
    deliver(incoming, "2026-11-02", ("ann", "ben", "cem", "dan", "eve"))
    receive(footage, incoming, context)
    drawn = hold_out(footage, context, least=100, new=["2026-11-02"])
    assert not set(drawn.videos) & set(drawn.validation)
    assert hold_out(footage, context, least=100) == drawn
    deliver(incoming, "2026-11-03", ("fay",), shade=17)
    receive(footage, incoming, context)
    wider = hold_out(footage, context, least=100, new=["2026-11-03"])
    assert wider.videos == tuple(sorted((*drawn.videos, "2026-11-03/fay.avi")))
    assert set(catalogue(footage, tmp_path, context)["split1"]) == {"train", "val", "test"}


def test_somebody_who_was_corrected_out_does_not_decide_later(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02", ("ann", "ben", "cem", "dan"))
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    (video,) = sorted(
        set(footage.taken[0]["hashes"]) - {name.partition("/")[2] for name in (*drawn.videos, *drawn.validation)}
    )[:1]
    who = video.removesuffix(".avi")
    rows = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join(row for row in rows if not row.startswith(who)) + "\n")
    assert receive(footage, incoming, context)["2026-11-02"].change == "corrected"
    deliver(incoming, "2026-11-09", (who,), shade=7)
    receive(footage, incoming, context)
    assert hold_out(footage, context, least=20, new=["2026-11-09"]) == drawn


def test_a_correction_that_leaves_nothing_to_validate_on_is_told(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    decides, validates = (part[0].partition("/")[2].removesuffix(".avi") for part in (drawn.videos, drawn.validation))
    relabel(folder, f",2026-11-01,{decides}", f",2026-11-01,{validates}")
    receive(footage, incoming, context)
    with pytest.raises(DataError, match="no clip would be left for val"):
        hold_out(footage, context)


def test_a_correction_on_trial_is_taken_again_where_the_trial_does_not_end(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    relabel(folder, "ann.avi,0,1,Walking", "ann.avi,0,1,Falling")
    for _ in range(2):
        footage.begin()
        assert receive(footage, incoming, context)["2026-11-02"].change == "corrected"
        footage.recover()


def test_what_has_a_version_since_is_not_brought_back(footage, incoming, context):
    """Killed after DVC had it; or a person has begun anew, or checked out another version."""
    deliver(incoming, "2026-11-02")
    footage.begin()
    receive(footage, incoming, context)
    footage.folder.with_suffix(".dvc").write_text("md5: 1\n")
    footage.recover()
    assert len(footage.taken) == 1
    footage.begin()
    shutil.rmtree(footage.folder)
    footage.folder.with_suffix(".dvc").unlink()
    footage.recover()
    assert not footage.folder.exists()


def test_a_recovery_that_was_killed_is_gone_on_with(footage, incoming, context, monkeypatch):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    footage.begin()
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    receive(footage, incoming, context)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(footage, "end", interrupt)
        footage.recover()
    footage.recover()
    assert len(footage.taken) == 1


def interrupt():
    raise KeyboardInterrupt


def test_a_video_that_cannot_be_read_never_decides(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan", "eve"), shade=7)
    (folder / "dan.avi").write_text("no video at all")
    assert receive(footage, incoming, context, max_unusable=0.6)["2026-11-09"].state == "taken"
    wider = hold_out(footage, context, least=20, new=["2026-11-09"])
    assert wider.videos == tuple(sorted((*drawn.videos, "2026-11-09/eve.avi")))


def test_a_video_that_decides_does_not_come_back_to_be_learnt(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    folder = deliver(incoming, "2026-11-09", ("dan", "eve"), shade=7)
    shutil.copy2(incoming / "2026-11-02" / "ann.avi", folder / "dan.avi")
    reason = receive(footage, incoming, context)["2026-11-09"].reason
    assert reason.startswith("1 of its 2 videos were taken before, such as dan.avi with 2026-11-02")


def test_a_killed_process_left_a_folder_and_it_is_taken_again(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    (footage.folder / "2026-11-02").mkdir(parents=True)
    assert receive(footage, incoming, context)["2026-11-02"].state == "taken"
    assert (footage.folder / "2026-11-02" / "ann.avi").is_file()


def damaged_ledger(folder):
    (folder / "deliveries.json").write_text("[]")


def no_ledger(folder):
    (folder / "deliveries.json").unlink()


def own_folder(folder):
    (folder / "mine").mkdir()


def lost_folder(folder):
    shutil.rmtree(folder / "2026-11-02")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged_ledger, r"deliveries\.json: damaged; `dvc checkout"),
        (no_ledger, "2026-11-02 is not in deliveries"),
        (own_folder, "mine is not in deliveries"),
        (lost_folder, "2026-11-02 is gone; `dvc checkout"),
    ],
)
def test_footage_that_is_not_as_its_ledger_has_it_is_left_alone(footage, incoming, context, spoil, said):
    folder = deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    shutil.rmtree(folder)
    spoil(footage.folder)
    before = sorted(footage.folder.rglob("*"))
    with pytest.raises(DataError, match=said):
        receive(footage, incoming, context)
    assert sorted(footage.folder.rglob("*")) == before


def test_an_inbox_that_does_not_exist_is_told(footage, incoming, context):
    with pytest.raises(DataError, match="incoming: no such folder; expected the inbox"):
        receive(footage, incoming, context)


def test_a_later_video_of_two_people_moves_nothing_that_came_before(footage, incoming, context, tmp_path):
    """It shows one who is learnt and one who validates: it is unused, and both stay what they were."""
    deliver(incoming, "2026-11-02", ("ann", "ben", "cem", "dan"))
    receive(footage, incoming, context)
    hold_out(footage, context)
    before = catalogue(footage, tmp_path, context).set_index("clip_id")["split1"]
    people = {part: before.index[before == part][0].split("-")[3].split("_")[0] for part in ("train", "val")}
    path = deliver(incoming, "2026-11-03", ("both",), shade=9) / "manifest.csv"
    header, first, second = path.read_text().splitlines()
    lines = [header, first[: -len("both")] + people["train"], second[: -len("both")] + people["val"]]
    path.write_text("\n".join(lines) + "\n")
    receive(footage, incoming, context)
    after = catalogue(footage, tmp_path, context).set_index("clip_id")["split1"]
    assert after[before.index].equals(before)
    assert set(after.drop(before.index)) == {"unused"}


def test_the_holdout_stays_and_its_groups_are_never_learnt(footage, incoming, context, tmp_path):
    """A later delivery brings two new people and the one who is held out: she is neither learnt nor does she decide."""
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    first = hold_out(footage, context)
    assert first.group == "subject"
    assert (len(first.videos), len(first.validation)) == (1, 1)
    held_out = first.videos[0].split("/")[1].removesuffix(".avi")
    deliver(incoming, "2026-11-03", ("dan", "eve", held_out), shade=7)
    receive(footage, incoming, context)
    assert hold_out(footage, context) == first
    clips = catalogue(footage, tmp_path, context)
    parts = clips.groupby("split1")["path"].agg(lambda paths: sorted(set(paths)))
    assert parts["test"] == [f"videos/{first.videos[0]}"]
    assert parts["unused"] == [f"videos/2026-11-03/{held_out}.avi"]
    assert parts["val"] == [f"videos/{first.validation[0]}"]
    assert len(parts["train"]) == 3
    assert held_out not in set(clips.loc[clips["split1"] == "train", "subject"])


def test_a_delivery_that_does_not_say_whose_it_is_is_refused_once_the_holdout_is_of_people(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    folder = deliver(incoming, "2026-11-03", ("dan",), shade=7)
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(",dan\n", ",\n"))
    reason = receive(footage, incoming, context)["2026-11-03"].reason
    assert "2 of 2 rows have no subject" in reason


def test_too_few_groups_for_a_holdout_are_told_and_more_footage_helps(footage, incoming, context):
    deliver(incoming, "2026-11-02", ("ann", "ben"))
    receive(footage, incoming, context)
    with pytest.raises(DataError, match=r"of its 2 groups \(by subject\) one must decide and two be learnt from"):
        hold_out(footage, context)
    deliver(incoming, "2026-11-03", ("cem",), shade=9)
    receive(footage, incoming, context)
    assert hold_out(footage, context).videos


def test_a_holdout_whose_video_is_gone_is_refused(footage, incoming, context, tmp_path):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    path = footage.folder / hold_out(footage, context).videos[0]
    path.unlink()
    with pytest.raises(DataError, match="1 videos that decide or validate are gone"):
        catalogue(footage, tmp_path, context)


def test_a_run_in_which_all_was_refused_is_told(footage, incoming, context):
    deliver(incoming, "november")
    found = receive(footage, incoming, context)
    with pytest.raises(DataError, match="1 deliveries were refused:\n  - november: expected a name"):
        require_taken(list(found.values()))
    deliver(incoming, "2026-11-02")
    require_taken(list(receive(footage, incoming, context).values()))


def test_the_holdout_is_the_part_with_most_of_the_classes(footage, incoming, context):
    """Two of the four fall; whatever the seed, one of them decides and the other can be learnt from."""
    path = deliver(incoming, "2026-11-02", ("ann", "ben", "cem", "dan")) / "manifest.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "Falling" not in line or line[:3] in ("ann", "ben")) + "\n")
    receive(footage, incoming, context)
    for seed in range(4):
        (footage.folder / "holdout.json").unlink(missing_ok=True)
        found = footage.hold_out(group="auto", folds=4, share=0.15, seed=seed, context=context)
        assert found.videos in (("2026-11-02/ann.avi",), ("2026-11-02/ben.avi",))


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


def test_a_holdout_stays_with_the_group_by_which_it_was_drawn(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context, "subject")
    assert hold_out(footage, context, "auto") == drawn
    with pytest.raises(DataError, match="drawn by subject and stays"):
        hold_out(footage, context, "camera")


@pytest.mark.parametrize("spelled", [str.upper, " ".join, "{}_".format])
def test_another_spelling_of_who_decides_is_not_learnt_from(footage, incoming, context, tmp_path, spelled):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    decides = hold_out(footage, context, "subject").videos[0].rpartition("/")[2].removesuffix(".avi")
    deliver(incoming, "2026-11-09", (spelled(decides),), shade=100)
    receive(footage, incoming, context)
    clips = catalogue(footage, tmp_path, context)
    assert set(clips.loc[clips["path"].str.contains("2026-11-09"), "split1"]) == {"unused"}


def test_a_video_that_is_in_a_delivery_twice_is_told(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    shutil.copy2(folder / "ann.avi", folder / "ben.avi")
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "refused"
    assert "2 of its videos are there twice, such as ann.avi and ben.avi" in receipt.reason


def test_a_delivery_that_changes_while_it_is_taken_is_left_for_the_next_run(footage, incoming, context, monkeypatch):
    folder = deliver(incoming, "2026-11-02")

    copy = shutil.copy2

    def meanwhile(source, target):
        copy(source, target)
        (folder / "late.avi").touch()

    monkeypatch.setattr("pan_core.retraining.footage.shutil.copy2", meanwhile)
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert "was changed while it was taken" in receipt.reason
    assert not footage.taken
    monkeypatch.undo()
    (folder / "late.avi").unlink()
    assert receive(footage, incoming, context)["2026-11-02"].state == "taken"


def test_spans_beyond_the_end_of_their_videos_count_as_unusable(footage, incoming, context):
    folder = deliver(incoming, "2026-11-02")
    rows = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join([*rows, "ann.avi,100,102,Walking,hall,2026-11-01,ann"]) + "\n")
    receipt = receive(footage, incoming, context)["2026-11-02"]
    assert receipt.state == "refused"
    assert "1 of 7 rows cannot be used" in receipt.reason


def test_videos_and_a_holdout_that_are_gone_are_told(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    footage.folder.with_suffix(".dvc").touch()
    (footage.folder / "holdout.json").unlink()
    with pytest.raises(DataError, match="is gone; a new one would test on what models have learnt"):
        hold_out(footage, context)
    (footage.folder / "2026-11-02" / "ann.avi").unlink()
    with pytest.raises(DataError, match=r"1 videos are gone, such as .*ann.avi"):
        receive(footage, incoming, context)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe{", b"[]", b'{"group": "nonsense", "videos": ["a"], "validation": ["b"]}',
     b'{"group": "subject", "videos": [1], "validation": ["b"]}', b'{"group": "subject", "videos": [], "validation": ["b"]}'],
)  # fmt: skip
def test_a_damaged_holdout_is_told_with_the_way_back(footage, incoming, context, content):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    hold_out(footage, context)
    (footage.folder / "holdout.json").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*dvc checkout"):
        hold_out(footage, context)


@pytest.mark.parametrize("labels", ["3", "null", '"Walking"'])
def test_a_damaged_ledger_is_told_with_the_way_back(footage, incoming, context, labels):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    path = footage.folder / "deliveries.json"
    path.write_text(re.sub(r'"labels": \[[^]]*\]', f'"labels": {labels}', path.read_text()))
    with pytest.raises(DataError, match=r"damaged.*dvc checkout"):
        receive(footage, incoming, context)
