"""Colours of a person's clothes, by which people who cross or come back are told apart."""

import cv2
import numpy as np

from pan_core.skeletons import OPENPOSE18

# Upper body, then legs: lines between two joints, on which clothes are seen whichever way somebody stands.
PARTS = (
    (("neck", "right_hip"), ("neck", "left_hip"), ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip")),
    (
        ("right_hip", "right_knee"),
        ("left_hip", "left_knee"),
        ("right_knee", "right_ankle"),
        ("left_knee", "left_ankle"),
    ),
)
LINES = np.array([[[OPENPOSE18.index(end) for end in line] for line in part] for part in PARTS])  # part, line, end
# Where on a line: not at its ends, which joints hide.
STEPS = np.array([0.25, 0.4, 0.55, 0.7])


def clothing_of(frame: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Median colour of the upper body and of the legs, (2, 3) in CIE Lab of 8 bits; NaN for a part that was not found.

    Args:
        frame: (H, W, 3) uint8, BGR.
        pose: (V, 3) in pixels of the frame.
    """
    ends = pose[LINES]  # part, line, end, 3
    found = (ends[..., 2] > 0).all(axis=-1)
    start, way = ends[..., 0, :2], ends[..., 1, :2] - ends[..., 0, :2]
    places = start[..., None, :] + way[..., None, :] * STEPS[:, None]  # part, line, step, 2
    columns, rows = np.nan_to_num(places).round().astype(int).transpose(3, 0, 1, 2)
    inside = found[..., None] & (columns >= 0) & (rows >= 0) & (columns < frame.shape[1]) & (rows < frame.shape[0])
    taken = frame[np.where(inside, rows, 0), np.where(inside, columns, 0)]
    colours = cv2.cvtColor(taken.reshape(1, -1, 3), cv2.COLOR_BGR2LAB).reshape(taken.shape).astype(float)
    return np.array(
        [
            np.median(part[there], axis=0) if there.any() else np.full(3, np.nan)
            for part, there in zip(colours, inside, strict=True)
        ]
    )


def clothing_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance of the colours of the parts that both have, of 1 for as far as black is from white; NaN where there is none."""
    apart = np.linalg.norm(first - second, axis=-1) / 255
    both = np.isfinite(apart)
    return float(apart[both].mean()) if both.any() else float("nan")
