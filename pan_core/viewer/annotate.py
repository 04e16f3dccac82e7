"""Writes frames that carry drawings to a video file."""

import itertools
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path

logger = logging.getLogger(__name__)

# Container and codec, best first. MPEG-4 part 2 is in every OpenCV wheel; H.264 is not, for its licence.
ENCODERS = ((".mp4", "mp4v"), (".avi", "MJPG"))
# VP8 is slower to encode, and every browser plays it.
BROWSER_ENCODERS = ((".webm", "VP80"),)


def write_video(
    path: Path, frames: Iterable[np.ndarray], *, fps: float, encoders: Sequence[tuple[str, str]] = ENCODERS
) -> Path:
    """Encode frames; the file appears whole or not at all.

    Args:
        path: Where to write. The suffix is replaced by that of the encoder: where the machine cannot encode MP4 it
            falls back to AVI, which is logged.
        frames: Pictures of one size, shape (height, width, 3), uint8, blue-green-red; taken one at a time. MPEG-4
            has even sizes only: an odd one loses its last row or column.
        fps: Frames a second.
        encoders: Containers and codecs, best first.

    Returns:
        The file that was written.

    Raises:
        DataError: If there is no frame, or a frame differs in size from the first.
        PanError: If neither encoder works, or the disk is full.
    """
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise DataError(f"{path}: no frame to write; the video must have at least one", code="video.no-frame")
    height, width = first.shape[:2]
    suffix, codec = _find_encoder((width, height), fps, encoders)
    target = path.with_suffix(suffix)
    if suffix != encoders[0][0]:
        logger.warning("OpenCV on this machine cannot encode %s; writing %s instead", encoders[0][0], target.name)
    with atomic_path(target) as partial:
        writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
        try:
            for frame in _check_sizes(itertools.chain([first], source), first.shape, path):
                writer.write(frame)
        finally:
            writer.release()
        if not _is_video(partial):
            raise PanError(
                f"{target}: the encoder wrote no readable video; check the free space of the disk",
                code="video.not-written",
            )
    return target


def _check_sizes(frames: Iterable[np.ndarray], shape: tuple[int, ...], path: Path) -> Iterator[np.ndarray]:
    """OpenCV drops frames of another size without a word."""
    for number, frame in enumerate(frames):
        if frame.shape != shape:
            raise DataError(
                f"{path}: Expected frame {number} to have shape {shape}, but got {frame.shape}", code="video.frame-size"
            )
        yield frame


def _find_encoder(size: tuple[int, int], fps: float, encoders: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """First of some encoders that this machine has, found by encoding one black frame."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix, codec in encoders:
            trial = Path(folder) / f"trial{suffix}"
            writer = cv2.VideoWriter(str(trial), cv2.VideoWriter.fourcc(*codec), fps, size)
            writer.write(np.zeros((size[1], size[0], 3), np.uint8))
            writer.release()
            if _is_video(trial):
                return suffix, codec
    raise PanError(
        f"OpenCV on this machine can encode none of {', '.join(codec for _, codec in encoders)}; "
        "install the opencv-python wheel that requirements.lock names",
        code="video.no-encoder",
    )


def _is_video(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    capture = cv2.VideoCapture(str(path))
    try:
        return capture.read()[0]
    finally:
        capture.release()
