"""Real videos with boxes of the person who matters: the clips of JHMDB, and people who fall at home."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from pan_core.benchmark.poses.actor_boxes import Boxes, box_at, is_on_actor, read_boxes
from pan_core.errors import DataError
from pan_core.pose.extraction import frame_step
from pan_core.pose.main_person import main_person
from pan_core.pose.tracks import VideoPoses
from pan_core.video import FrameReader

JHMDB_BOXES = Path("jhmdb/boxes.csv.gz")
JHMDB_CLIPS = Path("jhmdb/ReCompress_Videos")
FALLS = Path("gmdcsa24")
FALLER_BOXES = Path(__file__).with_name("faller_boxes.csv")
"""Boxes of the people who fall in nine videos of GMDCSA24, drawn by hand in every fourth frame looked at, or where they lie still, seldom."""

Found = Iterable[tuple[str, VideoPoses | None]]


def jhmdb_clips(real: Path, *, every: int = 1) -> dict[str, Path]:
    """Videos of JHMDB by name of the clip, each or every Nth."""
    return {path.stem: path for path in sorted((real / JHMDB_CLIPS).glob("*/*.avi"))[::every]}


def fall_videos(real: Path) -> dict[str, Path]:
    """The annotated falls, by their names below GMDCSA24; some may be missing."""
    return {name: real / FALLS / name for name in read_boxes(FALLER_BOXES, video="video")}


def measure_jhmdb(found: Found, videos: Mapping[str, Path], boxes: Boxes, *, max_fps: float) -> dict:
    """Clips without people, and frames in which the person used for recognition is the annotated actor.

    Args:
        found: Name and poses of each clip, None if nobody was found.
        videos: Name -> video.
        boxes: Box of the actor by clip and frame of the video.
        max_fps: Frames a second looked at, at most.

    Raises:
        DataError: If a clip has no boxes, or no annotated frame is looked at.
    """
    if bare := sorted(videos.keys() - boxes.keys()):
        raise DataError(
            f"{JHMDB_BOXES}: has no box of {bare[0]} ({len(bare)} of {len(videos)} clips); clips and boxes must be those of one download",
            code="benchmark.no-boxes",
        )
    without = hits = frames = 0
    for name, poses in found:
        people = np.empty((0, 0, 0, 3)) if poses is None else poses.joints
        without += not len(people)
        person = people[main_person(people)] if len(people) else np.empty((0, 0, 3))
        step = _step_of(videos[name], max_fps)
        looked = [frame for frame in boxes[name] if frame % step == 0]
        frames += len(looked)
        hits += sum(
            is_on_actor(person[frame // step], boxes[name][frame]) for frame in looked if frame // step < len(person)
        )
    if not frames:
        raise DataError(
            f"{JHMDB_CLIPS}: {len(videos)} clips, but no annotated frame of them to measure on; fetch JHMDB's videos and boxes again",
            code="benchmark.no-frames",
        )
    return {
        "jhmdb_without_people": without, "jhmdb_on_actor": hits / frames, "jhmdb_clips": len(videos), "jhmdb_frames": frames,
    }  # fmt: skip


def measure_falls(found: Found, videos: Mapping[str, Path], boxes: Boxes, *, max_fps: float) -> dict:
    """Frames in which somebody followed is the person who falls, and those in which anybody is followed.

    Args:
        found: Name and poses of each video, None if nobody was found.
        videos: Name -> video.
        boxes: Box of the person who falls, by video and frame; between annotated frames in proportion to the time.
        max_fps: Frames a second looked at, at most.

    Raises:
        DataError: If there are no videos.
    """
    covered = anybody = frames = 0
    for name, poses in found:
        if poses is None:
            frames += _count_frames(videos[name], max_fps)
            continue
        people, step = poses.joints, _step_of(videos[name], max_fps)
        frames += poses.tracks.frames
        for frame in range(poses.tracks.frames):
            box = box_at(boxes[name], frame * step)
            covered += any(is_on_actor(person[frame], box) for person in people)
            anybody += bool((people[:, frame, :, 2] > 0).any())
    if not frames:
        raise DataError(f"{FALLS}: no videos of falls to measure on; fetch them again", code="benchmark.no-frames")
    return {"falls_covered": covered / frames, "falls_anybody": anybody / frames, "falls_frames": frames}


def _step_of(video: Path, max_fps: float) -> int:
    with FrameReader(video) as reader:
        return frame_step(reader.fps, max_fps)


def _count_frames(video: Path, max_fps: float) -> int:
    with FrameReader(video) as reader:
        return sum(1 for _ in reader.frames(step=frame_step(reader.fps, max_fps)))
