"""Whether the tables of a dataset agree: what no table shows on its own."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from pan_core.errors import DataError

# Length of the poses against that of the clip, in steps of the poses: each end may be off by one.
SLACK_STEPS = 2.0
SHOWN = 3


def check_agreement(clips: pd.DataFrame, segments: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """Clips on which clip table, segments and poses disagree.

    Args:
        clips: Clip table.
        segments: Segment table.
        index: Pose index.

    Returns:
        Columns `clip_id` and `reason`, a row a clip: poses that last longer or shorter than the clip or have another
        picture size, segments beyond the clip's end, of another class, or none at all.

    Raises:
        DataError: Where segments or poses belong to clips that the clip table does not have, so that the tables
            are not of one dataset.
    """
    for name, table, stage in (("segment table", segments, "relabel"), ("pose set", index, "pose")):
        strange = sorted(set(table["clip_id"]) - set(clips["clip_id"]))
        if strange:
            shown = ", ".join(strange[:SHOWN])
            raise DataError(
                f"{name}: {len(strange)} clips are not in the clip table, such as {shown}; the files are not of one "
                f"run, run `dvc repro --force {stage}`",
                code="tables.foreign-clips",
            )
    faults = pd.concat([_compare_poses(clips, index), _compare_segments(clips, segments, index)], ignore_index=True)
    grouped = faults.groupby("clip_id", sort=False)["reason"].agg(lambda reasons: "; ".join(dict.fromkeys(reasons)))
    return grouped.reset_index()


def _compare_poses(clips: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    both = clips.merge(index.reset_index(drop=True), on="clip_id", suffixes=("", "_poses"))
    both["lasts"], both["poses_last"] = both["n_frames"] / both["fps"], both["frames"] / both["fps_poses"]
    slack = SLACK_STEPS * (1 / both["fps_poses"] + 1 / both["fps"])
    other_size = (both["width"] != both["width_poses"]) | (both["height"] != both["height_poses"])
    return pd.concat(
        [
            _list_faults(
                both[(both["lasts"] - both["poses_last"]).abs() > slack],
                lambda row: f"poses last {row.poses_last:.2f} s, expected {row.lasts:.2f} s",
            ),
            _list_faults(
                both[other_size],
                lambda row: (
                    f"poses in a picture of {row.width_poses} x {row.height_poses}, expected {row.width} x {row.height}"
                ),
            ),
        ]
    )


def _compare_segments(clips: pd.DataFrame, segments: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    both = segments.merge(clips[["clip_id", "n_frames", "label"]], on="clip_id", suffixes=("", "_clip"))
    bare = clips["clip_id"].isin(index["clip_id"]) & ~clips["clip_id"].isin(segments["clip_id"])
    return pd.concat(
        [
            _list_faults(
                both[both["end_frame"] > both["n_frames"]],
                lambda row: f"segment {row.label} ends at frame {row.end_frame}, expected at most {row.n_frames}",
            ),
            _list_faults(
                both[both["parent_label"] != both["label_clip"]],
                lambda row: f"segments of class {row.parent_label}, expected {row.label_clip}",
            ),
            _list_faults(clips[bare], lambda row: "no segment, expected at least one"),
        ]
    )


def _list_faults(broken: pd.DataFrame, reason: Callable[[Any], str]) -> pd.DataFrame:
    reasons = [reason(row) for row in broken.itertuples(index=False)]
    return pd.DataFrame({"clip_id": broken["clip_id"].to_numpy(), "reason": pd.Series(reasons, dtype=object)})
