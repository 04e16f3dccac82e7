"""Rows of the segment table, and how near found segments are to true ones."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from pan_core.datasets.taxonomy import Composition

BOUNDARY_METHODS = {"refined": "", "change points": "_change_points", "equal parts": "_equal_split"}
"""Ways to find boundaries, and the ending of their figures' names; the first is the one that is used."""


def segment_rows(
    clip_id: str, label: str, composition: Composition, n_frames: int, boundaries: Sequence[int]
) -> list[dict[str, object]]:
    """Rows of the segment table for one clip.

    Args:
        clip_id: The clip.
        label: Its class, which becomes `parent_label`.
        composition: How the class is made.
        n_frames: Frames of the clip.
        boundaries: Frames at which a sequence goes on to its next part, rising.
    """
    if composition.kind == "together":
        spans = [(0, n_frames)] * len(composition.parts)
    else:
        spans = list(pairwise([0, *boundaries, n_frames]))
    return [
        {"clip_id": clip_id, "start_frame": start, "end_frame": end, "label": part, "parent_label": label}
        for part, (start, end) in zip(composition.parts, spans, strict=True)
    ]


def cut_clips(
    clips: pd.DataFrame, compositions: Mapping[str, Composition], boundaries: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """Segment table of all clips.

    Args:
        clips: Clip table.
        compositions: How each class is made.
        boundaries: Clip id -> frames at which its sequence goes on; only sequences need them.
    """
    rows = []
    for clip in clips.itertuples(index=False):
        own = boundaries.get(clip.clip_id, [])
        rows += segment_rows(clip.clip_id, clip.label, compositions[clip.label], clip.n_frames, own)
    return pd.DataFrame(rows)


def whole_clips(clips: pd.DataFrame) -> pd.DataFrame:
    """Segment table without relabelling: every clip's class is its one action."""
    return clips[["clip_id"]].assign(
        start_frame=0, end_frame=clips["n_frames"], label=clips["label"], parent_label=clips["label"]
    )


def frame_matrix(segments: pd.DataFrame, actions: Sequence[str], n_frames: int) -> np.ndarray:
    """Which actions hold in which frame; rows of one clip -> bool (T, A)."""
    numbers = {action: number for number, action in enumerate(actions)}
    holds = np.zeros((n_frames, len(actions)), dtype=bool)
    for start, end, label in segments[["start_frame", "end_frame", "label"]].itertuples(index=False):
        holds[start:end, numbers[label]] = True
    return holds


def frame_accuracy(found: pd.DataFrame, true: pd.DataFrame, lengths: Mapping[str, int]) -> float:
    """Share of frames whose set of actions is the true one, over the clips named in `lengths`."""
    actions = sorted(set(found["label"]) | set(true["label"]))
    found_by, true_by = dict(list(found.groupby("clip_id"))), dict(list(true.groupby("clip_id")))
    right = total = 0
    for clip_id, n_frames in lengths.items():
        same = frame_matrix(found_by[clip_id], actions, n_frames) == frame_matrix(true_by[clip_id], actions, n_frames)
        right += int(same.all(axis=1).sum())
        total += n_frames
    return right / total if total else float("nan")


def boundary_errors(found: pd.DataFrame, true: pd.DataFrame) -> np.ndarray:
    """Signed error of every boundary inside a clip, in frames: found minus true, in the order of the clips in `true`.

    The n-th boundary of a clip is compared with its n-th true one, so a part may come back later in the clip. Where
    a clip has segments in other numbers or another order than in truth, its boundaries do not correspond and it is
    left out.
    """
    found_by = dict(list(found.groupby("clip_id")))
    errors: list[np.ndarray] = []
    for clip_id, rows in true.groupby("clip_id", sort=False):
        if clip_id in found_by:
            (labels, starts), (true_labels, true_starts) = (_in_order(part) for part in (found_by[clip_id], rows))
            if labels == true_labels:
                errors.append((starts - true_starts)[1:])
    return np.concatenate(errors) if errors else np.zeros(0, dtype=np.int64)


def _in_order(rows: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Labels and first frames of a clip's segments in the order of time."""
    rows = rows.sort_values("start_frame", kind="stable")
    return rows["label"].tolist(), rows["start_frame"].to_numpy()
