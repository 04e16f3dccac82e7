"""Fixtures of the datasets' tests."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_video():
    """Function (path, frames) that makes a small video whose pictures get lighter."""

    def write(path, frames=6):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG")), 10,
                                 (64, 48))  # fmt: skip
        for level in range(frames):
            writer.write(np.full((48, 64, 3), 40 * level, dtype=np.uint8))
        writer.release()

    return write
