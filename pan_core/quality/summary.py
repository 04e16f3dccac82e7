"""One row a clip: the figures on which a dataset is judged."""

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.pose.pose_set import PoseSet

COLUMNS = (
    "clip_id", "label", "part", "n_frames", "fps", "people", "visible_joint_share", "mean_score", "motion",
    "max_score", "level_share", "inside_share", "person_share", "jitter",
)  # fmt: skip
SUMS = ("found", "score", "way", "pairs", "levels", "inside", "bend", "triples", "seen", "highest")
ROWS_AT_ONCE = 100_000
# Scores of annotated joints.
HIDDEN, VISIBLE = 0.5, 1.0
MARGIN = 0.05


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
        that both show it, in picture diagonals a second, NaN where there is no such pair. `max_score` is the highest
        score; `level_share` the share of found joints whose score is 0.5 or 1, as of annotated ones; `inside_share`
        that of found joints inside the picture, with a margin of 5 % of its sides; `person_share` that of frames in
        which anybody is seen; `jitter` the mean length of the second difference of a joint's place over three
        frames that show it, in picture diagonals.

    Raises:
        DataError: Where `clips` has no column `split`.
    """
    if split not in clips.columns:
        raise DataError(f"clip table: no column {split!r}; it has {', '.join(clips.columns)}", code="summary.split")
    measured = _measure(poses)
    table = clips[["clip_id", "label", split, "n_frames", "fps"]].rename(columns={split: "part"})
    table = table.merge(measured, on="clip_id", how="left", suffixes=("_video", ""))
    for name in ("n_frames", "fps"):
        table[name] = table[name].fillna(table.pop(f"{name}_video"))
    absent = ["people", "visible_joint_share", "person_share"]
    table[absent] = table[absent].fillna(0)
    return table.astype({"n_frames": "int64", "people": "int64"})[list(COLUMNS)]


def _measure(poses: PoseSet) -> pd.DataFrame:
    index = poses.index.reset_index(drop=True)
    rows = (index["people"] * index["frames"]).to_numpy()
    sums = pd.DataFrame(0.0, index=index.index, columns=list(SUMS))
    for block in _split_blocks(index["offset"].to_numpy(), rows):
        sums.iloc[block] = _sum_joints(poses.joints, index.iloc[block])
    diagonal = np.hypot(index["width"], index["height"]).to_numpy()
    found = sums["found"].to_numpy()
    return pd.DataFrame(
        {
            "clip_id": index["clip_id"],
            "n_frames": index["frames"],
            "fps": index["fps"],
            "people": index["people"],
            "visible_joint_share": _divide(found, rows * poses.layout.size, empty=0.0),
            "mean_score": _divide(sums["score"], found),
            "motion": _divide(sums["way"], sums["pairs"]) * index["fps"].to_numpy() / diagonal,
            "max_score": sums["highest"],
            "level_share": _divide(sums["levels"], found),
            "inside_share": _divide(sums["inside"], found),
            "person_share": _divide(sums["seen"], index["frames"], empty=0.0),
            "jitter": _divide(sums["bend"], sums["triples"]) / diagonal,
        }
    )


def _split_blocks(offsets: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    # Clips in the order of the file, cut so that no block needs much memory.
    order = np.argsort(offsets, kind="stable")
    order = order[rows[order] > 0]
    cuts = np.flatnonzero(np.diff(np.cumsum(rows[order]) // ROWS_AT_ONCE)) + 1
    return [block for block in np.split(order, cuts) if block.size]


def _sum_joints(joints: np.ndarray, clips: pd.DataFrame) -> np.ndarray:
    """Sums over each clip's joints, columns `SUMS`, shape (clips, 10).

    The rows of the clips follow one another without a gap.
    """
    lengths = (clips["people"] * clips["frames"]).to_numpy()
    frames = clips["frames"].to_numpy()
    starts, frame_starts = (np.concatenate(([0], np.cumsum(counts)[:-1])) for counts in (lengths, frames))
    first = int(clips["offset"].iloc[0])
    block = np.asarray(joints[first : first + int(lengths.sum())])  # (R, V, 3)
    place, score, found = block[..., :2], block[..., 2], block[..., 2] > 0
    frame = (np.arange(len(block)) - np.repeat(starts, lengths)) % np.repeat(frames, lengths)
    both, triple = np.zeros_like(found), np.zeros_like(found)
    both[1:] = found[1:] & found[:-1] & (frame[1:, None] > 0)
    triple[2:] = both[2:] & both[1:-1]
    size = np.repeat(clips[["width", "height"]].to_numpy(block.dtype), lengths, axis=0)[:, None]
    # Within the margin on either side of the middle; a missing place is NaN and never inside.
    near = np.abs(place - size / 2) <= (0.5 + MARGIN) * size
    inside = found & near[..., 0] & near[..., 1]
    a_row = np.stack(
        [
            found.sum(axis=1),
            np.where(found, score, 0).sum(axis=1, dtype=np.float64),
            np.where(both, _measure_way(place, 1), 0).sum(axis=1, dtype=np.float64),
            both.sum(axis=1),
            ((score == HIDDEN) | (score == VISIBLE)).sum(axis=1),
            inside.sum(axis=1),
            np.where(triple, _measure_way(place, 2), 0).sum(axis=1, dtype=np.float64),
            triple.sum(axis=1),
        ],
        axis=1,
    )
    anybody = np.zeros(int(frames.sum()))
    anybody[(np.repeat(frame_starts, lengths) + frame)[found.any(axis=1)]] = 1
    seen, highest = np.add.reduceat(anybody, frame_starts), np.maximum.reduceat(score.max(axis=1), starts)
    return np.column_stack([np.add.reduceat(a_row, starts, axis=0), seen, highest])


def _measure_way(place: np.ndarray, order: int) -> np.ndarray:
    """Length of the first or second difference from row to row, (R, V)."""
    way = np.zeros(place.shape[:2], place.dtype)
    step = np.diff(place, n=order, axis=0)
    way[order:] = np.sqrt(step[..., 0] ** 2 + step[..., 1] ** 2)
    return way


def _divide(above: np.ndarray | pd.Series, below: np.ndarray | pd.Series, empty: float = np.nan) -> np.ndarray:
    above, below = np.asarray(above), np.asarray(below)
    return np.divide(above, below, out=np.full(len(below), empty), where=below > 0)
