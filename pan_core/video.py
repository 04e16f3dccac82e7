"""Read videos: upright BGR pictures, or a clear error, and never an endless wait."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pan_core.errors import VideoError

# FFmpeg prints decoder complaints on standard error itself; the variable is read when the first file is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FALLBACK_FPS = 25.0
MAX_FPS = 1000.0
OPEN_TIMEOUT_MS = 15_000
READ_TIMEOUT_MS = 15_000
DECODE_SECONDS = 600.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header and its first picture say.

    Attributes:
        width: Pixels, upright.
        height: Pixels, upright.
        fps: Frames a second; 25 where the header has no usable value.
        n_frames: Number of frames that can be decoded.
    """

    width: int
    height: int
    fps: float
    n_frames: int


def probe(path: Path, *, seconds: float = DECODE_SECONDS) -> VideoInfo:
    """Size, rate and length of a video.

    The header's frame count is believed when the frame that it calls the last one is there and is the last one;
    otherwise every frame is decoded and counted.

    Args:
        path: The video.
        seconds: Longest time to spend on counting.

    Raises:
        VideoError: Where the file is no video with at least one frame, or decoding takes longer than allowed.
    """
    capture = _open(path)
    try:
        found, frame = capture.read()
        if not found:
            raise VideoError(f"{path}: no frame can be decoded; expected a playable video, replace or remove it")
        height, width = frame.shape[:2]
        fps = usable_fps(capture.get(cv2.CAP_PROP_FPS))
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if _is_last(capture, stated):
            return VideoInfo(width, height, fps, int(stated))
    finally:
        capture.release()
    return VideoInfo(width, height, fps, sum(1 for _ in read_frames(path, step=None, seconds=seconds)))


def read_frames(path: Path, *, step: int | None = 1, seconds: float = DECODE_SECONDS) -> Iterator[np.ndarray]:
    """Frames of a video in order.

    Args:
        path: The video.
        step: Yield every `step`-th frame, starting with the first; None yields every frame as an empty array,
            which saves the colour conversion where frames are only counted.
        seconds: Longest time that decoding alone may take; the time that the caller spends on a frame is free.

    Yields:
        (H, W, 3) uint8, BGR, upright; grey videos have three equal channels.

    Raises:
        VideoError: Where the file is missing, empty, no video, has no decodable frame, or takes too long. A video
            that breaks off in the middle gives the frames before the break.
    """
    capture = _open(path)
    spent, number = 0.0, 0
    try:
        while True:
            start = time.monotonic()
            wanted = step is not None and number % step == 0
            found, frame = capture.read() if wanted else (capture.grab(), np.empty(0, np.uint8))
            spent += time.monotonic() - start
            if spent > seconds:
                raise VideoError(f"{path}: decoding took more than {seconds:.0f} s, at frame {number}; cut it to clips")
            if not found:
                break
            number += 1
            if wanted:
                yield _three_channels(frame)
            elif step is None:
                yield frame
    finally:
        capture.release()
    if not number:
        raise VideoError(f"{path}: no frame can be decoded; expected a playable video, replace or remove it")


def usable_fps(stated: float) -> float:
    """The header's frame rate, or 25 where it is absent, not a number, or beyond 1000."""
    return float(stated) if math.isfinite(stated) and 0.0 < stated <= MAX_FPS else FALLBACK_FPS


def _open(path: Path) -> cv2.VideoCapture:
    if not path.exists():
        raise VideoError(f"{path}: no such video")
    if not path.is_file():
        raise VideoError(f"{path}: not a regular file, expected a video")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes), expected a video; fetch or record it again")
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    options += [cv2.CAP_PROP_N_THREADS, 1]
    # FFmpeg treats a file name with a colon or a percent sign as a protocol or a pattern unless it is absolute.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, options)
    if not capture.isOpened():
        raise VideoError(f"{path}: no video stream in this file, expected a video such as .avi or .mp4")
    return capture


def _is_last(capture: cv2.VideoCapture, stated: float) -> bool:
    if not math.isfinite(stated) or stated < 1:
        return False
    if not capture.set(cv2.CAP_PROP_POS_FRAMES, stated - 1):
        return False
    return capture.grab() and not capture.grab()


def _three_channels(frame: np.ndarray) -> np.ndarray:
    if frame.ndim == 2 or frame.shape[2] == 1:
        return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    return frame[..., :3]
