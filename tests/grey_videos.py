"""Small videos whose pictures get lighter."""

from pathlib import Path

import cv2
import numpy as np


def write_grey_video(path: Path, frames: int = 6, *, fps: float = 10, step: int = 40) -> Path:
    """Write a video of 64 x 48 pixels; frame n has the grey level n * step.

    Args:
        path: MPEG-4 for .mp4, Motion JPEG for any other; its folder is made.
        frames: Number of frames.
        fps: Frames a second.
        step: Grey levels from one frame to the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * step, np.uint8))
    writer.release()
    return path
