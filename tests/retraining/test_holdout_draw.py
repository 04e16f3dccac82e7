"""Who decides and who validates, at first and later."""

import pytest
from deliveries import catalogue, deliver, hold_out, receive, relabel
from refusals import refused

from pan_core.errors import DataError


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
        set(footage.ledger.taken[0]["hashes"]) - {name.partition("/")[2] for name in (*drawn.videos, *drawn.validation)}
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
    with refused("holdout.part-empty", DataError):
        hold_out(footage, context)


def test_a_video_that_cannot_be_read_never_decides(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context)
    folder = deliver(incoming, "2026-11-09", ("dan", "eve"), shade=7)
    (folder / "dan.avi").write_text("no video at all")
    assert receive(footage, incoming, context, max_unusable=0.6)["2026-11-09"].state == "taken"
    wider = hold_out(footage, context, least=20, new=["2026-11-09"])
    assert wider.videos == tuple(sorted((*drawn.videos, "2026-11-09/eve.avi")))


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


def test_too_few_groups_for_a_holdout_are_told_and_more_footage_helps(footage, incoming, context):
    deliver(incoming, "2026-11-02", ("ann", "ben"))
    receive(footage, incoming, context)
    with refused("holdout.too-few-groups", DataError):
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


def test_the_holdout_is_the_part_with_most_of_the_classes(footage, incoming, context):
    """Two of the four fall; whatever the seed, one of them decides and the other can be learnt from."""
    path = deliver(incoming, "2026-11-02", ("ann", "ben", "cem", "dan")) / "manifest.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "Falling" not in line or line[:3] in ("ann", "ben")) + "\n")
    receive(footage, incoming, context)
    for seed in range(4):
        (footage.folder / "holdout.json").unlink(missing_ok=True)
        found = hold_out(footage, context, folds=4, seed=seed)
        assert found.videos in (("2026-11-02/ann.avi",), ("2026-11-02/ben.avi",))


def test_a_holdout_stays_with_the_group_by_which_it_was_drawn(footage, incoming, context):
    deliver(incoming, "2026-11-02")
    receive(footage, incoming, context)
    drawn = hold_out(footage, context, "subject")
    assert hold_out(footage, context, "auto") == drawn
    with refused("holdout.other-group", DataError):
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
