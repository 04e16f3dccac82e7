"""Videos that are healthy, odd and broken."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from bad_videos import CASES, Case, encode, variable_times
from refusals import refused

from pan_core import video as video_module
from pan_core.errors import VideoError
from pan_core.video import FALLBACK_FPS, FrameClock, VideoInfo, probe, read_frames, require_all_frames, usable_fps

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


@pytest.mark.parametrize("key", CASES)
@pytest.mark.timeout(60)
def test_odd_and_broken_files(
    key: str, bad_video_files: dict[str, Path], waving: tuple[np.ndarray, np.ndarray]
) -> None:
    case, path, shown = CASES[key], bad_video_files[key], waving[0]
    if case.errors:
        for read in (probe, lambda path: list(read_frames(path))):
            with pytest.raises(VideoError) as raised:
                read(path)
            assert raised.value.code in case.errors
            assert str(path) in str(raised.value)
        return
    frames = list(read_frames(path))
    info = probe(path)
    assert (info.width, info.height) == (case.size or (320, 240))
    if case.damaged:
        assert info.n_frames > len(frames)
        with refused("video.damaged", VideoError) as raised:
            require_all_frames(path, len(frames))
        assert f"{len(frames)} of its {info.n_frames} frames" in str(raised.value)
    else:
        assert info.n_frames == len(frames)
        require_all_frames(path, len(frames))
    assert len(frames) >= 1 if case.n_frames == -1 else len(frames) == (case.n_frames or len(shown))
    assert all(frame.shape == (info.height, info.width, 3) and frame.dtype == np.uint8 for frame in frames)
    if case.size is None:
        _assert_shows(case, frames, shown)


def _assert_shows(case: Case, frames: list[np.ndarray], shown: np.ndarray) -> None:
    """The first picture is upright and has its colours, but for codecs without them."""
    grey = case.name in ("grey.mkv", "animated.gif")
    seen, true = (cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if grey else frame for frame in (frames[0], shown[0]))
    assert np.abs(seen.astype(int) - true).mean() < 12
    wrong = (np.rot90(true, turn) for turn in (1, 2, 3))
    assert all(turned.shape != seen.shape or np.abs(seen.astype(int) - turned).mean() > 12 for turned in wrong)


def test_a_frame_stands_at_its_time_where_the_rate_varies(tmp_path: Path) -> None:
    """Grey level 20 + 50 a second: 40 frames at 30 a second, then 20 at 10; 3.3 seconds in all."""
    times = variable_times(60)
    frames = [np.full((48, 64, 3), 20 + round(time * 0.05), np.uint8) for time in times]
    path = encode(tmp_path / "variable.mp4", frames, times_ms=times)
    info = probe(path)
    seen = (np.array([frame.mean() for frame in read_frames(path)]) - 20) / 50
    due = np.arange(len(seen)) / info.fps
    assert info.n_frames / info.fps == pytest.approx(times[-1] / 1000, abs=0.1)
    # A frame is on show until the next, at most 0.1 s, and may be 1.5 frames off; levels are rounded to 0.02 s.
    assert np.abs(seen - due).max() < 0.1 + 1.5 / info.fps + 0.04
    # By its number alone, frame 40 would stand more than 0.7 s late.
    assert 40 / info.fps - times[40] / 1000 > 0.7


@pytest.mark.parametrize(
    ("times", "slots"),
    [
        ([0, 100, 200, 300], [0, 1, 2, 3]),
        ([0, 92, 208, 290], [0, 1, 2, 3]),  # a clock that jitters
        ([700, 800, 900], [0, 1, 2]),  # a container that starts late
        ([0, 100, 600, 700], [0, 1, 6, 7]),  # a pause
        ([0, 10, 20, 30, 40, 200], [0, 1, 1, 1, 1, 2]),  # a burst
        ([0, 100, 0, 0, 0], [0, 1, 2, 3, 4]),  # frames without a time at the end, as in old AVI files
        ([0, 100, 9e9, 9e9 + 100], [0, 1, 2, 3]),  # a clock that was put right
        ([0, float("nan"), 200], [0, 1, 2]),
    ],
)
def test_frame_clock_at_ten_frames_a_second(times: list[float], slots: list[int]) -> None:
    clock = FrameClock(10.0)
    assert [clock.slot_of(time) for time in times] == slots


def test_repeated_frames_are_the_callers_own(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), level, np.uint8) for level in LEVELS[:4]]
    path = encode(tmp_path / "pause.mkv", frames, times_ms=[0, 67, 2000, 2067])
    seen = []
    for frame in read_frames(path):
        seen.append(frame.mean())
        frame[:] = 0
    # 15 frames a second: the second frame is on show from 1 to 29.
    np.testing.assert_allclose(seen[1:29], LEVELS[1], atol=4)


def test_pictures_beyond_any_camera_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi")
    monkeypatch.setattr(video_module, "MAX_PIXELS", 3000)
    with refused("video.too-large", VideoError):
        probe(path)


def test_decoding_stops_at_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi")
    clock = iter(range(1000))
    monkeypatch.setattr(video_module.time, "monotonic", lambda: float(next(clock)))
    # Finding a frame and giving it its colours seem to take a second each, so the sixth one passes the limit of ten
    # and the third of a second that five frames last; a frame is handed out when its successor is known.
    frames = read_frames(path, seconds=10)
    assert len(list(islice(frames, 4))) == 4
    with refused("video.too-slow", VideoError) as raised:
        next(frames)
    assert "at frame 4" in str(raised.value)


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

        def isOpened(self) -> bool:
            return True

        def grab(self) -> bool:
            self.left -= 1
            return self.left >= 0

        def retrieve(self) -> tuple[bool, np.ndarray]:
            return True, np.full((4, 6), 77, np.uint8)

        def get(self, name: int) -> float:
            return 0.0

        def release(self) -> None:
            pass

    monkeypatch.setattr(video_module.cv2, "VideoCapture", lambda *_: GreyCapture())
    (tmp_path / "grey.avi").write_bytes(b"grey")
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
