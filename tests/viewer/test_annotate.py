"""Frames that go in come out of the file, and a failure leaves nothing behind."""

import cv2
import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.viewer.annotate import write_video


def grey_frames(count: int, size: tuple[int, int] = (64, 96)):
    """Evenly grey frames, each brighter than the one before, so that order can be read back."""
    for number in range(count):
        yield np.full((*size, 3), 20 + 20 * number, np.uint8)


def read_back(path) -> tuple[np.ndarray, float]:
    capture = cv2.VideoCapture(str(path))
    fps, frames = capture.get(cv2.CAP_PROP_FPS), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.array(frames), fps


def test_round_trip(tmp_path):
    path = write_video(tmp_path / "new" / "walk_annotated.mp4", grey_frames(10), fps=15)
    frames, fps = read_back(path)
    assert path == tmp_path / "new" / "walk_annotated.mp4"
    assert frames.shape == (10, 64, 96, 3)
    assert fps == pytest.approx(15)
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), [20 + 20 * n for n in range(10)], atol=6)


def test_without_mp4_it_writes_avi_and_says_so(tmp_path, caplog):
    path = write_video(tmp_path / "walk.mp4", grey_frames(4), fps=15, encoders=((".mp4", "ZZZZ"), (".avi", "MJPG")))
    assert path.name == "walk.avi" and len(read_back(path)[0]) == 4


def test_without_any_encoder_it_says_what_to_install(tmp_path):
    with refused("video.no-encoder") as caught:
        write_video(tmp_path / "walk.mp4", grey_frames(4), fps=15, encoders=((".mp4", "ZZZZ"),))
    assert "requirements.lock" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_no_frame_is_an_error(tmp_path):
    with refused("video.no-frame", DataError):
        write_video(tmp_path / "walk.mp4", [], fps=15)


def test_a_frame_of_another_size_is_named_and_nothing_is_left(tmp_path):
    frames = [*grey_frames(2), *grey_frames(1, (32, 32))]
    with refused("video.frame-size", DataError) as caught:
        write_video(tmp_path / "walk.mp4", frames, fps=15)
    assert all(str(part) in str(caught.value) for part in (2, (64, 96, 3), (32, 32, 3)))
    assert not list(tmp_path.iterdir())
