import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.quality import QualityLimits, check_dataset
from pan_core.quality.expectations import KINDS
from pan_core.quality.suite import count_classes
from pan_core.quality.summary import COLUMNS

LABELS = ["jump", "run", "wave"]


@pytest.fixture
def good() -> pd.DataFrame:
    """30 clips, 10 of each label: 6 to train, 2 to validate, 2 to test on; nothing is wrong with any."""
    parts = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    return pd.DataFrame(
        {
            "clip_id": [f"{label}-{number}" for label in LABELS for number in range(10)],
            "label": np.repeat(LABELS, 10),
            "part": parts * 3,
            "n_frames": 40,
            "fps": 15.0,
            "people": 1,
            "visible_joint_share": 0.75,
            "mean_score": 0.5,
            "motion": 0.1,
            "max_score": 0.9,
            "level_share": 0.0,
            "inside_share": 1.0,
            "person_share": 1.0,
            "jitter": 0.01,
        }
    )


def failures(table: pd.DataFrame, **limits) -> dict[str, object]:
    result = check_dataset(table, labels=LABELS, limits=QualityLimits(**limits))
    assert result.passed == (not result.failed)
    return {finding.name: finding.observed for finding in result.failed}


def test_a_good_dataset_passes_with_what_was_seen(good):
    result = check_dataset(good, labels=LABELS)
    assert result.passed
    assert result.checked == 18
    observed = {finding.name: finding.observed for finding in result.findings}
    assert observed["joints found"] == 0.75
    assert observed["keypoint scores"] == 0.5
    assert observed["largest class"] == observed["smallest class"] == 1.0
    assert observed["clip length"] == {"broken": 0, "of": 30}


def test_a_clip_that_stands_twice(good):
    good.loc[1, "clip_id"] = "jump-0"
    result = check_dataset(good, labels=LABELS)
    (finding,) = result.failed
    assert (finding.name, finding.observed, finding.examples) == ("no clip twice", {"broken": 2, "of": 30}, ("jump-0",))


def test_a_label_that_nobody_knows(good):
    good.loc[0, "label"] = "jmup"
    assert failures(good) == {"labels known": {"broken": 1, "of": 30}}


def test_clips_that_are_too_short(good):
    # 4 of 30 is more than the tenth that may differ; 3 would be allowed.
    good.loc[:2, "n_frames"] = 3
    assert failures(good) == {}
    good.loc[3, "n_frames"] = 3
    assert failures(good) == {"clip length": {"broken": 4, "of": 30}}


def test_clips_without_people(good):
    good.loc[:3, "people"] = 0
    assert failures(good) == {"people found": {"broken": 4, "of": 30}}


def test_too_few_joints(good):
    # Half of the clips at 0.75, half at 0.05: 0.4 on average.
    good.loc[good.index % 2 == 0, "visible_joint_share"] = 0.05
    assert failures(good, min_visible_joints=0.5)["joints found"] == pytest.approx(0.4)


def test_scores_that_are_not_scores(good):
    good["mean_score"] = 255.0
    assert failures(good) == {"keypoint scores": 255.0, "score of the middle clip": 255.0}


def test_clips_that_stand_still(good):
    good.loc[:5, "motion"] = 0.0
    assert failures(good) == {"clips move": {"broken": 6, "of": 30}}


def test_a_class_that_is_too_large_and_one_that_is_too_small(good):
    # 10 jump and 10 run against 1 wave, which is to train: an even share is 7 clips.
    table = good[(good["label"] != "wave") | (good["clip_id"] == "wave-0")]
    found = failures(table, largest_class=1.2, smallest_class=0.2)
    assert found["largest class"] == pytest.approx(10 / 7)
    assert found["smallest class"] == pytest.approx(1 / 7)
    assert found["every class in test"] == {"broken": 1, "of": 3}
    assert set(found) == {"largest class", "smallest class", "every class in test"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_that_one_part_lacks(good, part):
    good.loc[(good["label"] == "run") & (good["part"] == part), "part"] = "val"
    (finding,) = check_dataset(good, labels=LABELS).failed
    assert (finding.name, finding.examples) == (f"every class in {part}", ("run",))


def test_a_class_without_any_clip_is_seen_when_the_labels_are_given(good):
    table = good[good["label"] != "wave"]
    assert {finding.name for finding in check_dataset(table, labels=LABELS).failed} == {
        "smallest class", "every class in train", "every class in test",
    }  # fmt: skip
    assert check_dataset(table).passed


def test_scores_of_annotated_joints_have_three_values(good):
    good["level_share"] = 1.0
    assert check_dataset(good, labels=LABELS, kind="annotated").passed
    assert failures(good) == {"scores are a network's": 1.0}
    good.loc[4, "level_share"] = 0.9
    result = check_dataset(good, labels=LABELS, kind="annotated")
    assert result.unusable() == {
        "jump-4": "expected level_share at least 1 (annotated scores are 0, 0.5 or 1)",
    }


@pytest.mark.parametrize("scores", [1.0, 0.0])
def test_supplied_joints_may_have_any_scores(good, scores):
    """By hand, by motion capture or by a network: a file of somebody's does not say which."""
    good["level_share"], good["mean_score"] = scores, max(scores, 0.5)
    assert check_dataset(good, labels=LABELS, kind="supplied").passed
    good["person_share"] = 0.1
    assert {each.name for each in check_dataset(good, labels=LABELS, kind="supplied").failed} == {
        "frames with a person"
    }


def test_a_clip_that_breaks_two_fatal_expectations_has_both_reasons(good):
    good.loc[7, ["inside_share", "max_score"]] = 0.1, 255.0
    good.loc[8, "motion"] = 0.0
    assert check_dataset(good, labels=LABELS).unusable() == {
        "jump-7": "expected max_score at most 1 (scores are at most 1); expected inside_share at least 0.25 "
        "(joints in the picture)",
    }


def test_all_clips_that_break_an_expectation_are_named(good):
    good["inside_share"] = 0.0
    assert len(check_dataset(good, labels=LABELS).unusable()) == 30


def test_trembling_joints_and_frames_without_anybody(good):
    good["jitter"], good["person_share"] = 0.2, 0.25
    assert failures(good) == {"joints are steady": pytest.approx(0.2), "frames with a person": 0.25}


def test_footage_of_cameras(good):
    # Each video has three clips, one of every label, 10 seconds each; in the first video two of them hold at once.
    clips = good.assign(
        path=[f"video{number % 10}.mp4" for number in range(30)],
        camera="hall",
        start_frame=[number // 10 * 150 for number in range(30)],
        n_frames=150,
    )
    clips.loc[10, "start_frame"] = 0
    result = check_dataset(good, labels=LABELS, kind="surveillance", clips=clips)
    assert result.passed
    assert {"one camera a video", "overlap of labels", "no span twice"} <= {item.name for item in result.findings}
    clips.loc[[3, 4], ["label", "start_frame"]] = "run", 150
    clips.loc[5, "camera"] = "yard"
    failed = check_dataset(good, labels=LABELS, kind="surveillance", clips=clips).failed
    assert {item.name: item.examples for item in failed} == {
        "one camera a video": ("video5.mp4",),
        "no span twice": ("video3.mp4", "video4.mp4"),
    }


def test_an_unknown_kind_is_refused(good):
    with refused("quality.kind", DataError) as caught:
        check_dataset(good, kind="films")
    assert all(kind in str(caught.value) for kind in (*KINDS, "'films'"))


def test_unused_clips_are_left_out(good):
    unused = good.assign(part="unused", clip_id=good["clip_id"] + "-unused", n_frames=1)
    assert check_dataset(pd.concat([good, unused]), labels=LABELS).passed


def test_classes_are_counted_by_part(good):
    counts = count_classes(good, ["run", "swim"]).set_index("label")
    assert counts.loc["run", ["train", "val", "test", "clips"]].tolist() == [6, 2, 2, 10]
    assert counts.loc["swim", ["train", "val", "test", "clips"]].tolist() == [0, 0, 0, 0]
    # Ten clips and none: an even share is five.
    assert counts["even_share"].tolist() == [2.0, 0.0]


def test_a_finding_reads_as_a_sentence(good):
    good.loc[0, "label"] = "jmup"
    (finding,) = check_dataset(good, labels=LABELS).failed
    assert str(finding) == (
        "labels known: expected label one of jump, run, wave, but got 1 of 30 that break it, for example jump-0"
    )


def test_a_table_without_its_columns_is_refused(good):
    with refused("quality.columns", DataError) as caught:
        check_dataset(good.drop(columns=["fps", "motion"]))
    assert set(COLUMNS) & set(re.findall(r"\w+", str(caught.value))) == {"fps", "motion"}


def test_a_dataset_without_clips_is_refused(good):
    with refused("quality.empty", DataError):
        check_dataset(good[good["part"] == "unused"], labels=LABELS)


def test_great_expectations_is_silent_and_loaded_only_for_a_check(tmp_path):
    code = (
        "import sys, pan_core.quality; assert 'great_expectations' not in sys.modules\n"
        "import pandas as pd\n"
        "row = dict(clip_id='a', label='x', part='train', n_frames=9, fps=1.0, people=1, visible_joint_share=1.0,\n"
        "           mean_score=0.5, motion=0.1, max_score=0.9, level_share=0.0, inside_share=1.0, person_share=1.0,\n"
        "           jitter=0.0)\n"
        "rows = [row, row | dict(clip_id='b', part='test')]\n"
        "print(pan_core.quality.check_dataset(pd.DataFrame(rows)).passed)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert list(tmp_path.iterdir()) == []
