"""One row a clip: what its poses and its scene look like, small enough to be kept with a model."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pan_core.pose.pose_set import ClipPoses, PoseSet
from pan_core.quality.summary import summarise
from pan_core.tables import check_table

LEAST_JOINTS = 3
"""Found joints from which a skeleton has a box; an ear and an eye say nothing of a person's size."""


MOTION_S = 0.2
"""Seconds over which a joint's way is measured: over one frame annotators often leave a joint where it is, a network's
places tremble, and the figure would depend on the frame rate."""


@dataclass(frozen=True)
class Feature:
    """A number of a clip that can drift.

    Attributes:
        column: Its column of a profile.
        name: What it is, in words.
        unit: What follows a value of it in a sentence.
        step: Smallest difference that means anything; values nearer than this to one another count as equal.
    """

    column: str
    name: str
    unit: str
    step: float

    def written(self, value: float, *, finer: int = 0) -> str:
        """A value for a sentence, to the digits of `step`, or as many more as `finer` says."""
        return f"{value:.{max(0, -int(np.floor(np.log10(self.step)))) + finer}f}"


FEATURES = (
    Feature("person_share", "frames with a person", "of the frames", 0.02),
    Feature("mean_score", "joint score", "on average", 0.01),
    Feature("missing_share", "missing joints", "of the joints", 0.01),
    Feature("height", "person height", "of the picture", 0.01),
    Feature("aspect", "width over height of a skeleton", "", 0.02),
    Feature("motion", "joint speed", "person sizes a second", 0.01),
    Feature("people", "people", "in a clip", 1.0),
    Feature("duration_s", "length of a clip", "s", 0.1),
    Feature("fps", "frame rate of the poses", "frames a second", 1.0),
)
"""Every number of a profile."""


def profile(clips: pd.DataFrame, poses: PoseSet) -> pd.DataFrame:
    """The profile of footage: `clip_id`, `label` and a column for each of `FEATURES`.

    Args:
        clips: Clip table; a clip without poses stays in it, with 0 people.
        poses: Its poses.

    Returns:
        A row a clip. `person_share`, `mean_score`, `people` and `fps` are those of `summarise`, and `missing_share` is
        what its `visible_joint_share` leaves. Of the boxes around each person's found joints in each frame, `height`
        is the median height as a share of the picture's and `aspect` the median width over height, which is above 1
        for somebody who lies. `motion` is the median way of a joint over `MOTION_S`, or over the clip where it is
        shorter, in person sizes a second; a person's size is the median of the longer side of the box, so that it stays the same when
        somebody lies down. All of these, and `mean_score`, are NaN where there is nobody to measure.
    """
    # Every clip counts, whatever its part.
    table = summarise(clips.assign(part="all"), poses, split="part")
    measured = [_measure(poses.clip(clip_id)) if clip_id in poses else _NOTHING for clip_id in table["clip_id"]]
    table[["height", "aspect", "motion"]] = np.array(measured, dtype=float).reshape(-1, 3)
    table["missing_share"] = 1 - table["visible_joint_share"]
    table["duration_s"] = table["n_frames"] / table["fps"]
    columns = ["clip_id", "label", *(feature.column for feature in FEATURES)]
    return check_table(table[columns], "profile", "profile")


_NOTHING = (np.nan, np.nan, np.nan)


def _measure(clip: ClipPoses) -> tuple[float, float, float]:
    """Height, aspect and motion of a clip."""
    found = clip.joints[..., 2] > 0  # M T V
    boxed = found.sum(axis=-1) >= LEAST_JOINTS
    if not boxed.any():
        return _NOTHING
    place = clip.joints[..., :2]
    inside = found[boxed][..., None]  # N V 1
    sides = np.max(place[boxed], axis=1, initial=-np.inf, where=inside) - np.min(
        place[boxed], axis=1, initial=np.inf, where=inside
    )
    # A box is a pixel high at least, so that joints on one line have an aspect.
    width, height = sides[:, 0], np.maximum(sides[:, 1], 1)
    lag = max(1, min(round(MOTION_S * clip.fps), found.shape[1] - 1))
    both = found[:, lag:] & found[:, :-lag]
    ways = np.linalg.norm((place[:, lag:] - place[:, :-lag])[both], axis=-1)
    size = max(1.0, float(np.median(np.maximum(width, height))))
    motion = float(np.median(ways)) * clip.fps / lag / size if ways.size else np.nan
    return float(np.median(height)) / clip.height, float(np.median(width / height)), motion
