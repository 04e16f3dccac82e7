"""The dataset on disk: videos under UCF101's naming, its split lists, and the truth beside them.

    videos/<Class>/v_<Class>_gNN_cMM.avi     Motion JPEG, written and read by OpenCV itself
    splits/classInd.txt, trainlist0S.txt, testlist0S.txt
    truth/poses/                             true joints, a pose set
    truth/segments.parquet                   true segments

The truth is for evaluation only.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pan_core.datasets.actors.choreography import CLASSES, Segment
from pan_core.datasets.actors.scenes import clip_scene
from pan_core.errors import DataError, VideoError
from pan_core.files import atomic_path, read_json, require_space, sha256_of, write_json
from pan_core.pose.store import ClipPoses, write_pose_set
from pan_core.skeletons import OPENPOSE18
from pan_core.tables import write_table

SPLITS = 3
JPEG_QUALITY = 82
RECIPE = 1  # goes up when the same settings give other videos


@dataclass(frozen=True)
class ActorsSettings:
    """What the dataset consists of.

    Attributes:
        seed: Everything follows from it.
        groups: Number of people; each stands in the test list of one of the three splits.
        clips_per_group: Clips of each class and person.
        fps: Frames a second.
        width: Picture width in pixels.
        height: Picture height in pixels.
        min_frames: Least length of a clip.
        max_frames: Greatest length of a clip.
        classes: The classes to make.
    """

    seed: int = 0
    groups: int = 21
    clips_per_group: int = 1
    fps: float = 15.0
    width: int = 320
    height: int = 240
    min_frames: int = 24
    max_frames: int = 44
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        faults = []
        if self.groups < SPLITS:
            faults.append(f"groups: expected at least {SPLITS}, one a split, but got {self.groups}")
        if not 1 <= self.clips_per_group <= 99:
            faults.append(f"clips_per_group: expected 1..99, but got {self.clips_per_group}")
        if not 12 <= self.min_frames <= self.max_frames:
            faults.append(f"frames: expected 12 <= min <= max, but got {self.min_frames} and {self.max_frames}")
        if self.fps <= 0:
            faults.append(f"fps: expected a positive number, but got {self.fps}")
        if min(self.width, self.height) < 64 or self.width % 2 or self.height % 2:
            faults.append(f"size: expected even sides of at least 64 pixels, but got {self.width}x{self.height}")
        unknown = sorted(set(self.classes) - set(CLASSES))
        if unknown or not self.classes:
            faults.append(f"classes: expected some of {', '.join(CLASSES)}, but got {', '.join(unknown) or 'none'}")
        if faults:
            raise DataError("settings of the actors dataset:\n" + "\n".join(f"  - {fault}" for fault in faults))


@dataclass(frozen=True)
class ClipKey:
    """Which clip: class, person and number."""

    label: str
    group: int
    clip: int

    @property
    def clip_id(self) -> str:
        """Name under UCF101's rule, without the ending."""
        return f"v_{self.label}_g{self.group:02d}_c{self.clip:02d}"

    @property
    def path(self) -> str:
        """Video, relative to the folder of videos."""
        return f"{self.label}/{self.clip_id}.avi"


def clip_keys(settings: ActorsSettings) -> list[ClipKey]:
    """All clips of the dataset."""
    return [
        ClipKey(label, group, clip)
        for label in settings.classes
        for group in range(1, settings.groups + 1)
        for clip in range(1, settings.clips_per_group + 1)
    ]


def test_groups(settings: ActorsSettings, split: int) -> range:
    """Groups in the test list of a split 1..3; of 21 groups 1-7, 8-14 and 15-21."""
    bounds = [round(settings.groups * part / SPLITS) for part in range(SPLITS + 1)]
    return range(bounds[split - 1] + 1, bounds[split] + 1)


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
    frame_bytes = int(0.25 * settings.width * settings.height)
    require_space(folder, missing * settings.max_frames * frame_bytes, "the actors dataset")
    _write_split_lists(folder / "splits", settings)
    clips, segments = [], []
    for done, (key, (joints, parts, digest)) in enumerate(
        zip(keys, _results(folder, settings, keys, workers), strict=True), start=1
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
            "delete the folder or choose another one"
        )


Result = tuple[np.ndarray, list[Segment], str]


def _results(folder: Path, settings: ActorsSettings, keys: list[ClipKey], workers: int) -> Iterable[Result]:
    work = partial(make_clip, folder / "videos", settings)
    if workers <= 1:
        return map(work, keys)
    return _pooled(work, keys, workers)


def _pooled(work: Callable[[ClipKey], Result], keys: list[ClipKey], workers: int) -> Iterator[Result]:
    # Spawned, not forked: a fork of a process with threads, as PyTorch's, may hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
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
    """Write frames (T, H, W, 3) as Motion JPEG in AVI with OpenCV's own encoder; whole or not at all.

    Raises:
        VideoError: Where OpenCV refuses.
    """
    height, width = frames.shape[1:3]
    with atomic_path(path) as partial_path:
        writer = cv2.VideoWriter(
            str(partial_path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height)
        )
        if not writer.isOpened():
            raise VideoError(f"{path}: OpenCV cannot write Motion JPEG here; install the opencv-python wheel of PyPI")
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
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


def _segment_rows(key: ClipKey, segments: list[Segment]) -> list[dict[str, object]]:
    return [{"clip_id": key.clip_id, **asdict(segment), "parent_label": key.label} for segment in segments]


def _write_split_lists(folder: Path, settings: ActorsSettings) -> None:
    numbers = {label: number for number, label in enumerate(settings.classes, start=1)}
    _write_lines(folder / "classInd.txt", [f"{number} {label}" for label, number in numbers.items()])
    for split in range(1, SPLITS + 1):
        held_out = test_groups(settings, split)
        keys = clip_keys(settings)
        train = [f"{key.path} {numbers[key.label]}" for key in keys if key.group not in held_out]
        _write_lines(folder / f"trainlist{split:02d}.txt", train)
        _write_lines(folder / f"testlist{split:02d}.txt", [key.path for key in keys if key.group in held_out])


def _write_lines(path: Path, lines: list[str]) -> None:
    with atomic_path(path) as partial_path:
        partial_path.write_text("".join(f"{line}\n" for line in lines))
