"""Fixtures of the datasets' tests."""

import cv2
import numpy as np
import pytest
from faulty_server import serving

from pan_core.datasets.base import Context


@pytest.fixture
def site():
    """A server on loopback that offers what a test tells it to."""
    with serving() as running:
        yield running


@pytest.fixture
def context(tmp_path):
    """Places of a dataset's files, all below the test's own folder."""
    return Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror")


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
