import numpy as np
import pandas as pd
import pytest
from memory_poses import MemoryPoses

from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import SkeletonLayout

LAYOUT = SkeletonLayout(
    name="stick",
    joints=("hip", "neck", "right_hand", "left_hand", "foot"),
    bones=((0, 1), (1, 2), (1, 3), (0, 4)),
    pairs=((2, 3),),
    root=(0,),
    torso=((1,), (0,)),
)
"""Five joints: enough for a root, a torso and one pair."""


def moving_stick(label: str, frames: int, rng: np.random.Generator) -> np.ndarray:
    """One person (1, T, 5, 3) who waves a hand ("wave") or lifts the foot ("kick"), somewhere, in some size."""
    size, place = rng.uniform(40, 80), rng.uniform(100, 300, 2)
    body = np.array([[0, 0], [0, -1], [0.6, -0.5], [-0.6, -0.5], [0, 1.2]])
    poses = np.repeat(body[None], frames, axis=0) + rng.normal(0, 0.03, (frames, 5, 2))
    swing = np.sin(np.arange(frames) * 0.9 + rng.uniform(0, 6))
    if label == "wave":
        poses[:, 2, 1] -= 0.8 + 0.4 * swing
    else:
        poses[:, 4, 0] += 0.6 + 0.5 * swing
    places = place + size * poses
    return np.concatenate([places, np.full((frames, 5, 1), 0.9)], axis=-1)[None].astype(np.float32)


def clip_row(clip_id: str, label: str, frames: int, fps: float = 30.0) -> dict:
    return {"clip_id": clip_id, "label": label, "fps": fps, "n_frames": frames}


@pytest.fixture(scope="session")
def sticks() -> tuple[pd.DataFrame, MemoryPoses]:
    """24 clips of 16 to 30 frames at 15 poses a second (video at 30), half "wave" and half "kick"."""
    rng, rows, clips = np.random.default_rng(0), [], {}
    for number in range(24):
        label, frames = ("wave", "kick")[number % 2], int(rng.integers(16, 31))
        clip_id = f"{label}{number:02d}"
        clips[clip_id] = ClipPoses(clip_id, moving_stick(label, frames, rng), 15.0, 640, 480, "drawn")
        rows.append(clip_row(clip_id, label, 2 * frames))
    return pd.DataFrame(rows), MemoryPoses(LAYOUT, clips.values())
