"""The page says what the result file says, and what is missing."""

import pytest
from refusals import refused

from pan_core.benchmark.poses.pose_page import KEYS, TABLES, describe_keys, read_overlay, write_pose_page
from pan_core.benchmark.poses.pose_parts import COST, COST_KEYS, PARTS

FIGURES = dict.fromkeys(KEYS, 0.5)


def row(network, quality, **figures):
    return {"network": network, "quality": quality, "extractor": f"{network}-{quality}", **FIGURES, **figures}


def result(**changes):
    found = {
        "command": "pan pose benchmark --clips 6", "machine": {"processor": "Z80", "cores": 1, "videos": 16, "repeats": 3, "load": 0.1,
                                                              "load_afterwards": 0.2},
        "missing": {}, "looked_at": None, "reference": row("paper", "reference", ms_per_frame=70.0),
        "points": [row("movenet", "fast", ms_per_frame=6.0, pck_0_1=0.912, switches=4, jhmdb_without_people=9)],
    }  # fmt: skip
    return found | changes


def test_every_figure_of_a_part_has_its_meaning_and_every_column_its_key():
    counts = {"people", "actor_clips", "actor_frames", "falls_frames", "jhmdb_frames", "jitter_joints", "pck_by_joint"}
    assert {key for part in PARTS.values() for key in part.keys} | {*COST_KEYS} == KEYS.keys() | counts
    assert {name: key.part for name, key in KEYS.items()} == {
        name: next((part for part, each in PARTS.items() if name in each.keys), COST) for name in KEYS
    }
    assert {name for names in TABLES.values() for name in names} == KEYS.keys()
    assert describe_keys().keys() == KEYS.keys()


def test_figures_stand_in_the_row_of_their_network_and_quality(tmp_path):
    page = write_pose_page(result(), tmp_path).read_text()
    lines = [line for line in page.splitlines() if line.startswith("| movenet | `fast` |")]
    drawn = next(line for line in lines if "91.2" in line)
    assert drawn.split(" | ")[2:4] == ["6.0", "91.2"]
    assert any(" | 9 | " in line for line in lines)
    assert {path.name for path in tmp_path.iterdir()} == {"pose.md", "pose.svg", "pose_dark.svg"}
    assert "movenet" in (tmp_path / "pose.svg").read_text() or "<svg" in (tmp_path / "pose.svg").read_text()


def test_what_is_missing_is_a_dash_with_its_reason_and_no_picture(tmp_path):
    lacking = dict.fromkeys((*COST_KEYS, "falls_covered", "falls_anybody"))
    page = write_pose_page(
        result(machine={}, missing={"falls": "8 of 9 files are missing", "cost": "no clips"},
               reference=row("paper", "reference", **lacking), points=[row("movenet", "fast", **lacking)]), tmp_path, stem="part",
    ).read_text()  # fmt: skip
    assert "| movenet | `fast` | - |" in page
    assert "- part `falls`: 8 of 9 files are missing" in page
    assert {path.name for path in tmp_path.iterdir()} == {"part.md"}


def test_what_was_looked_at_says_whose_skeletons_it_were(tmp_path):
    (tmp_path / "pose_overlay.csv").write_text(
        "video,frame,on_body,extractor\na,0,1,movenet-fast\na,4,0,movenet-fast\nb,0,1,movenet-fast\nb,8,1,movenet-fast\n"
    )
    looked = read_overlay(tmp_path / "pose_overlay.csv")
    assert looked == {"extractor": "movenet-fast", "frames": 4, "on_body": 3}
    assert "(75 %)" in write_pose_page(result(looked_at=looked), tmp_path).read_text()
    assert "earlier extractor" in write_pose_page(
        result(looked_at=looked | {"extractor": "gone"}), tmp_path
    ).read_text()  # fmt: skip
    assert read_overlay(tmp_path / "none.csv") is None


@pytest.mark.parametrize("text", ["", "video,frame,on_body,extractor\n", "video,frame,on_body,extractor\na,0,,x\n",
                                  "video,frame,on_body,extractor\na,0,1,x\na,1,1,y\n", "video,frame\na,0\n"])  # fmt: skip
def test_answers_that_are_not_filled_in_are_refused(tmp_path, text):
    (tmp_path / "pose_overlay.csv").write_text(text)
    with refused("benchmark.bad-overlay"):
        read_overlay(tmp_path / "pose_overlay.csv")
