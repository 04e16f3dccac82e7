"""Clips of actors as skeletons alone: nothing is rendered, and the errors of a pose network are drawn as well.

A rendered clip and its extraction take about a second and a half of one core, a skeleton 10 ms. So a recognizer can learn from many
more people, views and ways to move than a run could film.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pan_core.datasets.actors.choreography import CLASSES, ActionSegment
from pan_core.datasets.actors.estimated import estimate
from pan_core.datasets.actors.listing import ActorsSettings
from pan_core.datasets.actors.scenes import actor, stage
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import OPENPOSE18

LEAST_SEEN = 6
"""Joints seen in a frame on average; with fewer the clip is drawn again, as nothing can be learnt from it."""
STREAM = 1 << 20
"""Kept apart from the seeds of rendered clips, so that no skeleton is that of a test clip."""


@dataclass(frozen=True)
class SkeletonClip:
    """A clip that was never rendered.

    Attributes:
        label: Its class.
        poses: One person, in the layout openpose18.
        segments: True segments.
    """

    label: str
    poses: ClipPoses
    segments: list[ActionSegment]


def draw_skeletons(settings: ActorsSettings, clips: int, classes: Sequence[str] = CLASSES) -> Iterator[SkeletonClip]:
    """Draw clips of the classes, each with a person of its own.

    Args:
        settings: Seed, lengths, rate and size of the picture, as of rendered clips.
        clips: Number of clips of each class.
        classes: Classes.
    """
    for label in classes:
        for number in range(clips):
            yield _draw_clip(settings, label, number)


def _draw_clip(settings: ActorsSettings, label: str, number: int) -> SkeletonClip:
    who, attempt = actor(settings.seed, STREAM + number), 0
    frames = settings.min_frames, settings.max_frames
    while True:
        rng = np.random.default_rng([settings.seed, STREAM, CLASSES.index(label), number, attempt])
        take = stage(
            label,
            who,
            rng,
            frames=frames,
            fps=settings.fps,
            width=settings.width,
            height=settings.height,
            handheld=True,
        )
        pixels, _ = take.camera.project(take.points[:, : OPENPOSE18.size])
        joints = estimate(pixels, width=settings.width, height=settings.height, rng=rng)
        if (joints[..., 2] > 0).sum(axis=1).mean() >= LEAST_SEEN:
            break
        attempt += 1
    poses = ClipPoses(
        clip_id=f"v_{label}_drawn_c{number:04d}", joints=joints[None], fps=settings.fps, width=settings.width,
        height=settings.height, extractor="drawn",
    )  # fmt: skip
    return SkeletonClip(label, poses, take.segments)
