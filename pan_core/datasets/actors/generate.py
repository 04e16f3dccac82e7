"""The dataset on disk: videos under UCF101's naming, its split lists, and the truth beside them.

    videos/<Class>/v_<Class>_gNN_cMM.avi     MPEG-4 in AVI, as UCF101 has it
    splits/classInd.txt, trainlist0S.txt, testlist0S.txt
    truth/poses/                             true joints, a pose set
    truth/segments.parquet                   true segments

The truth is for evaluation only.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pan_core.datasets.actors.choreography import ActionSegment
from pan_core.datasets.actors.listing import ActorsSettings, ClipKey, clip_keys, write_split_lists
from pan_core.datasets.actors.scenes import clip_scene
from pan_core.errors import DataError, VideoError
from pan_core.files import atomic_path, read_json, require_space, sha256_of, write_json
from pan_core.pose.pose_set import ClipPoses, write_pose_set
from pan_core.skeletons import OPENPOSE18
from pan_core.tables import write_table
from pan_core.workers.pool import process_pool

RECIPE = 6  # goes up when the same settings give other videos

Result = tuple[np.ndarray, list[ActionSegment], str]


def generate(
    folder: Path,
    *,
    settings: ActorsSettings,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make the dataset, or what is missing of it.

    Each video appears whole or not at all, and one that exists is kept, so an interrupted run goes on where it
    stopped. Each clip is drawn from a seed sequence of its own, so the number of workers changes nothing.

    Args:
        folder: Where the dataset goes.
        settings: What it consists of.
        workers: Processes; 1 works in this one.
        progress: Called with the number of clips done and of all clips.

    Raises:
        DataError: Where the folder holds the dataset of other settings.
        PanError: Where the disk is too small.
        VideoError: Where OpenCV cannot write a video.
    """
    keys = clip_keys(settings)
    _claim(folder, settings)
    missing = sum(not (folder / "videos" / key.path).is_file() for key in keys)
    frame_bytes = settings.width * settings.height // 8  # a quarter more than the busiest clip takes
    require_space(folder, missing * settings.max_frames * frame_bytes, "the actors dataset")
    write_split_lists(folder / "splits", settings)
    clips, segments = [], []
    for done, (key, (joints, parts, digest)) in enumerate(
        zip(keys, _make_clips(folder, settings, keys, workers), strict=True), start=1
    ):
        clips.append(_clip_poses(key, joints, digest, settings))
        segments += _segment_rows(key, parts)
        if progress is not None:
            progress(done, len(keys))
    write_pose_set(folder / "truth" / "poses", OPENPOSE18, clips)
    write_table(pd.DataFrame(segments), "segments", folder / "truth" / "segments.parquet")


def _claim(folder: Path, settings: ActorsSettings) -> None:
    """Note the settings in the folder; refuse to mix videos of two datasets."""
    mark = folder / "settings.json"
    wanted = {"recipe": RECIPE, **asdict(settings), "classes": list(settings.classes)}
    if not mark.is_file():
        write_json(mark, wanted)
        return
    found = read_json(mark)
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    if changed:
        raise DataError(
            f"{folder}: holds the actors dataset of other settings ({', '.join(changed)} differ); "
            "delete the folder or choose another one",
            code="actors.other-settings",
        )


def _make_clips(folder: Path, settings: ActorsSettings, keys: list[ClipKey], workers: int) -> Iterable[Result]:
    work = partial(make_clip, folder / "videos", settings)
    if workers <= 1:
        return map(work, keys)
    return _make_in_pool(work, keys, workers)


def _make_in_pool(work: Callable[[ClipKey], Result], keys: list[ClipKey], workers: int) -> Iterator[Result]:
    pool = process_pool(workers)
    try:
        yield from pool.map(work, keys, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def make_clip(videos: Path, settings: ActorsSettings, key: ClipKey) -> Result:
    """Write one video where it is missing; return its true joints (1, T, 18, 3), its segments and its hash."""
    scene, segments = clip_scene(
        seed=settings.seed,
        label=key.label,
        group=key.group,
        clip=key.clip,
        frames=(settings.min_frames, settings.max_frames),
        fps=settings.fps,
        width=settings.width,
        height=settings.height,
    )
    path = videos / key.path
    if not path.is_file():
        with _one_thread():
            write_video(path, scene.frames(), settings.fps)
    return scene.joints(), segments, sha256_of(path)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep OpenCV to one thread: the work is shared out by clips."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def write_video(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write frames (T, H, W, 3) as MPEG-4 in AVI; whole or not at all.

    Raises:
        VideoError: Where OpenCV refuses.
    """
    height, width = frames.shape[1:3]
    with atomic_path(path) as partial_path:
        codec = cv2.VideoWriter.fourcc(*"XVID")
        writer = cv2.VideoWriter(str(partial_path), cv2.CAP_FFMPEG, codec, fps, (width, height))
        if not writer.isOpened():
            raise VideoError(
                f"{path}: OpenCV cannot write MPEG-4 video here, expected a build with FFmpeg; "
                "install the opencv-python wheel of PyPI",
                code="actors.no-encoder",
            )
        for frame in frames:
            writer.write(frame)
        writer.release()


def _clip_poses(key: ClipKey, joints: np.ndarray, digest: str, settings: ActorsSettings) -> ClipPoses:
    return ClipPoses(
        clip_id=key.clip_id,
        joints=joints,
        fps=settings.fps,
        width=settings.width,
        height=settings.height,
        extractor="annotated",
        video_sha256=digest,
    )


def _segment_rows(key: ClipKey, segments: list[ActionSegment]) -> list[dict[str, object]]:
    return [{"clip_id": key.clip_id, **asdict(segment), "parent_label": key.label} for segment in segments]
