"""What each quality of pose extraction costs and gives, side by side on the same clips in one run."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.evaluation.clip_scores import hits
from pan_core.model.store import LoadedModel
from pan_core.pose.accuracy import accuracy_of
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.oks import AnnotatedPicture, average_precision, box_areas
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set


@dataclass(frozen=True)
class Point:
    """One quality, measured.

    Attributes:
        quality: Its name.
        ms_per_frame: Processor time for each frame looked at, decoding, searching, tracking and all, in milliseconds.
        pck_0_1: Share of the visible true joints found within a tenth of the person's box.
        pck_0_05: Likewise within a twentieth.
        oks_ap: COCO's average precision over everybody in every frame, with the area of a person taken for 0.53 of the
            box around the joints.
        pck_by_joint: `pck_0_1` of each joint; None where it is never visible.
        coverage: Share of the frames in which the actor was found.
        action_accuracy: Share of the clips that the recognizer recognises by these skeletons.
        frames: Frames looked at.
    """

    quality: str
    ms_per_frame: float
    pck_0_1: float
    pck_0_05: float
    oks_ap: float
    pck_by_joint: dict[str, float | None]
    coverage: float
    action_accuracy: float
    frames: int

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def run_benchmark(
    clips: pd.DataFrame,
    videos: Path,
    truth: PoseSet,
    recognizer: LoadedModel,
    candidates: Mapping[str, tuple[Path, ExtractionSettings]],
    scratch: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Extract every clip at each quality, in turns, so that other work on the machine slows all of them alike.

    Args:
        clips: Clip table; each clip is a whole video.
        videos: Folder of the videos.
        truth: True joints of the clips, visibility in the place of the score.
        recognizer: What says by the skeletons which action a clip is.
        candidates: Pose model and settings, by name of the quality.
        scratch: Folder for the skeletons.
        progress: Called with the clips done and the clips in all.

    Raises:
        DataError: Where there are no clips with true joints.
        VideoError: Where a video cannot be decoded.
    """
    clips = clips[clips["clip_id"].isin(truth.index["clip_id"])]
    if clips.empty:
        raise DataError(
            "no clip has true joints; the qualities are compared on the embedded dataset, `dataset: actors`",
            code="benchmark.no-true-joints",
        )
    extractors = {name: PoseExtractor(model, settings=each) for name, (model, each) in candidates.items()}
    found: dict[str, list[ClipPoses]] = {name: [] for name in candidates}
    spent = dict.fromkeys(candidates, 0.0)
    for done, clip in enumerate(clips.itertuples(index=False), start=1):
        for name, extractor in extractors.items():
            began = time.process_time()
            got = extractor.extract(videos / clip.path)
            spent[name] += time.process_time() - began
            found[name].append(ClipPoses(clip.clip_id, got.joints, got.fps, got.width, got.height, extractor.identity))
        if progress:
            progress(done, len(clips))
    points = []
    for number, (name, poses_of_all) in enumerate(found.items()):
        folder = scratch / str(number)  # a name may be the path of a model
        write_pose_set(folder, extractors[name].layout, iter(poses_of_all))
        poses = PoseSet(folder)
        frames = sum(_count_frames(truth, each) for each in poses_of_all)
        scenes = [scene for each in poses_of_all for scene in scenes_of(each, truth)]
        accuracy = accuracy_of(poses, truth, clips["clip_id"])
        points.append(
            Point(
                quality=name, ms_per_frame=1000 * spent[name] / frames, frames=frames,
                oks_ap=average_precision(scenes, poses.layout), coverage=coverage_of(poses_of_all, truth),
                action_accuracy=sum(hits(recognizer, clips, poses).values()) / len(clips), **accuracy,
            )
        )  # fmt: skip
    return points


def scenes_of(poses: ClipPoses, truth: PoseSet) -> list[AnnotatedPicture]:
    """Every frame of a clip as a picture of its own, with its true people; hidden joints do not count."""
    true = np.array(truth.clip(poses.clip_id).joints)
    true[..., 2] = true[..., 2] >= 1
    frames = poses.joints.shape[1] if len(poses.joints) else true.shape[1]
    places = np.linspace(0, true.shape[1] - 1, frames).round().astype(int)
    scenes = []
    for frame, place in enumerate(places):
        found = poses.joints[:, frame] if len(poses.joints) else np.empty((0, *true.shape[2:]))
        seen = (found[..., 2] > 0).any(axis=1)
        scenes.append(AnnotatedPicture(found[seen], true[:, place], box_areas(true[:, place])))
    return scenes


def coverage_of(clips: Iterable[ClipPoses], truth: PoseSet) -> float:
    """Share of all frames in which the first person has a skeleton."""
    seen = [
        (each.joints[0, ..., 2] > 0).any(axis=1) if len(each.joints) else np.zeros(_count_frames(truth, each), bool)
        for each in clips
    ]
    return float(np.concatenate(seen).mean())


def _count_frames(truth: PoseSet, poses: ClipPoses) -> int:
    """Frames of a clip at the rate of its poses; where nobody was found they hold none."""
    true = truth.clip(poses.clip_id)
    return poses.joints.shape[1] if len(poses.joints) else round(true.joints.shape[1] * poses.fps / true.fps)
