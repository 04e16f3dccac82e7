"""One drawn clip with known joints: its accuracy, what it is worth to a recognizer, and its time."""

import numpy as np
import pytest
from scripted_people import small_network
from scripted_points import poses_of

from pan_core.benchmark.poses.actor_clips import measure_actions, measure_actors
from pan_core.benchmark.poses.frame_cost import time_points, time_video
from pan_core.benchmark.poses.pose_points import PosePoint
from pan_core.model.store import LoadedModel
from pan_core.pose.accuracy import box_sizes
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.skeletons import OPENPOSE18


def as_found(clips, poses):
    return clips.as_clip_poses([("clip", poses)], max_fps=15.0, extractor="script")


def test_true_joints_are_all_right_and_joints_beside_them_all_wrong(clips, waving, tmp_path):
    true = np.where(waving[1][..., 2:] >= 1, waving[1], (np.nan, np.nan, 0))
    found = measure_actors(clips, as_found(clips, poses_of(true)), tmp_path / "right")
    assert (found["pck_0_1"], found["pck_0_05"], found["coverage"]) == (1, 1, 1)
    assert found["oks_ap"] == pytest.approx(1)
    assert (found["actor_clips"], found["actor_frames"]) == (1, 8)
    beside = true + 0.07 * box_sizes(true)[..., None, None] * np.array([1.0, 0, 0])
    found = measure_actors(clips, as_found(clips, poses_of(beside)), tmp_path / "beside")
    assert (found["pck_0_05"], found["pck_0_1"]) == (0, 1)


def test_a_clip_without_people_counts_with_all_its_joints(clips, tmp_path):
    found = measure_actors(clips, as_found(clips, None), tmp_path / "nobody")
    assert (found["pck_0_1"], found["oks_ap"], found["coverage"], found["actor_frames"]) == (0, 0, 0, 8)
    recognizer = LoadedModel(
        small_network(OPENPOSE18), ("Walk", "Wave", "Both"), ("Walk", "Wave"), OPENPOSE18, "online", 32, 15.0, {}
    )
    assert measure_actions(clips, as_found(clips, None), recognizer, tmp_path / "judged") == {"action_accuracy": 0}


def test_the_paper_s_network_from_the_video_to_the_figures(clips, pose_model, tmp_path):
    """A model may be named by its whole path, and nothing is written beside it."""
    beside = sorted(pose_model.parent.iterdir())
    point = PosePoint(str(pose_model), "balanced", pose_model, ExtractionSettings())
    found = clips.as_clip_poses(
        point.extract(clips.videos, cache=tmp_path / "cache", workers=0), max_fps=15.0, extractor=point.identity
    )
    figures = measure_actors(clips, found, tmp_path / "set")
    assert figures["pck_0_1"] > 0.9
    assert figures["actor_frames"] == 8
    assert sorted(pose_model.parent.iterdir()) == beside


def test_the_time_of_a_video_begins_before_it_is_opened_and_the_first_frame_ends_before_the_second(clips, movenet):
    """A clock that goes one step a call: one before the video, one after each of eight frames, one at the end."""
    steps = iter(range(100))
    spent, first, frames = time_video(
        movenet.extractor(), clips.one_of_each_class()[0], clock=lambda: float(next(steps))
    )
    assert (spent, first, frames) == (9, 1, 8)


def test_the_reference_is_as_fast_as_itself_and_every_extraction_is_counted(clips, movenet):
    calls = []
    rows = time_points(
        [movenet, movenet], clips.one_of_each_class(), repeats=2, progress=lambda *done: calls.append(done)
    )
    assert rows[0]["times_faster"] == 1
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(row["ms_per_frame"] > 0 and row["first_frame_ms"] > row["ms_per_frame"] / 8 for row in rows)
