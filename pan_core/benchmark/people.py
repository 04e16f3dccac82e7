"""Skeletons of a dataset's videos, and whose skeleton a clip has: anybody's, or that of the person in an annotated box.

Annotated boxes show how much is lost by a wrong person and by wrong joints; nothing that is published as accuracy uses them.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pan_core.datasets.base import Context
from pan_core.errors import PanError, VideoError
from pan_core.files import sha256_of
from pan_core.pose.batch_extraction import STALL_SECONDS, Failure, clip_of, extract_clips
from pan_core.pose.cache import PoseCache
from pan_core.pose.crops import Square
from pan_core.pose.declared import BOX_MARGIN, STANDING_SHARE
from pan_core.pose.estimation import Estimator
from pan_core.pose.extraction import PoseExtractor, extractor_identity, frame_step
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_name
from pan_core.pose.pose_set import ClipPoses
from pan_core.pose.tracks import TrackCollector, VideoPoses, person_scores
from pan_core.progress import progress_bar
from pan_core.skeletons import OPENPOSE18
from pan_core.video import FrameReader
from pan_core.workers.supervised import Heartbeat, TaskFailure, run_supervised

FOUND, NEAREST, IN_BOX = "found", "nearest", "in_box"
"""Everybody whom the extractor found; of them the person nearest the annotated box; the joints that a look into the box shows."""
BOX_METHOD = 2
"""Part of the identity of looks into boxes: raise it whenever a change gives other joints."""


@dataclass(frozen=True)
class PoseRecipe:
    """How skeletons are extracted from videos.

    Attributes:
        network: Pose network.
        settings: How to search and follow.
        device: Where the network runs, as for `extract_clips`; it changes nothing but the time.
    """

    network: Path
    settings: ExtractionSettings
    device: str = "auto"

    @cached_property
    def identity(self) -> str:
        """Hash of everything that the skeletons depend on; one for a whole run, whatever happens to the files meanwhile."""
        return extractor_identity(self.network, settings=self.settings)

    def describe(self) -> dict[str, Any]:
        """Name of the network and the settings."""
        return {"network": network_name(self.network), **asdict(self.settings)}


def extract_people(
    clips: pd.DataFrame,
    folder: Path,
    recipe: PoseRecipe,
    context: Context,
    failures: list[Failure],
    *,
    people: str = FOUND,
    boxes: Mapping[str, np.ndarray] | None = None,
) -> Iterator[ClipPoses]:
    """Skeletons of clips that are a video each; those that have none are added to `failures`.

    What was extracted lies in the pose cache, and is not extracted again.

    Args:
        clips: Clip table.
        folder: Folder that its paths are relative to.
        recipe: How to extract.
        context: Cache and processes.
        failures: Gets an entry for each clip without skeletons.
        people: `FOUND`, `NEAREST` or `IN_BOX`.
        boxes: Box of the person whom the label means in each annotated picture, by clip id; for `NEAREST` and `IN_BOX`.
    """
    rows = {row.clip_id: row for row in clips.itertuples(index=False)}
    videos = {clip_id: folder / row.path for clip_id, row in rows.items()}
    for clip_id in sorted(rows.keys() - boxes.keys()) if boxes is not None else ():
        failures.append(Failure(clip_id, "no annotated box", "boxes.no-clip"))
        del videos[clip_id]
    with progress_bar("look into annotated boxes" if people == IN_BOX else "extract poses", "video") as update:
        results: Iterator[VideoPoses | Failure]
        if people == IN_BOX:
            assert boxes is not None
            results = _look_into_boxes(videos, boxes, recipe, context, update)
        else:
            results = extract_clips(
                videos, model_path=recipe.network, settings=recipe.settings, cache=context.cache / "poses",
                workers=context.workers, device=recipe.device, progress=update,
            )  # fmt: skip
    for clip_id, result in zip(videos, results, strict=True):
        poses = clip_of(result, rows[clip_id])
        if isinstance(poses, Failure):
            failures.append(poses)
        elif people == NEAREST:
            assert boxes is not None
            chosen = nearest_person(poses.joints, spread(boxes[clip_id], poses.joints.shape[1]))
            yield replace(poses, joints=poses.joints[chosen : chosen + 1])
        else:
            yield poses


def spread(boxes: np.ndarray, frames: int) -> np.ndarray:
    """Boxes (T, 4) of the annotated pictures at other moments, (frames, 4).

    JHMDB's pictures are evenly spread over a video's time but for one or two frames.
    """
    return boxes[np.arange(frames) * len(boxes) // frames]


def nearest_person(joints: np.ndarray, boxes: np.ndarray) -> int:
    """Index of the person whose joints' extent overlaps the boxes most: mean over frames of intersection over union.

    Args:
        joints: Shape (M, T, V, 3), M >= 1.
        boxes: Shape (T, 4).
    """
    return int(np.argmax(_overlap(*_extents(joints), boxes).mean(axis=1)))


def _extents(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest x and y of the joints that were found, each (..., 2); none makes an extent of nothing."""
    found = (joints[..., 2] > 0)[..., None]
    low = np.where(found, joints[..., :2], np.inf).min(axis=-2)
    high = np.where(found, joints[..., :2], -np.inf).max(axis=-2)
    return low, high


def _overlap(low: np.ndarray, high: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of extents (..., 2) and boxes (..., 4); 0 for an extent of nothing."""
    shared = np.clip(np.minimum(high, boxes[..., 2:]) - np.maximum(low, boxes[..., :2]), 0, None).prod(axis=-1)
    sizes = np.maximum(high - low, 0).prod(axis=-1) + (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    return shared / (sizes - shared)


@dataclass(frozen=True)
class _BoxedVideo:
    """A video and the boxes of its annotated pictures."""

    path: Path
    boxes: np.ndarray

    def __str__(self) -> str:
        return str(self.path)

    def key(self) -> str:
        """Hash of both."""
        return hashlib.sha256(sha256_of(self.path).encode() + self.boxes.tobytes()).hexdigest()


def _look_into_boxes(
    videos: Mapping[str, Path],
    boxes: Mapping[str, np.ndarray],
    recipe: PoseRecipe,
    context: Context,
    progress: Callable[[int, int], None],
) -> Iterator[VideoPoses | Failure]:
    """What looks into the boxes of each video show; all the work is done before the first result is returned."""
    items = {clip_id: _BoxedVideo(path, boxes[clip_id]) for clip_id, path in videos.items()}
    assert recipe.identity  # known from here on in worker processes too
    look = partial(look_into_boxes, recipe=recipe, cache=context.cache / "poses")
    outcomes: dict[str, str | Failure | TaskFailure] = {}
    for clip_id, outcome in (
        run_supervised(items, look, workers=context.workers, stall_seconds=STALL_SECONDS)
        if context.workers
        else ((clip_id, look(item, None)) for clip_id, item in items.items())
    ):
        outcomes[clip_id] = outcome
        progress(len(outcomes), len(items))
    return (_read_looks(clip_id, outcomes[clip_id], recipe, context.cache / "poses") for clip_id in videos)


def _read_looks(
    clip_id: str, outcome: str | Failure | TaskFailure, recipe: PoseRecipe, cache: Path
) -> VideoPoses | Failure:
    if isinstance(outcome, Failure):
        return replace(outcome, clip_id=clip_id)
    if isinstance(outcome, TaskFailure):
        return Failure(clip_id, outcome.value, "pose.stuck" if outcome is TaskFailure.STUCK else "pose.process-died")
    found = _box_cache(recipe, cache).read(outcome)
    if found is None:
        raise PanError(f"{cache}: the poses of {clip_id} are not there any more; run again", code="pose.entry-lost")
    return replace(found, video_id=clip_id, video_sha256="")


def _box_cache(recipe: PoseRecipe, folder: Path) -> PoseCache:
    return PoseCache(folder, identity=f"{recipe.identity}-boxes-{BOX_METHOD}")


_extractor: tuple[PoseRecipe, PoseExtractor] | None = None


def look_into_boxes(
    video: _BoxedVideo, heartbeat: Heartbeat | None, *, recipe: PoseRecipe, cache: Path
) -> str | Failure:
    """Make sure that the poses in a video's boxes are in the cache; the job of a worker process.

    Returns:
        Key of the entry, or why there is none.
    """
    global _extractor
    key, entries = video.key(), _box_cache(recipe, cache)
    if entries.read(key) is not None:
        return key
    if _extractor is None or _extractor[0] != recipe:
        _extractor = recipe, PoseExtractor(recipe.network, settings=recipe.settings)
    extractor, seen = _extractor[1], TrackCollector(joints=OPENPOSE18.size)
    beat, frames = heartbeat.beat if heartbeat else _ignore_beat, []
    beat()
    try:
        with FrameReader(video.path) as reader:
            step = frame_step(reader.fps, recipe.settings.max_fps)
            for frame in reader.frames(step=step):
                frames.append(frame)
                beat()
    except VideoError as error:
        return Failure("", str(error), error.code)
    for frame, box in zip(frames, spread(video.boxes, len(frames)), strict=True):
        person = look_into_box(extractor.estimator, frame, box)
        seen.add([] if person is None else [(0, person)])
        beat()
    if heartbeat:
        heartbeat.rest()
    width, height = reader.size[1], reader.size[0]
    poses = VideoPoses(
        seen.tracks(), reader.fps / step, width, height, reader.n_frames, recipe.settings.min_person_score,
        f"{recipe.identity}, in annotated boxes",
    )  # fmt: skip
    entries.write(key, poses)
    return key


def _ignore_beat() -> None:
    pass


def look_into_box(estimator: Estimator, frame: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The person in a box of a frame, (V, 3) in its pixels; None if there is none.

    In a wide box people may lie, so each way up is tried. Of several people the one who is seen best and fills the box best.
    """
    sides = box[2:] - box[:2]
    turns = (0,) if sides[1] > STANDING_SHARE * sides[0] else (0, 1, 3)
    squares = [Square((box[:2] + box[2:]) / 2, float(sides.max()) * BOX_MARGIN, turn) for turn in turns]
    people = np.concatenate(estimator.look(frame, squares))
    if not len(people):
        return None
    fit = person_scores(people) * _overlap(*_extents(people), box)
    return people[int(np.argmax(fit))] if fit.max() > 0 else None
