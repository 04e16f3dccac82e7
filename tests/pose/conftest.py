"""Videos that tests of this root share."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def blank_video(tmp_path: Path) -> Path:
    """Twelve frames of plain grey, 96 x 64 at 15 fps: a video without people."""
    path = tmp_path / "blank.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (96, 64))
    for _ in range(12):
        writer.write(np.full((64, 96, 3), 90, np.uint8))
    writer.release()
    return path
