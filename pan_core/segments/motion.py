"""Change points of pose motion: boundaries of a sequence without any model of its actions, found with ruptures."""

import numpy as np

from pan_core.datasets.taxonomy import Composition
from pan_core.model.missing import UnseenPlacer, bridge_gaps, seen_joints
from pan_core.pose.main_person import main_person
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import SkeletonLayout

SMOOTHING_S = 0.2


def motion_signal(joints: np.ndarray, layout: SkeletonLayout, fps: float) -> np.ndarray:
    """What changes when one action gives way to the next, each column with unit variance.

    Columns: the posture (joints relative to the root in torso lengths) and the speed of every joint (torso lengths
    a second), both smoothed over 0.2 s; posture enters by its first principal components, so that many joints do
    not drown the few speeds.

    Args:
        joints: One person, shape (T, V, 3).
        layout: Layout of the joints.
        fps: Poses a second.

    Returns:
        Shape (T, F).
    """
    from scipy.ndimage import uniform_filter1d  # late: start-up

    seen = seen_joints(joints)[None]
    place = UnseenPlacer(layout)(*bridge_gaps(joints[None, ..., :2].astype(np.float64), seen))[0]  # T V 2
    root = place[:, list(layout.root)].mean(axis=1, keepdims=True)  # T 1 2
    upper, lower = (place[:, list(group)].mean(axis=1) for group in layout.torso)
    torso = max(float(np.median(np.linalg.norm(upper - lower, axis=-1))), 1e-3)
    window = max(1, round(SMOOTHING_S * fps))
    posture = ((place - root) / torso).reshape(len(place), -1)
    speed = np.linalg.norm(np.gradient(place, axis=0), axis=-1) * fps / torso
    travel = np.gradient(root[:, 0], axis=0) * fps / torso
    columns = [_components(posture, 4), _components(speed, 4), travel]
    signal = uniform_filter1d(np.concatenate(columns, axis=1), window, axis=0, mode="nearest")
    return (signal - signal.mean(axis=0)) / np.maximum(signal.std(axis=0), 1e-6)


def _components(values: np.ndarray, count: int) -> np.ndarray:
    centred = values - values.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :count] * strength[:count]


def change_points(signal: np.ndarray, parts: int, min_frames: int) -> list[int]:
    """Boundaries between `parts` consecutive segments, by exact dynamic programming on the squared error.

    Args:
        signal: Shape (T, F).
        parts: Number of segments.
        min_frames: Shortest segment; lowered where the clip is too short for it.

    Returns:
        `parts` - 1 frame indices, rising.
    """
    import ruptures  # late: start-up

    frames = len(signal)
    shortest = max(1, min(min_frames, frames // (parts + 1)))
    found = ruptures.Dynp(model="l2", min_size=shortest, jump=1).fit(signal).predict(n_bkps=parts - 1)
    return found[:-1]


def equal_split(frames: int, parts: int) -> list[int]:
    """The naive boundaries: segments of equal length."""
    return [round(frames * part / parts) for part in range(1, parts)]


def find_boundaries(
    poses: ClipPoses, layout: SkeletonLayout, composition: Composition, n_frames: int, *, min_segment_s: float
) -> list[int]:
    """Boundaries of a sequence in video frames, from the poses; the equal split where there is nobody to see."""
    parts = len(composition.parts)
    if composition.kind == "together" or parts == 1:
        return []
    people, frames = poses.joints.shape[:2]
    if people == 0 or frames < 2 * parts:
        return equal_split(n_frames, parts)
    signal = motion_signal(poses.joints[main_person(poses.joints)], layout, poses.fps)
    found = change_points(signal, parts, round(min_segment_s * poses.fps))
    return [min(n_frames - 1, max(1, round(point * n_frames / frames))) for point in found]
