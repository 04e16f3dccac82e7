import numpy as np
import pandas as pd
import pytest
from refusals import refused

import pan_core.quality.summary
from pan_core.errors import DataError
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.quality import summarise
from pan_core.skeletons import PENN13

V = PENN13.size


def clip_table(*clip_ids: str) -> pd.DataFrame:
    return pd.DataFrame({"clip_id": clip_ids, "label": "run", "split1": "train", "n_frames": 99, "fps": 30.0})


def poses_of(tmp_path, *clips: ClipPoses) -> PoseSet:
    write_pose_set(tmp_path / "poses", PENN13, clips)
    return PoseSet(tmp_path / "poses")


def clip(clip_id: str, joints: np.ndarray, fps: float = 10.0) -> ClipPoses:
    # The diagonal of a picture of 30 x 40 is 50 pixels.
    return ClipPoses(clip_id=clip_id, joints=joints, fps=fps, width=30, height=40, extractor="test")


def test_one_clip_by_hand(tmp_path):
    # One person, three frames, only joint 0 is found, and not in the last frame; between the first two it moves by
    # (3, 4), which is 5 pixels or a tenth of the diagonal, at 10 poses a second: 1 diagonal a second.
    joints = np.full((1, 3, V, 3), np.nan)
    joints[..., 2] = 0
    joints[0, 0, 0], joints[0, 1, 0] = (1, 1, 0.6), (4, 5, 0.8)
    row = summarise(clip_table("a"), poses_of(tmp_path, clip("a", joints)), split="split1").iloc[0]
    assert (row["clip_id"], row["label"], row["part"], row["n_frames"], row["fps"]) == ("a", "run", "train", 3, 10.0)
    assert row["people"] == 1
    assert row["visible_joint_share"] == pytest.approx(2 / (3 * V))
    assert row["mean_score"] == pytest.approx(0.7)
    assert row["motion"] == pytest.approx(1.0)
    assert row["max_score"] == pytest.approx(0.8)
    assert (row["level_share"], row["inside_share"]) == (0, 1)
    assert row["person_share"] == pytest.approx(2 / 3)
    assert np.isnan(row["jitter"])


def test_joints_outside_the_picture_and_annotated_scores(tmp_path):
    # One joint far outside of 30 x 40, one just inside the margin of 5 %, one inside; scores 0.5, 1 and 0.9.
    joints = np.zeros((1, 1, V, 3))
    joints[0, 0, :3] = (100, 20, 0.5), (31, 20, 1), (10, 20, 0.9)
    row = summarise(clip_table("a"), poses_of(tmp_path, clip("a", joints)), split="split1").iloc[0]
    assert (row["inside_share"], row["level_share"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_jitter_of_a_joint_that_turns_back(tmp_path):
    # From 10 to 15 and back to 10: the second difference is 10 pixels, a fifth of the diagonal.
    joints = np.full((1, 3, V, 3), np.nan)
    joints[..., 2] = 0
    joints[0, :, 0] = (10, 10, 1), (15, 10, 1), (10, 10, 1)
    row = summarise(clip_table("a"), poses_of(tmp_path, clip("a", joints)), split="split1").iloc[0]
    assert row["jitter"] == pytest.approx(0.2)


def test_the_step_from_one_person_to_the_next_is_no_motion(tmp_path):
    # Two people who stand still, far apart.
    joints = np.ones((2, 4, V, 3))
    joints[1, ..., :2] = 25
    assert summarise(clip_table("a"), poses_of(tmp_path, clip("a", joints)), split="split1")["motion"].tolist() == [0]


def test_a_clip_without_people_or_without_poses_stays_in(tmp_path):
    poses = poses_of(tmp_path, clip("empty", np.zeros((0, 5, V, 3))), clip("a", np.ones((1, 5, V, 3))))
    table = summarise(clip_table("empty", "a", "lost"), poses, split="split1").set_index("clip_id")
    assert table.index.tolist() == ["empty", "a", "lost"]
    assert table["people"].tolist() == [0, 1, 0]
    assert table["n_frames"].tolist() == [5, 5, 99]
    assert table["visible_joint_share"].tolist() == [0, 1, 0]
    assert table["mean_score"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize("rows_at_once", [1, 50, 100_000])
def test_the_whole_equals_a_loop_over_clips(tmp_path, monkeypatch, rows_at_once):
    monkeypatch.setattr(pan_core.quality.summary, "ROWS_AT_ONCE", rows_at_once)
    random = np.random.default_rng(3)
    clips = []
    for number, (people, frames) in enumerate([(1, 7), (2, 1), (0, 4), (3, 9), (1, 30), (2, 12)]):
        joints = random.uniform(0, 30, (people, frames, V, 3))
        joints[..., 2] = np.where(random.random(joints.shape[:3]) < 0.7, random.random(joints.shape[:3]), 0)
        joints[joints[..., 2] == 0, :2] = np.nan
        clips.append(clip(f"clip{number}", joints, fps=number + 1.0))
    table = summarise(clip_table(*(item.clip_id for item in clips)), poses_of(tmp_path, *clips), split="split1")
    for item, row in zip(clips, table.itertuples(), strict=True):
        found = item.joints[..., 2] > 0
        ways = [
            np.hypot(*(item.joints[m, t, v, :2] - item.joints[m, t - 1, v, :2])) * item.fps / 50
            for m in range(found.shape[0])
            for t in range(1, found.shape[1])
            for v in range(V)
            if found[m, t, v] and found[m, t - 1, v]
        ]
        bends = [
            np.hypot(*(item.joints[m, t - 2 : t + 1, v, :2].T @ [1, -2, 1])) / 50
            for m in range(found.shape[0])
            for t in range(2, found.shape[1])
            for v in range(V)
            if found[m, t - 2 : t + 1, v].all()
        ]
        assert row.jitter == pytest.approx(np.mean(bends) if bends else np.nan, nan_ok=True)
        assert row.person_share == pytest.approx(found.any(axis=(0, 2)).mean())
        assert row.max_score == pytest.approx(item.joints[..., 2].max(initial=0))
        assert row.visible_joint_share == pytest.approx(found.mean() if found.size else 0)
        assert row.mean_score == pytest.approx(
            item.joints[..., 2][found].mean() if found.any() else np.nan, nan_ok=True
        )
        assert row.motion == pytest.approx(np.mean(ways) if ways else np.nan, nan_ok=True)


def test_an_unknown_split_is_refused(tmp_path):
    with refused("summary.split", DataError) as caught:
        summarise(clip_table("a"), poses_of(tmp_path, clip("a", np.ones((1, 2, V, 3)))), split="split7")
    assert "'split7'" in str(caught.value)
