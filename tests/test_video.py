"""Videos that are healthy, odd and broken."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from pan_core import video as video_module
from pan_core.errors import VideoError
from pan_core.video import FALLBACK_FPS, VideoInfo, probe, read_frames, usable_fps

LEVELS = [20, 50, 80, 110, 140, 170, 200, 230, 60, 90]


def write_video(path: Path, *, codec: str = "MJPG", fps: float = 15.0, frames: int = 10) -> Path:
    """Frames of one grey level each, 64 x 48, so that every frame can be told from its neighbours."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), LEVELS[number % len(LEVELS)], np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_healthy_video(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, codec=codec)
    assert probe(path) == VideoInfo(width=64, height=48, fps=15.0, n_frames=10)
    frames = list(read_frames(path))
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    np.testing.assert_allclose([frame.mean() for frame in frames], LEVELS, atol=4)


def test_healthy_video_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi")
    monkeypatch.setattr(video_module, "read_frames", None)
    assert probe(path).n_frames == 10


@pytest.mark.parametrize(("step", "expected"), [(2, LEVELS[::2]), (3, LEVELS[::3]), (20, LEVELS[:1])])
def test_step_takes_every_nth_frame(tmp_path: Path, step: int, expected: list[int]) -> None:
    path = write_video(tmp_path / "a.avi")
    np.testing.assert_allclose([frame.mean() for frame in read_frames(path, step=step)], expected, atol=4)


def test_header_that_lies_is_corrected_by_counting(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.avi", frames=60)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    frames = sum(1 for _ in read_frames(path))
    assert 20 < frames < 60
    assert probe(path).n_frames == frames


def test_names_that_ffmpeg_could_misread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.avi").rename(tmp_path / "100%d: a ü.avi")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("100%d: a ü.avi")).n_frames == 10


def broken(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no video\n" * 50)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "header":
        path.write_bytes(write_video(folder / "whole.avi").read_bytes()[:2000])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such video"),
        ("empty", r"empty \(0 bytes\)"),
        ("text", "no video stream"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("header", "no video stream|no frame can be decoded"),
    ],
)
@pytest.mark.timeout(20)
def test_broken_files(tmp_path: Path, kind: str, message: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(VideoError, match=message) as raised:
        probe(path)
    assert str(path) in str(raised.value)
    with pytest.raises(VideoError, match=message):
        list(read_frames(path))


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.avi"
    samples = (np.sin(np.arange(8000) / 10) * 2000).astype("<i2").tobytes()
    header = b"WAVEfmt " + (16).to_bytes(4, "little") + (1).to_bytes(2, "little") + (1).to_bytes(2, "little")
    header += (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    body = header + b"data" + len(samples).to_bytes(4, "little") + samples
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    with pytest.raises(VideoError, match="no video stream"):
        probe(path)


def test_decoding_stops_at_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi")
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(video_module.time, "monotonic", lambda: float(next(clock)))
    # Each read seems to take two seconds, so the sixth one passes the limit of ten.
    frames = read_frames(path, seconds=10)
    assert len(list(islice(frames, 5))) == 5
    with pytest.raises(VideoError, match="more than 10 s, at frame 5"):
        next(frames)


@pytest.mark.parametrize("stated", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_useless_rates_become_the_documented_one(stated: float) -> None:
    assert usable_fps(stated) == FALLBACK_FPS == 25.0


def test_usable_rate_is_kept() -> None:
    assert usable_fps(29.97) == 29.97


def test_grey_pictures_get_three_equal_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class GreyCapture:
        """A backend that hands out one grey picture without a channel axis."""

        def __init__(self) -> None:
            self.left = 1

        def read(self) -> tuple[bool, np.ndarray]:
            self.left -= 1
            return self.left >= 0, np.full((4, 6), 77, np.uint8)

        def release(self) -> None:
            pass

    monkeypatch.setattr(video_module, "_open", lambda path: GreyCapture())
    (frame,) = read_frames(tmp_path / "grey.avi")
    assert frame.shape == (4, 6, 3) and (frame == 77).all()


def test_decoders_keep_quiet(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", codec="mp4v", frames=40)
    content = bytearray(path.read_bytes())
    content[200:900] = bytes(700)
    path.write_bytes(content)
    (tmp_path / "text.mp4").write_text("no video")
    script = (
        "import sys; from pathlib import Path; from pan_core.video import read_frames; from pan_core.errors import *\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        list(read_frames(Path(name)))\n    except VideoError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(tmp_path / "text.mp4")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_real_recordings(real_data: Path) -> None:
    """Frames as counted one by one; HMDB51's headers promise one frame more than there is."""
    videos = sorted(path for folder in ("ucf101", "hmdb51") for path in (real_data / folder).rglob("*.avi"))
    assert videos
    for path in videos:
        assert probe(path).n_frames == sum(1 for _ in read_frames(path))
