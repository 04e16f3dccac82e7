"""Makes the videos that people really have: odd, damaged, mislabelled, and some that are none.

Every healthy part shows the frames that it is given, so that what is read can be compared with them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FPS = 15
HUGE = (7680, 4320)


@dataclass(frozen=True)
class Case:
    """How to make a file, and what must come of it.

    Attributes:
        make: Called with the file's path and frames (T, H, W, 3) to show.
        name: File name.
        errors: Codes of the error, of which one is expected; empty if the file can be read.
        size: Width and height, None for those of the frames.
        n_frames: Frames that can be read, None for all that are given; at least one where -1.
        damaged: Whether frames in its middle are lost, so that it has fewer than its last one says.
    """

    make: Callable[[Path, np.ndarray], None]
    name: str
    errors: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    n_frames: int | None = None
    damaged: bool = False


def encode(
    path: Path,
    frames: Sequence[np.ndarray] | np.ndarray,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    turn: int = 0,
    pixel: tuple[int, int] | None = None,
    options: dict[str, str] | None = None,
    gop: int = 12,
) -> Path:
    """Write BGR frames.

    Args:
        path: File to write.
        frames: (H, W, 3) uint8 each.
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the pixel format.
        times_ms: When each frame is shown; 15 frames a second where None.
        turn: Degrees, counter-clockwise, by which a player turns the picture; 90, 180, 270.
        pixel: Width and height of a stored pixel as a player shows it, before it turns the picture.
        options: Of the container.
        gop: Frames from one whole picture to the next.
    """
    base = Fraction(1, 1000) if times_ms is not None else Fraction(1, FPS)
    with av.open(str(path), "w", options=options or {}) as file:
        stream = file.add_stream(codec, rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = base
        stream.codec_context.gop_size = gop
        if pixel:
            stream.codec_context.sample_aspect_ratio = Fraction(*pixel)
        if turn:
            stream.set_display_rotation(turn)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts, frame.time_base = (times_ms[number] if times_ms is not None else number), base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def _mjpg(path: Path, frames: np.ndarray) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, frames[0].shape[1::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def cut_avi(path: Path, frames: np.ndarray) -> None:
    """The recorder lost power: two thirds of the file, without its index."""
    _mjpg(path, frames)
    _cut(path, 2 / 3)


def cut_mp4(path: Path, frames: np.ndarray) -> None:
    """The table of contents stands at the end and is lost."""
    encode(path, frames)
    _cut(path, 2 / 3)


def cut_mp4_index_first(path: Path, frames: np.ndarray) -> None:
    """The table of contents is there and promises more than follows."""
    encode(path, frames, options={"movflags": "faststart"}, gop=1)
    _cut(path, 2 / 3)


def hole(path: Path, frames: np.ndarray) -> None:
    """A tenth of the file, behind its middle, is overwritten by zeros; every frame before it stands by itself."""
    encode(path, frames, options={"movflags": "faststart"}, gop=1)
    content = bytearray(path.read_bytes())
    middle, length = 3 * len(content) // 5, len(content) // 10
    content[middle : middle + length] = bytes(length)
    path.write_bytes(content)


def lost_frames(path: Path, frames: np.ndarray) -> None:
    """Every frame stands by itself, and those of a fifth of the file, in its middle, are overwritten by zeros.

    It is long enough that a player jumps over the damage to reach the last frame.
    """
    _mjpg(path, np.resize(frames, (120, *frames.shape[1:])))
    content = bytearray(path.read_bytes())
    middle, length = 2 * len(content) // 5, len(content) // 5
    content[middle : middle + length] = bytes(length)
    path.write_bytes(content)


def billion(path: Path, frames: np.ndarray) -> None:
    """Both headers of an AVI file promise 10^9 frames."""
    _mjpg(path, frames)
    content = bytearray(path.read_bytes())
    for header, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        place = content.index(header) + offset
        content[place : place + 4] = (10**9).to_bytes(4, "little")
    path.write_bytes(content)


def sound(path: Path, frames: np.ndarray) -> None:
    """Half a second of a tone, no picture."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000, layout="mono")
        tone = np.sin(np.arange(4096) / 10, dtype=np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


def turned(degrees: int) -> Callable[[Path, np.ndarray], None]:
    """Stored on its side, as phones do, with a note by how much to turn it."""

    def make(path: Path, frames: np.ndarray) -> None:
        encode(path, np.rot90(frames, -degrees // 90, axes=(1, 2)), turn=degrees)

    return make


def squeezed(
    width: int, height: int, pixel: tuple[int, int], *, turn: int = 0, codec: str = "libx264"
) -> Callable[[Path, np.ndarray], None]:
    """Stored in another size with a note of the shape of its pixels, as recorders do."""

    def make(path: Path, frames: np.ndarray) -> None:
        stored = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
        encode(path, [np.rot90(frame, -turn // 90) for frame in stored], turn=turn, pixel=pixel, codec=codec)

    return make


def plain(
    width: int, height: int, frames: int, *, codec: str = "ffv1", pixels: str = "bgr0"
) -> Callable[[Path, np.ndarray], None]:
    """Pictures of one grey, of any size."""

    def make(path: Path, _: np.ndarray) -> None:
        encode(path, [np.full((height, width, 3), 90, np.uint8)] * frames, codec=codec, pixels=pixels)

    return make


def variable(path: Path, frames: np.ndarray) -> None:
    """Two thirds of the frames at 30 a second, then the others at 10."""
    encode(path, frames, times_ms=variable_times(len(frames)))


def variable_times(count: int) -> list[int]:
    """Milliseconds at which the frames of `variable` are shown."""
    steps = np.where(np.arange(count) < count * 2 // 3, 1000 / 30, 1000 / 10)
    return [round(time) for time in np.cumsum(steps) - steps]


def clock_jump(path: Path, frames: np.ndarray) -> None:
    """The recorder's clock was put right in the middle: a pause of a week."""
    half = len(frames) // 2
    times = [round(1000 * number / FPS) + (604_800_000 if number >= half else 0) for number in range(len(frames))]
    encode(path, frames, times_ms=times)


def other_size(path: Path, frames: np.ndarray) -> None:
    """The picture has another size from the middle on, as when a camera is set anew."""
    half = len(frames) // 2
    pictures = [frame if number < half else cv2.resize(frame, (80, 64)) for number, frame in enumerate(frames)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures))


def picture(path: Path, frames: np.ndarray) -> None:
    """A JPEG picture under a video's name."""
    path.write_bytes(cv2.imencode(".jpg", frames[0])[1].tobytes())


def playlist(path: Path, frames: np.ndarray) -> None:
    """A live stream's list, which never ends and names an address."""
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/part.ts\n")


def misnamed(path: Path, frames: np.ndarray) -> None:
    """A good video under another kind's name."""
    encode(path.with_suffix(".mp4"), frames).rename(path)


def endless_device(path: Path, frames: np.ndarray) -> None:
    """Never ends when read."""
    path.symlink_to("/dev/zero")


def header_only(path: Path, frames: np.ndarray) -> None:
    """An AVI file that ends behind its headers."""
    _mjpg(path, frames)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"movi") + 4])


def _encode_some(path: Path, frames: np.ndarray, **changes: str) -> None:
    encode(path, frames, **changes)


CASES = {
    "cut_avi": Case(cut_avi, "cut.avi", n_frames=-1),
    "cut_mp4": Case(cut_mp4, "cut.mp4", errors=("video.no-stream",)),
    "cut_mp4_index_first": Case(cut_mp4_index_first, "cut_index_first.mp4", n_frames=-1),
    "empty": Case(lambda path, _: path.touch(), "empty.mp4", errors=("video.empty",)),
    "text": Case(lambda path, _: path.write_text("no video\n" * 99), "text.mp4", errors=("video.no-stream",)),
    "noise": Case(
        lambda path, _: path.write_bytes(np.random.default_rng(0).bytes(50_000)),
        "noise.mp4",
        errors=("video.no-stream",),
    ),
    "sound": Case(sound, "sound.mp4", errors=("video.no-stream",)),
    "header": Case(header_only, "header.avi", errors=("video.no-frames", "video.no-stream")),
    "playlist": Case(playlist, "playlist.mp4", errors=("video.playlist",)),
    "folder": Case(lambda path, _: path.mkdir(), "folder.mp4", errors=("video.not-a-file",)),
    "pipe": Case(lambda path, _: os.mkfifo(path), "pipe.mp4", errors=("video.not-a-file",)),
    "device": Case(endless_device, "device.mp4", errors=("video.not-a-file",)),
    "dangling": Case(lambda path, _: path.symlink_to(path.parent / "gone"), "dangling.mp4", errors=("video.missing",)),
    "missing": Case(lambda path, _: None, "missing.mp4", errors=("video.missing",)),
    "hole": Case(hole, "hole.mp4", n_frames=-1),
    "lost_frames": Case(lost_frames, "lost_frames.avi", n_frames=-1, damaged=True),
    "billion": Case(billion, "billion.avi"),
    "turned_90": Case(turned(90), "turned_90.mp4"),
    "turned_180": Case(turned(180), "turned_180.mp4"),
    "turned_270": Case(turned(270), "turned_270.mp4"),
    "anamorphic": Case(squeezed(160, 240, (2, 1)), "anamorphic.mp4"),
    "flattened": Case(squeezed(320, 110, (11, 24), codec="mpeg4"), "flattened.avi"),
    "anamorphic_turned": Case(squeezed(160, 240, (1, 2), turn=90), "anamorphic_turned.mp4"),
    "anamorphic_stream": Case(squeezed(220, 240, (16, 11), codec="mpeg2video"), "anamorphic.mpg", n_frames=-1),
    "odd_pixels": Case(squeezed(320, 240, (2000, 3)), "odd_pixels.mp4"),
    "nearly_square": Case(squeezed(320, 240, (1001, 1000)), "nearly_square.mkv"),
    "variable": Case(variable, "variable.mp4", n_frames=-1),
    "clock_jump": Case(clock_jump, "clock_jump.mkv"),
    "other_size": Case(other_size, "other_size.mjpeg"),
    "one_frame": Case(lambda path, frames: _encode_some(path, frames[:1]), "one_frame.mp4", n_frames=1),
    "huge": Case(plain(*HUGE, 2, codec="mpeg4", pixels="yuv420p"), "huge.avi", size=HUGE, n_frames=2),
    "odd": Case(plain(321, 241, 3), "odd.avi", size=(321, 241), n_frames=3),
    "one_pixel": Case(plain(1, 1, 3), "one_pixel.avi", size=(1, 1), n_frames=3),
    "narrow": Case(plain(15, 3000, 3), "narrow.avi", size=(15, 3000), n_frames=3),
    "flat": Case(plain(3000, 15, 3), "flat.avi", size=(3000, 15), n_frames=3),
    "grey": Case(lambda path, frames: _encode_some(path, frames, codec="ffv1", pixels="gray"), "grey.mkv"),
    "ten_bit": Case(lambda path, frames: _encode_some(path, frames, pixels="yuv420p10le"), "ten_bit.mp4"),
    "picture": Case(picture, "picture.mp4", n_frames=1),
    "gif": Case(lambda path, frames: _encode_some(path, frames, codec="gif", pixels="rgb8"), "animated.gif"),
    "misnamed": Case(misnamed, "misnamed.txt"),
}


def make_all(folder: Path, frames: np.ndarray) -> dict[str, Path]:
    """Every case's file, in a new folder, by the case's name."""
    folder.mkdir(parents=True)
    for case in CASES.values():
        case.make(folder / case.name, frames)
    return {key: folder / case.name for key, case in CASES.items()}
