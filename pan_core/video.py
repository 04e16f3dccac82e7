"""Read videos: upright BGR pictures of square pixels at a constant rate, or a clear error, and never an endless wait.

Frame `n` of a video is what it shows at `n / fps` seconds, here and in every table. Most files store just that.
In one of variable rate, as from phones in bad light, a frame is repeated until its successor is due, and dropped
where its successor is due at the same time; otherwise spans in seconds would not find their frames.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import cv2
import numpy as np

from pan_core.errors import VideoError

# FFmpeg prints decoder complaints on standard error itself; the variable is read when the first file is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# A file may be a playlist in disguise; nothing that it names is fetched from a network.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# How videos are told from other files where no list names them.
VIDEO_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".asf", ".avi", ".dav", ".divx", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".264", ".265", ".h264", ".h265", ".hevc",
))  # fmt: skip
FALLBACK_FPS = 25.0
MAX_FPS = 1000.0
# Three times 8K; a larger picture takes gigabytes to decode.
MAX_PIXELS = 100_000_000
# Shapes of a pixel outside this are a fault of the header; 32:11 and 8:11, as of DVRs, are the longest that are known.
LONGEST_PIXEL = 4.0
# Below this, as of encoders that round, a person's width is as good as right and the picture stays as sharp as it is.
SQUARE_WITHIN = 0.01
OPEN_TIMEOUT_MS = 15_000
READ_TIMEOUT_MS = 15_000
DECODE_SECONDS = 600.0
# Frames by which a frame's time may differ from its number: camera clocks jitter, and containers round.
JITTER_FRAMES = 1.5
# A longer pause between two frames is a fault of the recorder's clock and not held.
LONGEST_PAUSE_S = 60.0
_NO_PICTURE = np.empty(0, np.uint8)
PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")


@dataclass(frozen=True)
class VideoInfo:
    """Size, rate and length of a video, by its header and its first picture.

    Attributes:
        width: Pixels, upright and square.
        height: Pixels, upright and square.
        fps: Frames a second; 25 where the header has no usable value.
        n_frames: Number of frames at this rate; may be one off where the stored rate varies.
    """

    width: int
    height: int
    fps: float
    n_frames: int


def is_video_name(path: PurePath) -> bool:
    """Whether a file is named as videos are."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def probe(path: Path, *, seconds: float = DECODE_SECONDS) -> VideoInfo:
    """Size, rate and length of a video.

    The header's frame count is believed when the frame that it calls the last one is there, is the last one, and
    has the time that its number gives; otherwise every frame is decoded and counted.

    Args:
        path: The video.
        seconds: As for `read_frames`.

    Raises:
        VideoError: If the file is no video with at least one frame, or decoding takes longer than allowed.
    """
    info = _read_header(path)
    if info.n_frames:
        return info
    return replace(info, n_frames=sum(1 for _ in read_frames(path, step=None, seconds=seconds)))


def require_all_frames(path: Path, decoded: int) -> None:
    """Refuse a video with frames in its middle that cannot be decoded: later frames would not be at their time.

    One frame in a hundred may be lost, and one more: labels in seconds are not surer than that. Nothing is decoded for
    it but the last frame; where that is not where the header says, as in a video that breaks off, there is nothing to
    compare with.

    Args:
        path: The video.
        decoded: Frames that `read_frames` gave.

    Raises:
        VideoError: If the video has more frames than that.
    """
    stated = _read_header(path).n_frames
    if stated - decoded > 1 + stated // 100:
        raise VideoError(
            f"{path}: {decoded} of its {stated} frames can be decoded, it is damaged in the middle; "
            "fetch or record it again, or keep the part before the damage",
            code="video.damaged",
        )


def read_frames(path: Path, *, step: int | None = 1, seconds: float = DECODE_SECONDS) -> Iterator[np.ndarray]:
    """Frames of a video in order, at a constant rate.

    Args:
        path: The video.
        step: Yield every `step`-th frame, starting with the first; None yields every frame as an empty array,
            which saves the colour conversion where frames are only counted.
        seconds: Time that decoding may take longer than the decoded part of the video lasts; the time that the
            caller spends on a frame does not count.

    Yields:
        (H, W, 3) uint8, BGR, upright, of square pixels; grey videos have three equal channels. H and W are those of the first frame.

    Raises:
        VideoError: If the file is missing, empty, no video, has no decodable frame, or takes too long. A video
            that breaks off in the middle gives the frames before the break.
    """
    with FrameReader(path, seconds=seconds) as reader:
        yield from reader.frames(step=step)


class FrameReader:
    """An open video, for callers that need its rate before its frames; a context manager.

    Args:
        path: The video.
        seconds: As for `read_frames`.

    Attributes:
        fps: Frames a second; 25 where the header has no usable value.
        n_frames: Frames so far, those included that a step leaves out; the video's length when all are read.
        size: Height and width, upright, of square pixels; (0, 0) before the first frame.

    Raises:
        VideoError: If the file is no video.
    """

    def __init__(self, path: Path, *, seconds: float = DECODE_SECONDS) -> None:
        self._path, self._seconds, self._spent = path, seconds, 0.0
        self._capture = _open_capture(path)
        self._shape = PixelShape(self._capture)
        self.fps = usable_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self.n_frames = 0
        self.size = (0, 0)

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def frames(self, *, step: int | None = 1) -> Iterator[np.ndarray]:
        """As `read_frames`; to be called once."""
        clock, pending = FrameClock(self.fps), None
        while self._grab():
            slot = clock.slot_of(self._capture.get(cv2.CAP_PROP_POS_MSEC))
            yield from self._show_until(pending, slot, step)
            frame = _NO_PICTURE if step is None else self._retrieve()
            pending = pending if frame is None else frame
        yield from self._show_until(pending, clock.slot + 1, step)
        if pending is None:
            raise _no_frames_error(self._path)

    def _show_until(self, frame: np.ndarray | None, until: int, step: int | None) -> Iterator[np.ndarray]:
        if frame is None or until <= self.n_frames:
            return
        wanted = [number for number in range(self.n_frames, until) if step is None or number % step == 0]
        self.n_frames = until
        # Each is the caller's own to draw on.
        yield from (frame.copy() for _ in wanted[1:])
        if wanted:
            yield frame

    def _grab(self) -> bool:
        with self._time_decoding():
            found = self._capture.grab()
        if self._spent > self._seconds + self.n_frames / self.fps:
            raise VideoError(
                f"{self._path}: decoding took longer than {self._seconds:g} s, at frame {self.n_frames}; "
                "cut it to clips or encode it anew",
                code="video.too-slow",
            )
        return found

    @contextmanager
    def _time_decoding(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._spent += time.monotonic() - start

    def _retrieve(self) -> np.ndarray | None:
        with self._time_decoding():
            found, frame = self._capture.retrieve()
        if not found:
            return None
        frame = self._shape.make_square(three_channels(frame))
        self.size = self.size if all(self.size) else frame.shape[:2]
        return frame if frame.shape[:2] == self.size else cv2.resize(frame, self.size[::-1])


class PixelShape:
    """Shape of a video's pixels: recorders store pictures squeezed, and say by how much a player stretches them.

    The squeezed side is stretched, so that no row or column is lost: 352x576 with pixels of 32:11 becomes 1024x576,
    704x288 with 8:11 704x396. The networks look at crops of a fixed size, so a larger picture takes them no longer.

    Args:
        capture: An open video.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        ratio = wide / high if wide > 0 and high > 0 else 1.0
        believed = abs(ratio - 1) > SQUARE_WITHIN and 1 / LONGEST_PIXEL <= ratio <= LONGEST_PIXEL
        # OpenCV has turned the picture upright, but speaks of the pixels as they are stored.
        turned = round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
        self._ratio = 1.0 if not believed else 1 / ratio if turned else ratio

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in square pixels, of a picture as it is decoded; stretched sides are even, as encoders want."""
        if self._ratio > 1:
            return 2 * round(width * self._ratio / 2), height
        return (width, 2 * round(height / self._ratio / 2)) if self._ratio < 1 else (width, height)

    def make_square(self, frame: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) in square pixels."""
        height, width = frame.shape[:2]
        size = self.size_of(width, height)
        return frame if size == (width, height) else cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)


class FrameClock:
    """Place of each stored frame at a constant rate, by the time that the container gives it.

    A frame is placed by its number as long as its time agrees within 1.5 frames, so a video of constant rate is read
    as it is stored. A time that does not rise, or a pause of more than a minute, is a fault of the clock: the frame
    follows its predecessor and times count from there on.

    Args:
        fps: Frames a second.

    Attributes:
        slot: Number of the latest frame, -1 before the first.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._zero = 0.0
        self._latest = -math.inf
        self.slot = -1

    def slot_of(self, milliseconds: float) -> int:
        """Number of the next frame; its predecessor's where both are due at the same time."""
        natural = self.slot + 1
        due = milliseconds * self._fps / 1000 - self._zero
        longest = max(LONGEST_PAUSE_S * self._fps, 10.0)
        if not math.isfinite(due):
            self.slot = natural
        elif not self._latest < due <= self._latest + longest:
            self._zero += due - natural
            self.slot, self._latest = natural, float(natural)
        else:
            self._latest = due
            self.slot = natural if abs(due - natural) <= JITTER_FRAMES else max(round(due), self.slot)
        return self.slot


def usable_fps(stated: float) -> float:
    """The header's frame rate, or 25 if it is missing, not a number, or beyond 1000."""
    return float(stated) if math.isfinite(stated) and 0.0 < stated <= MAX_FPS else FALLBACK_FPS


@contextmanager
def _open_closing(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = _open_capture(path)
    try:
        yield capture
    finally:
        capture.release()


def _open_capture(path: Path) -> cv2.VideoCapture:
    _require_file(path)
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    options += [cv2.CAP_PROP_N_THREADS, 1]
    # FFmpeg treats a file name with a colon or a percent sign as a protocol or a pattern unless it is absolute.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, options)
    if not capture.isOpened():
        raise VideoError(
            f"{path}: no video stream in this file, expected a video such as .avi or .mp4", code="video.no-stream"
        )
    width, height = (round(capture.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    width, height = PixelShape(capture).size_of(width, height)
    if width * height > MAX_PIXELS:
        capture.release()
        raise VideoError(
            f"{path}: pictures of {width} x {height} pixels, expected at most {MAX_PIXELS / 1e6:.0f} million pixels; "
            "encode it anew in a smaller size",
            code="video.too-large",
        )
    return capture


def _require_file(path: Path) -> None:
    if not path.exists():
        raise VideoError(f"{path}: no such video", code="video.missing")
    if not path.is_file():
        raise VideoError(f"{path}: not a regular file, expected a video", code="video.not-a-file")
    if path.stat().st_size == 0:
        raise VideoError(
            f"{path}: the file is empty (0 bytes), expected a video; fetch or record it again", code="video.empty"
        )
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise VideoError(
            f"{path}: cannot be read ({error.strerror}); expected a video", code="video.unreadable"
        ) from error
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(PLAYLISTS):
        raise VideoError(f"{path}: a playlist that names other files, expected the video itself", code="video.playlist")


def _read_header(path: Path) -> VideoInfo:
    """Size, rate and length without decoding more than the first and the last frame; length 0 if the header is wrong."""
    with _open_closing(path) as capture:
        found, frame = capture.read()
        if not found:
            raise _no_frames_error(path)
        width, height = PixelShape(capture).size_of(frame.shape[1], frame.shape[0])
        fps, first = usable_fps(capture.get(cv2.CAP_PROP_FPS)), capture.get(cv2.CAP_PROP_POS_MSEC)
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        believed = _leads_to_last_frame(capture, stated, fps, first)
        return VideoInfo(width, height, fps, int(stated) if believed else 0)


def _leads_to_last_frame(capture: cv2.VideoCapture, stated: float, fps: float, first: float) -> bool:
    if not math.isfinite(stated) or stated < 1:
        return False
    if not capture.set(cv2.CAP_PROP_POS_FRAMES, stated - 1) or not capture.grab():
        return False
    late = (capture.get(cv2.CAP_PROP_POS_MSEC) - first) * fps / 1000 - (stated - 1)
    return abs(late) <= JITTER_FRAMES and not capture.grab()


def _no_frames_error(path: Path) -> VideoError:
    return VideoError(
        f"{path}: the first frame cannot be decoded; expected a playable video, replace or remove it",
        code="video.no-frames",
    )


def three_channels(frame: np.ndarray) -> np.ndarray:
    """A picture (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) as blue, green, red."""
    if frame.ndim == 2 or frame.shape[2] == 1:
        return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    return frame[..., :3]
