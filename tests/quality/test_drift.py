"""Drift of new footage: none between halves of real footage, some where a person is changed, and what cannot be told."""

import html
import json
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from refusals import refused
from scipy.stats import entropy

from pan_core.datasets.base import Context
from pan_core.datasets.registry import dataset_by_name
from pan_core.errors import DataError
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.quality import DriftSettings, check_drift, profile, write_drift
from pan_core.quality.comparison import KNOWN, MEASURED, MISSING
from pan_core.quality.partition import Partition
from pan_core.quality.profiles import FEATURES
from pan_core.skeletons import JHMDB15, PENN13
from pan_core.tables import check_table, read_table, write_table

V = PENN13.size
NAME = {feature.column: feature.name for feature in FEATURES}


def table_of(clips: list[ClipPoses], labels: dict[str, str]) -> pd.DataFrame:
    rows = [
        {"clip_id": clip.clip_id, "label": labels[clip.clip_id], "n_frames": clip.joints.shape[1], "fps": clip.fps}
        for clip in clips
    ]
    return pd.DataFrame(rows)


def profile_of(folder, layout, clips: list[ClipPoses], labels: dict[str, str]) -> pd.DataFrame:
    write_pose_set(folder, layout, clips)
    return profile(table_of(clips, labels), PoseSet(folder))


def footage(clips: int, seed: int = 0, **columns) -> pd.DataFrame:
    """A profile of clips of three classes, whose numbers are drawn from one distribution each."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "clip_id": [f"{seed}-{number}" for number in range(clips)],
            "label": random.choice(["jump", "run", "wave"], clips),
            "person_share": 1.0,
            "mean_score": random.uniform(0.4, 0.6, clips),
            "missing_share": random.uniform(0.0, 0.2, clips),
            "height": random.normal(0.6, 0.05, clips),
            "aspect": random.uniform(0.3, 0.6, clips),
            "motion": random.uniform(0.1, 0.5, clips),
            "people": 1,
            "duration_s": random.uniform(1, 3, clips),
            "fps": 15.0,
        }
    ).assign(**columns)


def moved(quality) -> set[str]:
    return {finding.name for finding in quality.failed}


def finding_of(quality, name: str):
    """The finding of an expectation that is not met."""
    (finding,) = (finding for finding in quality.failed if finding.name == name)
    return finding


# What a clip looks like.


def test_one_clip_by_hand(tmp_path):
    # At 10 poses a second motion is measured over 2 frames. A skeleton 20 wide and 40 high in a picture of 80 x 100
    # moves right by 3 pixels a frame: 30 pixels a second, and a person's size is 40 pixels.
    joints = np.zeros((1, 6, V, 3))
    joints[..., 2] = 0.5
    joints[0, :, 1, :2] = 20, 40
    joints[..., 0] += 3 * np.arange(6)[:, None]
    joints[0, :, 5] = np.nan, np.nan, 0
    clip = ClipPoses(clip_id="a", joints=joints, fps=10.0, width=80, height=100, extractor="test")
    (row,) = profile_of(tmp_path / "poses", PENN13, [clip], {"a": "walk"}).itertuples()
    assert (row.clip_id, row.label, row.people, row.fps, row.person_share) == ("a", "walk", 1, 10.0, 1.0)
    assert row.height == pytest.approx(0.4)
    assert row.aspect == pytest.approx(0.5)
    assert row.motion == pytest.approx(30 / 40)
    assert row.mean_score == pytest.approx(0.5)
    assert row.missing_share == pytest.approx(1 / V)
    assert row.duration_s == pytest.approx(0.6)


def test_clips_of_nobody_of_one_frame_of_one_joint_and_without_poses(tmp_path):
    joints = np.ones((1, 5, V, 3))
    lone = np.full((1, 5, V, 3), np.nan)
    lone[..., 2] = 0
    lone[:, :, 0] = 1
    made = {"nobody": joints[:0], "frame": joints[:, :1], "joint": lone, "still": joints}
    clips = [ClipPoses(name, block, 10.0, 80, 100, "test") for name, block in made.items()]
    write_pose_set(tmp_path / "poses", PENN13, clips)
    table = table_of(clips, dict.fromkeys(made, "x"))
    table.loc[4] = ["lost", "x", 50, 25.0]
    found = profile(table, PoseSet(tmp_path / "poses")).set_index("clip_id")
    assert found.index.tolist() == ["nobody", "frame", "joint", "still", "lost"]
    assert found["height"].isna().tolist() == [True, False, True, False, True]
    assert found["motion"].isna().tolist() == [True, True, True, False, True]
    assert found["mean_score"].isna().tolist() == [True, False, False, False, True]
    assert found["person_share"].tolist() == [0, 1, 1, 1, 0]
    assert found.loc["still", ["motion", "height"]].tolist() == [0, 0.01]
    assert found.loc["lost", "duration_s"] == 2.0


def test_a_profile_is_stored_and_read_back(tmp_path):
    table = footage(50).assign(height=[np.nan, *[0.5] * 49])
    write_table(table, "profile", tmp_path / "profile.parquet")
    pd.testing.assert_frame_equal(
        read_table("profile", tmp_path / "profile.parquet"), check_table(table, "profile", "")
    )
    table.drop(columns="aspect").to_parquet(tmp_path / "profile.parquet")
    with pytest.raises(DataError) as caught:
        read_table("profile", tmp_path / "profile.parquet")
    assert "aspect" in str(caught.value)


# Bins.


def test_bins_hold_about_as_many_clips_each():
    partition = Partition.of_numbers(pd.Series(np.arange(80.0)), step=1.0, bins=8)
    assert partition.expected["bins"] == [9.5, 19.5, 29.5, 39.5, 49.5, 59.5, 69.5]
    assert partition.counts.tolist() == [10] * 8


def test_a_value_that_many_clips_share_is_alone_in_its_bin():
    # 5 % of the clips lack somebody for a while, all others show a person throughout.
    values = pd.Series([0.5, 0.6, 0.7, 0.8, 0.9] + [1.0] * 95)
    partition = Partition.of_numbers(values, step=0.02, bins=8)
    assert partition.expected["bins"] == pytest.approx([0.99, 1.01])
    assert partition.counts.tolist() == [5, 95, 0]


def test_numbers_that_hardly_differ_are_equal():
    for rate in (30.0, 12.5, 15.0):
        partition = Partition.of_numbers(pd.Series([rate] * 50), step=1.0, bins=8)
        found = partition.count(pd.Series([rate * 0.999, rate, rate - 2, rate + 10, np.nan]))
        assert found.tolist() == [1, 2, 1]


def test_a_value_between_two_that_all_clips_have_is_of_neither():
    partition = Partition.of_numbers(pd.Series([15.0] * 50 + [30.0] * 50), step=1.0, bins=8)
    assert partition.expected["bins"] == [14.5, 15.5, 29.5, 30.5]
    assert partition.count(pd.Series([10.0, 15.0, 25.0, 30.0, 60.0])).tolist() == [1] * 5


@pytest.mark.parametrize(("clips", "most"), [(30, 0.1), (200, 0.065)])
def test_chance_is_exceeded_as_often_as_it_says(clips, most):
    """Clips drawn from the distribution of the reference, 3000 times, at a level of 0.05."""
    random = np.random.default_rng(0)
    exceeded = 0
    for _ in range(3000):
        reference = random.multinomial(400, [0.125] * 8)
        expected = (reference + 0.5) / (reference + 0.5).sum()
        partition = Partition({}, reference)
        exceeded += entropy(random.multinomial(clips, [0.125] * 8), expected) > partition.by_chance(clips, 0.05)
    assert 0.035 < exceeded / 3000 < most


def test_the_divergence_is_that_of_scipy():
    reference, new = footage(200), footage(60, seed=1, label="run").assign(height=lambda table: table["height"] - 0.04)
    quality = check_drift(reference, new)
    found = {finding.column: finding for finding in quality.findings if "threshold" in finding.expected}
    partition = found["height"].expected["partition_object"]
    edges = [-np.inf, *partition["bins"], np.inf]
    low, high = partition["tail_weights"]
    counts = [((new["height"] >= a) & (new["height"] < b)).sum() for a, b in pairwise(edges)]
    old = [((reference["height"] >= a) & (reference["height"] < b)).sum() for a, b in pairwise(edges)]
    expected = [low, *partition["weights"], high]
    assert expected == pytest.approx((np.array(old) + 0.5) / (200 + 0.5 * len(old)))
    assert found["height"].observed == pytest.approx(entropy(counts, expected))
    shares = {name: ((reference["label"] == name).sum() + 0.5) / 201.5 for name in ("jump", "run", "wave")}
    assert found["label"].observed == pytest.approx(np.log(1 / shares["run"]))


# Real footage.


@pytest.fixture(scope="module")
def jhmdb(real_data, tmp_path_factory):
    """Clips of the first official split, test and training, each with poses and classes."""
    folder = tmp_path_factory.mktemp("jhmdb14")
    dataset, context = dataset_by_name("jhmdb14"), Context(cache=folder / "cache", mirror=real_data, download=False)
    dataset.fetch(folder / "raw", context)
    clips = dataset.catalogue(folder / "raw", context).clips
    labels = dict(zip(clips["clip_id"], clips["label"], strict=True))
    parts = {part: list(dataset.poses(folder / "raw", clips[clips["split1"] == part])) for part in ("train", "test")}
    return profile_of(folder / "poses", JHMDB15, parts["train"], labels), parts["test"], labels


def joints_changed(clips, change):
    return [replace(clip, joints=change(clip.joints.astype(float))) for clip in clips]


def scaled(joints):
    middle = np.array([160, 120, 0])
    return (joints - middle) * [0.5, 0.5, 1] + middle


def lain(joints):
    """Turned by a quarter around the middle of the picture."""
    return np.stack([joints[..., 1] + 40, 280 - joints[..., 0], joints[..., 2]], axis=-1)


def slowed(joints):
    """Three times as many frames, in between on a straight line."""
    at = np.linspace(0, joints.shape[1] - 1, 3 * joints.shape[1] - 2)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, joints.shape[1] - 1)
    return joints[:, low] + (at - low)[:, None, None] * (joints[:, high] - joints[:, low])


def less_sure(joints):
    return joints * [1, 1, 0.6]


def test_other_people_in_the_same_kind_of_footage_are_no_drift(jhmdb, tmp_path):
    reference, clips, labels = jhmdb
    quality = check_drift(reference, profile_of(tmp_path / "poses", JHMDB15, clips, labels))
    assert moved(quality) == set()
    assert quality.checked == 14


@pytest.mark.parametrize("seed", range(3))
def test_random_halves_of_real_footage_are_no_drift(jhmdb, seed):
    mixed = jhmdb[0].sample(frac=1, random_state=seed)
    assert moved(check_drift(mixed[:216], mixed[216:])) == set()
    assert moved(check_drift(mixed[30:], mixed[:30])) == set()


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (scaled, {"person height"}),
        (lain, {"person height", "width over height of a skeleton"}),
        (slowed, {"joint speed", "length of a clip"}),
        (less_sure, {"joint score"}),
    ],
)
def test_changed_skeletons_are_found_and_nothing_else(jhmdb, tmp_path, change, seen):
    reference, clips, labels = jhmdb
    new = profile_of(tmp_path / "poses", JHMDB15, joints_changed(clips, change), labels)
    assert moved(check_drift(reference, new)) == seen


@pytest.mark.parametrize("clips", [20, 30])
def test_a_large_change_is_found_in_few_clips(jhmdb, tmp_path, clips):
    reference, poses, labels = jhmdb
    new = profile_of(tmp_path / "poses", JHMDB15, joints_changed(poses, scaled), labels).sample(clips, random_state=0)
    assert NAME["height"] in moved(check_drift(reference, new))


def test_a_change_is_told_in_words(jhmdb, tmp_path):
    reference, clips, labels = jhmdb
    new = profile_of(tmp_path / "poses", JHMDB15, joints_changed(clips, scaled), labels)
    (finding,) = check_drift(reference, new).failed
    before, after = reference["height"].median(), new["height"].median()
    assert str(finding).startswith(f"person height: median {before:.2f} -> {after:.2f} of the picture, middle half ")


def test_a_class_that_is_gone_and_one_that_is_new(jhmdb, tmp_path):
    reference, clips, labels = jhmdb
    changed = {clip_id: "swim" if label == "golf" else label for clip_id, label in labels.items()}
    new = profile_of(tmp_path / "poses", JHMDB15, clips, changed)
    result = write_drift(tmp_path / "drift", reference, new)
    assert (result.drifted, result.unknown, result.missing) == ("yes", ("swim",), ("golf",))
    count = (new["label"] == "swim").sum()
    assert len(finding_of(result.quality, KNOWN).broken) == count
    assert f"swim ({count} of 176 clips)" in finding_of(result.quality, KNOWN).words
    missing = finding_of(result.quality, MISSING)
    assert "golf" in missing.expected["value_set"]
    assert re.findall(r"\w+", missing.words)[-1] == "golf"
    assert moved(result.quality) == {"classes are known", "no class is missing", "class mix"}


# What cannot be told, and what is odd.


def test_a_class_that_the_model_knows_without_footage_of_it_is_known():
    new = footage(200, seed=1).assign(label=["swim", *footage(199, seed=1)["label"]])
    assert moved(check_drift(footage(200), new, labels=["swim"])) == set()
    assert moved(check_drift(footage(200), new)) == {"classes are known"}


def test_classes_that_few_clips_lack_by_chance_are_named_and_no_drift(tmp_path):
    # One class in twenty: 40 clips lack it with probability 0.13.
    reference = footage(400).assign(label=[f"class{number % 20:02}" for number in range(400)])
    new = footage(40, seed=1).assign(label=[f"class{number % 19:02}" for number in range(40)])
    result = write_drift(tmp_path / "drift", reference, new)
    assert (result.drifted, result.findings, result.missing) == ("no", (), ("class19",))


@pytest.mark.parametrize("clips", [0, 1, 5, 19])
def test_too_few_clips_are_a_verdict_of_their_own(tmp_path, clips):
    new = footage(clips, seed=1, height=0.1)
    result = write_drift(tmp_path / "drift", footage(200), new)
    assert (result.drifted, result.clips) == ("too few", clips)
    assert result.findings == (f"enough clips: {clips} of the footage, expected 20",)
    assert result.sentence in (tmp_path / "drift" / "index.html").read_text()


def test_too_few_clips_of_the_reference():
    quality = check_drift(footage(5), footage(200, seed=1))
    assert [str(finding) for finding in quality.failed] == ["enough clips: 5 of the reference, expected 20"]


def test_an_unknown_class_is_named_even_in_few_clips(tmp_path):
    result = write_drift(tmp_path / "drift", footage(200), footage(5, seed=1, label="swim"))
    assert (result.drifted, result.unknown) == ("too few", ("swim",))
    finding = finding_of(result.quality, KNOWN)
    assert len(finding.broken) == 5
    assert "swim" in finding.words


def test_footage_of_one_class():
    quality = check_drift(footage(200), footage(200, seed=1, label="run"))
    assert moved(quality) == {"class mix", "no class is missing"}
    missing = finding_of(quality, MISSING)
    assert {"jump", "wave"} <= set(missing.expected["value_set"])
    assert re.findall("jump|run|wave", missing.words) == ["jump", "wave"]
    assert check_drift(footage(200, label="run"), footage(200, seed=1, label="run")).passed


def test_clips_of_nobody_are_drift_and_their_missing_numbers_are_told(tmp_path):
    nobody = {"person_share": 0.0, "missing_share": 1.0, "people": 0, "height": np.nan, "aspect": np.nan,
              "motion": np.nan, "mean_score": np.nan}  # fmt: skip
    new = pd.concat([footage(10, seed=1), footage(90, seed=2, **nobody)])
    result = write_drift(tmp_path / "drift", footage(200), new)
    assert result.drifted == "yes"
    assert {"frames with a person", "missing joints", "people"} < moved(result.quality)
    lacking = finding_of(result.quality, f"{NAME['height']} {MEASURED}")
    assert re.findall(r"\d+", lacking.words) == ["10", "100", "20"]
    all_gone = write_drift(tmp_path / "drift", footage(200), footage(90, seed=2, **nobody))
    assert all_gone.drifted == "yes"
    # Neither has it: nothing moved.
    bare = write_drift(tmp_path / "drift", footage(200, motion=np.nan), footage(200, seed=1, motion=np.nan))
    assert bare.drifted == "no"
    assert len(bare.findings) == 2


def test_a_few_clips_of_nobody_do_not_hide_the_others():
    new = footage(100, seed=1, height=lambda table: table["height"].where(table.index > 4) / 2)
    assert moved(check_drift(footage(200), new)) == {"person height"}


def test_an_outlier_is_no_drift_and_a_constant_that_changes_is():
    new = footage(100, seed=1)
    assert check_drift(footage(200), new.assign(people=[3] + [1] * 99, fps=[60.0] + [15.0] * 99)).passed
    assert moved(check_drift(footage(200), new.assign(fps=14.985))) == set()
    people, rate = check_drift(footage(200), new.assign(people=2, fps=30.0)).failed
    assert "people: median 1 -> 2 in a clip, middle half 1 to 1 -> 2 to 2; clips above 1.5: 0% -> 100%" in str(people)
    assert "frame rate of the poses: median 15 -> 30 frames a second" in str(rate)
    assert "clips above 15.5: 0% -> 100%" in str(rate)


def test_tolerance_is_that_of_the_settings():
    new = footage(200, seed=1, height=lambda table: table["height"] - 0.06)
    assert moved(check_drift(footage(200), new)) == {"person height"}
    assert check_drift(footage(200), new, settings=DriftSettings(divergence=2.0)).passed


def test_a_reference_without_clips_and_a_broken_profile_are_refused():
    with refused("drift.no-reference", DataError):
        check_drift(footage(0), footage(30))
    with pytest.raises(DataError) as caught:
        check_drift(footage(30), footage(30, seed=1, height=-1.0))
    source, *faults = str(caught.value).splitlines()
    assert "footage" in source
    assert any("height" in fault for fault in faults)


# Pages.


def test_pages_pictures_and_json(tmp_path):
    new = footage(100, seed=1, label="<b>", height=lambda table: table["height"] / 2)
    (tmp_path / "drift").mkdir()
    (tmp_path / "drift" / "old.html").write_text("old")
    result = write_drift(tmp_path / "drift", footage(200), new, DriftSettings())
    pages = {page.name for page in (tmp_path / "drift").iterdir()}
    assert pages == {
        "index.html", "footage.html", "footage_expected.html", "reference.html", "reference_expected.html",
        "style.css", "distributions.svg", "classes.svg",
    }  # fmt: skip
    index = (tmp_path / "drift" / "index.html").read_text()
    assert "<h1>Drift: new footage differs in 4 of" in index
    assert all(html.escape(finding) in index for finding in result.findings)
    assert any(finding.startswith(f"{NAME['height']}: median 0.60 -> 0.30 ") for finding in result.findings)
    assert "<b>" not in index
    assert set(re.findall(r'(?:src|href)="([^"]+)"', index)) <= pages
    for name in ("distributions", "classes"):
        assert ElementTree.parse(tmp_path / "drift" / f"{name}.svg").getroot().tag.endswith("svg")
    stated = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert (stated["drifted"], stated["unknown_classes"]) == ("yes", ["<b>"])
    assert set(stated["divergences"]) == {feature.name for feature in FEATURES} | {"class mix"}
    assert stated["divergences"]["person height"]["observed"] > stated["divergences"]["person height"]["limit"]


def test_nothing_is_left_behind_where_a_profile_is_refused(tmp_path):
    with pytest.raises(DataError):
        write_drift(tmp_path / "drift", footage(0), footage(30))
    assert list(tmp_path.iterdir()) == []
