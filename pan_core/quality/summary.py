"""One row a clip: the figures on which a dataset is judged."""

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.pose.store import PoseSet

COLUMNS = (
    "clip_id", "label", "part", "n_frames", "fps", "people", "visible_joint_share", "mean_score", "motion",
)  # fmt: skip
ROWS_AT_ONCE = 100_000


def summarise(clips: pd.DataFrame, poses: PoseSet, *, split: str) -> pd.DataFrame:
    """The summary table of a dataset.

    Args:
        clips: Clip table; a clip without poses stays in it, with 0 people.
        poses: Its poses.
        split: Column of `clips` that says where a clip stands: train, val, test or unused.

    Returns:
        Columns `COLUMNS`. `n_frames` and `fps` are those of the poses where a clip has any, else of the video;
        `visible_joint_share` is found joints over all joints, people and frames; `mean_score` is the mean of the
        scores of found joints, NaN where there are none; `motion` is the mean way of a joint between two frames
        that both show it, in picture diagonals a second, NaN where there is no such pair.

    Raises:
        DataError: Where `clips` has no column `split`.
    """
    if split not in clips.columns:
        raise DataError(f"clip table: no column {split!r}; it has {', '.join(clips.columns)}")
    measured = _measure(poses)
    table = clips[["clip_id", "label", split, "n_frames", "fps"]].rename(columns={split: "part"})
    table = table.merge(measured, on="clip_id", how="left", suffixes=("_video", ""))
    for name in ("n_frames", "fps"):
        table[name] = table[name].fillna(table.pop(f"{name}_video"))
    table[["people", "visible_joint_share"]] = table[["people", "visible_joint_share"]].fillna(0)
    return table.astype({"n_frames": "int64", "people": "int64"})[list(COLUMNS)]


def _measure(poses: PoseSet) -> pd.DataFrame:
    index = poses.index.reset_index(drop=True)
    rows = (index["people"] * index["frames"]).to_numpy()
    sums = np.zeros((len(index), 4))
    for block in _blocks(index["offset"].to_numpy(), rows):
        sums[block] = _sums(poses.joints, index.iloc[block])
    joints = rows * poses.layout.size
    diagonal = np.hypot(index["width"], index["height"]).to_numpy()
    found, score, way, pairs = sums.T
    return pd.DataFrame(
        {
            "clip_id": index["clip_id"],
            "n_frames": index["frames"],
            "fps": index["fps"],
            "people": index["people"],
            "visible_joint_share": _ratio(found, joints, empty=0.0),
            "mean_score": _ratio(score, found),
            "motion": _ratio(way, pairs) * index["fps"].to_numpy() / diagonal,
        }
    )


def _blocks(offsets: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    # Clips in the order of the file, cut so that no block needs much memory.
    order = np.argsort(offsets, kind="stable")
    order = order[rows[order] > 0]
    cuts = np.flatnonzero(np.diff(np.cumsum(rows[order]) // ROWS_AT_ONCE)) + 1
    return [block for block in np.split(order, cuts) if block.size]


def _sums(joints: np.ndarray, clips: pd.DataFrame) -> np.ndarray:
    """Found joints, their scores, ways between frames and their number, shape (clips, 4).

    The rows of the clips follow one another without a gap.
    """
    lengths = (clips["people"] * clips["frames"]).to_numpy()
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    first = int(clips["offset"].iloc[0])
    block = np.asarray(joints[first : first + int(lengths.sum())])  # (R, V, 3)
    found = block[..., 2] > 0
    frame = (np.arange(len(block)) - np.repeat(starts, lengths)) % np.repeat(clips["frames"].to_numpy(), lengths)
    both = np.zeros_like(found)
    both[1:] = found[1:] & found[:-1] & (frame[1:, None] > 0)
    way = np.zeros(found.shape)
    way[1:] = np.hypot(*np.moveaxis(np.diff(block[..., :2], axis=0), -1, 0))
    a_row = np.stack(
        [
            found.sum(axis=1),
            np.where(found, block[..., 2], 0).sum(axis=1, dtype=np.float64),
            np.where(both, way, 0).sum(axis=1),
            both.sum(axis=1),
        ],
        axis=1,
    )
    return np.add.reduceat(a_row, starts, axis=0)


def _ratio(above: np.ndarray, below: np.ndarray, empty: float = np.nan) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(below), empty), where=below > 0)
