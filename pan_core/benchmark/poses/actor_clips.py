"""Test clips of the embedded dataset, whose joints are known: accuracy of the skeletons, and what they are worth to a recognizer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.evaluation.clip_scores import hits
from pan_core.model.store import LoadedModel
from pan_core.pose.accuracy import accuracy_of
from pan_core.pose.extraction import PoseExtractor, frame_step
from pan_core.pose.oks import AnnotatedPicture, average_precision, box_areas
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.pose.tracks import VideoPoses


@dataclass(frozen=True)
class ActorClips:
    """Clips with true joints.

    Attributes:
        table: Clip table; each clip is a whole video.
        folder: Folder of the videos.
        truth: True joints of the clips, visibility in the place of the score.
    """

    table: pd.DataFrame
    folder: Path
    truth: PoseSet

    @cached_property
    def videos(self) -> dict[str, Path]:
        """Clip id -> video."""
        return {clip.clip_id: self.folder / clip.path for clip in self.table.itertuples(index=False)}

    def one_of_each_class(self) -> list[Path]:
        """The first video of each class."""
        return [self.folder / path for path in self.table.groupby("label", sort=True).head(1)["path"]]

    def as_clip_poses(
        self, found: Iterable[tuple[str, VideoPoses | None]], *, max_fps: float, extractor: str
    ) -> list[ClipPoses]:
        """Poses of every clip; one in which nobody was found has no people."""
        rows = {clip.clip_id: clip for clip in self.table.itertuples(index=False)}
        clips = []
        for name, poses in found:
            clip, people = rows[name], np.empty((0, 0, 18, 3), np.float32) if poses is None else poses.joints
            fps = clip.fps / frame_step(clip.fps, max_fps) if poses is None else poses.fps
            clips.append(ClipPoses(name, people, fps, clip.width, clip.height, extractor))
        return clips


def measure_actors(clips: ActorClips, found: Sequence[ClipPoses], scratch: Path) -> dict:
    """PCK of the actor, OKS AP of everybody, and the share of the frames in which the actor has a skeleton.

    Args:
        clips: The clips.
        found: Their poses.
        scratch: Folder for the skeletons.
    """
    poses = _store(found, scratch)
    scenes = [scene for each in found for scene in scenes_of(each, clips.truth)]
    return accuracy_of(poses, clips.truth, clips.table["clip_id"]) | {
        "oks_ap": average_precision(scenes, poses.layout), "coverage": coverage_of(found, clips.truth),
        "actor_clips": len(found), "actor_frames": sum(_count_frames(clips.truth, each) for each in found),
    }  # fmt: skip


def measure_actions(clips: ActorClips, found: Sequence[ClipPoses], recognizer: LoadedModel, scratch: Path) -> dict:
    """Share of the clips that a recognizer recognises by these skeletons."""
    if not any(len(each.joints) for each in found):
        return {"action_accuracy": 0.0}
    right = hits(recognizer, clips.table, _store(found, scratch))
    return {"action_accuracy": sum(right.values()) / len(clips.table)}


def _store(found: Sequence[ClipPoses], folder: Path) -> PoseSet:
    write_pose_set(folder, PoseExtractor.layout, iter(found))
    return PoseSet(folder)


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
