"""Falls and clips of JHMDB: the skeleton must be on the person whom the box is around."""

import gzip
import shutil

import numpy as np
import pytest
from grey_videos import write_grey_video
from refusals import refused
from scripted_points import poses_of, skeleton

from pan_core.benchmark.poses.actor_boxes import read_boxes
from pan_core.benchmark.poses.real_videos import FALLER_BOXES, fall_videos, jhmdb_clips, measure_falls, measure_jhmdb
from pan_core.video import probe

FALLER, COAT = skeleton(10, 10), skeleton(400, 10)
BOX = np.array([0.0, 0, 120, 120])


def test_a_fall_is_covered_while_a_skeleton_is_on_the_one_who_falls_not_on_a_coat(tmp_path):
    """Ten frames: the faller is lost after six, the coat is followed all the time."""
    video = write_grey_video(tmp_path / "fall.avi", 10, fps=15, step=20)
    people = np.stack([np.stack([FALLER] * 10), np.stack([COAT] * 10)])
    people[0, 6:] = np.nan, np.nan, 0
    found = measure_falls([("fall", poses_of(people))], {"fall": video}, {"fall": {0: BOX}}, max_fps=15)
    assert found == {"falls_covered": 0.6, "falls_anybody": 1.0, "falls_frames": 10}


def test_a_fall_in_which_nobody_is_found_counts_with_all_its_frames(tmp_path):
    videos = {name: write_grey_video(tmp_path / f"{name}.avi", 10, fps=15, step=20) for name in ("seen", "unseen")}
    found = [("seen", poses_of(np.stack([[FALLER] * 10]))), ("unseen", None)]
    measured = measure_falls(found, videos, {name: {0: BOX} for name in videos}, max_fps=15)
    assert measured == {"falls_covered": 0.5, "falls_anybody": 0.5, "falls_frames": 20}


def test_a_box_is_that_of_the_frame_of_the_video_not_of_the_pose(tmp_path):
    """At 30 frames a second every second one is looked at: pose 4 is frame 8, where the box has gone to the coat."""
    video = write_grey_video(tmp_path / "fall.avi", 10, fps=30, step=20)
    boxes = {"fall": {0: BOX, 7: BOX, 8: np.array([390.0, 0, 510, 120])}}
    found = measure_falls([("fall", poses_of(np.stack([[FALLER] * 5])))], {"fall": video}, boxes, max_fps=15)
    assert found["falls_covered"] == 0.8


def test_the_person_used_for_recognition_must_be_the_annotated_actor(tmp_path):
    """Of two people the one who moves is used; in one clip that is the actor, in the next it is not; the third shows nobody."""
    videos = {
        name: write_grey_video(tmp_path / f"{name}.avi", 10, fps=15, step=20) for name in ("right", "wrong", "nobody")
    }
    still = np.stack([COAT] * 10)
    moving = np.stack([FALLER + np.array([frame, 0, 0]) for frame in range(10)])
    people = poses_of(np.stack([still, moving]))
    boxes = dict.fromkeys(range(10), BOX)
    elsewhere = {frame: np.array([390.0, 0, 510, 120]) for frame in range(10)}
    measured = measure_jhmdb(
        [("right", people), ("wrong", people), ("nobody", None)], videos,
        {"right": boxes, "wrong": elsewhere, "nobody": boxes}, max_fps=15,
    )  # fmt: skip
    assert measured == {
        "jhmdb_without_people": 1, "jhmdb_on_actor": 10 / 30, "jhmdb_clips": 3, "jhmdb_frames": 30,
    }  # fmt: skip


def test_every_annotated_fall_is_there_and_its_boxes_lie_in_the_picture(real_data):
    boxes, videos = read_boxes(FALLER_BOXES, video="video"), fall_videos(real_data)
    assert len(videos) == 9
    for name, video in videos.items():
        info = probe(video)
        assert 0 in boxes[name]
        assert max(boxes[name]) < info.n_frames
        for box in boxes[name].values():
            assert 0 <= box[0] < box[2] <= info.width
            assert 0 <= box[1] < box[3] <= info.height


def test_every_nth_clip_of_jhmdb(real_data):
    clips = jhmdb_clips(real_data)
    assert len(clips) == 928
    assert list(jhmdb_clips(real_data, every=4)) == list(clips)[::4]


@pytest.mark.parametrize("network", ["movenet"])
def test_two_real_clips_from_the_cache_and_from_their_videos_alike(network, movenet, real_data, tmp_path):
    """The second round has no videos to look at: it reads what the first one has stored."""
    clips = dict(list(jhmdb_clips(real_data).items())[:2])
    with gzip.open(real_data / "jhmdb" / "boxes.csv.gz", "rt") as table:
        annotated = sum(row.split(",")[0] in clips for row in table)
    boxes = read_boxes(real_data / "jhmdb" / "boxes.csv.gz", video="clip")
    rounds = []
    for _ in range(2):
        found = movenet.extract(clips, cache=tmp_path / "poses", workers=1)
        rounds.append(measure_jhmdb(found, clips, boxes, max_fps=15))
        stored = sorted((tmp_path / "poses").rglob("*.npz"))
        assert len(stored) == 2
        times = [path.stat().st_mtime_ns for path in stored]
    assert rounds[0] == rounds[1]
    assert times == [path.stat().st_mtime_ns for path in stored]
    assert rounds[0]["jhmdb_frames"] == pytest.approx(annotated / 2, abs=2)  # 30 frames a second
    shutil.rmtree(tmp_path / "poses")


def test_clips_of_another_download_than_their_boxes_are_refused(tmp_path):
    video = write_grey_video(tmp_path / "clip.avi", 10, fps=15, step=20)
    with refused("benchmark.no-boxes") as caught:
        measure_jhmdb([("clip", None)], {"clip": video}, {"other": {0: BOX}}, max_fps=15)
    assert "no box of clip" in str(caught.value)


def test_a_video_that_cannot_be_read_ends_the_part_and_is_named(movenet, tmp_path):
    (tmp_path / "cut.avi").write_bytes(b"RIFF1234AVI ")
    with refused("benchmark.bad-video") as caught:
        list(movenet.extract({"cut": tmp_path / "cut.avi"}, cache=tmp_path / "poses", workers=0))
    assert "cut.avi" in str(caught.value)


def test_nothing_to_measure_is_named(tmp_path):
    """No clip; a clip whose boxes lie in frames that are left out, as it has 30 a second; a box of no frame; no fall."""
    video = write_grey_video(tmp_path / "clip.avi", 10, fps=30, step=20)
    for boxes in ({}, {"clip": {1: BOX, 3: BOX}}, {"clip": {}}):
        with refused("benchmark.no-frames"):
            measure_jhmdb([(name, None) for name in boxes], dict.fromkeys(boxes, video), boxes, max_fps=15)
    with refused("benchmark.no-frames"):
        measure_falls([], {}, {}, max_fps=15)
