"""Sources that last, end, break off, stall and send nonsense: real files, a real RTSP server, real HTTP."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from bad_videos import encode
from cameras import free_port, jpeg, mjpeg, require_rtsp, start_rtsp, stored
from refusals import refused

from pan_core.errors import DataError
from pan_core.live.address import Kind, read_address
from pan_core.live.source import Frame, Source, State
from pan_core.video import read_frames
from pan_core.viewer.annotate import write_video

LONG_S = 60.0
PASSWORD = "s3cr3t"


def until(source: Source, wanted: Callable[[Frame], bool]) -> Frame:
    """The first frame of that kind."""
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        frame = source.read(1)
        if frame is not None and wanted(frame):
            return frame
    raise AssertionError(f"no such frame; the source is {source.state.value}: {source.reason}")


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def decoders() -> list[psutil.Process]:
    """Those that this process has started."""
    return [child for child in psutil.Process().children() if "pan_core.live.decoder" in child.cmdline()]


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """A video of 12 frames at 25 fps, each brighter than the one before."""
    frames = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(12)]
    return write_video(tmp_path / "numbered.mp4", frames, fps=25)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No decoder outlives its source."""
    yield
    assert not decoders()


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("0", Kind.CAMERA, "camera 0"),
        ("/dev/video2", Kind.CAMERA, "/dev/video2"),
        ("rtsp://me:a:b@c@host:554/x?id=1", Kind.STREAM, "rtsp://me:***@host:554/x?id=1"),
        ("http://host/x?user=me&Password=y&z=1", Kind.STREAM, "http://host/x?user=me&Password=***&z=1"),
    ],
)
def test_addresses_are_told_apart_and_hide_their_secrets(text: str, kind: Kind, name: str) -> None:
    address = read_address(text)
    assert (address.kind, address.name) == (kind, name)
    assert "a:b" not in repr(address)


@pytest.mark.parametrize("text", ["no/such/file.mp4", "ftp://me:s3cr3t@host/x", "rtsp://${PAN_UNSET_VARIABLE}@host"])
def test_an_address_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(DataError) as caught:
        Source(text)
    assert PASSWORD not in str(caught.value)


def test_a_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAN_CAMERA_LOGIN", "me:" + PASSWORD)
    address = read_address("rtsp://${PAN_CAMERA_LOGIN}@host/live")
    assert address.target == f"rtsp://me:{PASSWORD}@host/live"
    assert PASSWORD not in address.name


def test_a_file_gives_every_frame_in_order(numbered: Path) -> None:
    states = []
    with Source(str(numbered), every_frame=True, on_state=lambda state, reason: states.append(state)) as source:
        frames = list(source.frames())
    assert [frame.number for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.position for frame in frames], np.arange(12) / 25)
    for frame, expected in zip(frames, read_frames(numbered), strict=True):
        np.testing.assert_array_equal(frame.picture, expected)
    assert (source.dropped, states) == (0, [State.CONNECTING, State.LIVE, State.ENDED])


def test_the_newest_frame_wins_and_what_is_dropped_is_counted(numbered: Path) -> None:
    with Source(str(numbered)) as source:
        first = source.read()
        wait_for(lambda: source.state is State.ENDED)
        last = source.read()
        assert source.read() is None
    assert first is not None and last is not None
    assert last.number == 11
    assert source.frames_seen == 12
    assert source.dropped == 12 - 2


def test_a_folder_is_played_by_name_past_a_broken_file(numbered: Path) -> None:
    (numbered.parent / "a_broken.mp4").write_bytes(b"no video")
    told: list[str] = []
    with Source(str(numbered.parent), every_frame=True, on_state=lambda state, reason: told.append(reason)) as source:
        parts = {frame.source_part for frame in source.frames()}
    assert parts == {"numbered.mp4"}
    assert "a_broken.mp4" in source.notice
    assert source.notice in told


def test_a_video_that_ends_its_decoder_is_passed_over_in_a_folder(tmp_path: Path) -> None:
    """The decoder is killed while the first video plays, as a defect in FFmpeg would end it."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):  # of frames so large that few are on their way when it dies
        write_video(tmp_path / name, [np.full((480, 640, 3), 20 * number, np.uint8) for number in range(12)], fps=25)
    with Source(str(tmp_path), every_frame=True) as source:
        frames = source.frames()
        first = next(frames)
        (decoder,) = decoders()
        decoder.kill()
        parts = [frame.source_part for frame in frames]
        assert (source.state, source.reason, source.losses) == (State.ENDED, "", 0)
    assert first.source_part == "a.mp4"
    assert [part for part in parts if part != "a.mp4"] == ["b.mp4"] * 12 + ["c.mp4"] * 12
    assert len(parts) < 36
    assert re.findall(r"\w\.mp4", source.notice) == ["a.mp4"]


def test_dated_folders_below_a_folder_are_played_and_one_that_comes_later_too(numbered: Path) -> None:
    """A pipe, a dead link, a link into a circle and a name of other bytes are told, and stop nothing."""
    root = numbered.parent
    for day in ("2026-11-20", "2026-11-21"):  # of frames so large that few are on their way when the late one comes
        write_video(
            root / day / "cam.mp4", [np.full((480, 640, 3), 20 * number, np.uint8) for number in range(12)], fps=25
        )
        (root / day / "cam.mp4").rename(root / day / "cam.MP4")
    (root / "2026-11-20" / "round").symlink_to(root)
    (root / "2026-11-20" / "gone.mp4").symlink_to(root / "nothing")
    os.mkfifo(root / "2026-11-21" / "pipe.mp4")
    (root / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"")
    told: list[str] = []
    with Source(str(root), every_frame=True, on_state=lambda state, reason: told.append(reason)) as source:
        parts = [frame.source_part for frame in source.frames() if _deliver_late(root, numbered)]
    assert list(dict.fromkeys(parts)) == [
        "2026-11-20/cam.MP4",
        "2026-11-21/cam.MP4",
        "numbered.mp4",
        "2026-11-01/late.mp4",
    ]
    assert len(parts) == 4 * 12
    told_text = "\n".join(told)
    for name in ("round", "gone.mp4", "pipe.mp4", "caf\\xe9.mp4"):
        assert name in told_text


def _deliver_late(root: Path, video: Path) -> bool:
    """Put a video into a new folder, while others play; its name is before theirs."""
    (root / "2026-11-01").mkdir(exist_ok=True)
    late = root / "2026-11-01" / "late.mp4"
    if not late.exists():
        os.link(video, late)
    return True


def test_a_folder_with_nothing_but_what_is_no_video_says_why(tmp_path: Path) -> None:
    (tmp_path / "2026-11-20").mkdir()
    (tmp_path / "2026-11-20" / "cam.mp4").symlink_to(tmp_path / "unmounted" / "cam.mp4")
    with refused("address.no-video") as caught:
        read_address(str(tmp_path))
    assert "2026-11-20/cam.mp4: a link that leads nowhere" in str(caught.value)


def test_a_file_that_a_server_has_is_played_at_its_own_rate(numbered: Path) -> None:
    """12 frames at 25 a second: frame n is n / 25 s after the first, or later, and so is the last."""
    frames: list[Frame] = []
    end = time.monotonic() + LONG_S
    # A busy machine may drop the first frame, to which the times are held: then it is played again.
    while not frames or frames[0].number:
        assert time.monotonic() < end, f"the first frame was never read: {[frame.number for frame in frames]}"
        with stored(numbered) as address, Source(address) as source:
            frames = list(source.frames())
            assert (source.state, source.frames_seen, source.losses) == (State.ENDED, 12, 0)
        for frame in frames:
            assert frame.position == pytest.approx(frame.number / 25)
    assert frames[-1].number == 11
    for frame in frames:
        assert frame.time - frames[0].time >= 0.99 * frame.position


@pytest.mark.parametrize("served", [False, True])
def test_frames_of_files_and_streams_have_square_pixels(served: bool, tmp_path: Path) -> None:
    """176 x 288, stored by a recorder with pixels of 32:11: a player shows 512 x 288."""
    path = encode(tmp_path / "dvr.mkv", [np.full((288, 176, 3), 90, np.uint8)] * 4, pixel=(32, 11))
    with stored(path) if served else nullcontext(str(path)) as address, Source(address) as source:
        assert {frame.picture.shape for frame in source.frames()} == {(288, 512, 3)}


def test_a_decoder_that_cannot_be_started_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = subprocess.Popen, [2]

    def popen(*arguments: Any, **named: Any) -> "subprocess.Popen[bytes]":
        if left[0]:
            left[0] -= 1
            raise BlockingIOError("no more processes")
        return real(*arguments, **named)

    monkeypatch.setattr(subprocess, "Popen", popen)
    with mjpeg([jpeg(64, 48, 50)]) as address, Source(address, first_pause_s=0.05) as source:
        until(source, lambda frame: True)
        assert source.losses == 2


def test_a_file_that_is_no_video_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with Source(str(tmp_path / "x.mp4")) as source:
        assert source.read(LONG_S) is None
        assert source.state is State.ENDED
    assert "no video stream in this file" in source.reason


def test_rtsp_that_breaks_off_changes_its_size_and_stalls_comes_back() -> None:
    require_rtsp()
    port = free_port()
    told: list[tuple[State, str]] = []
    server = start_rtsp(port, 320, 240, "me", PASSWORD)
    try:
        address = f"rtsp://me:{PASSWORD}@127.0.0.1:{port}/live"
        with Source(address, on_state=lambda *told_now: told.append(told_now), stall_s=3, first_pause_s=0.2) as source:
            first = until(source, lambda frame: True)
            assert first.picture.shape == (240, 320, 3)
            assert first.fps == 25
            server.kill()
            server.wait()
            wait_for(lambda: source.state is State.LOST)
            server = start_rtsp(port, 640, 480, "me", PASSWORD)
            second = until(source, lambda frame: frame.source_part != first.source_part)
            assert second.picture.shape == (480, 640, 3)
            assert second.number > first.number
            os.kill(server.pid, signal.SIGSTOP)
            wait_for(lambda: source.state is State.LOST)
            os.kill(server.pid, signal.SIGCONT)
            until(source, lambda frame: frame.source_part != second.source_part)
            assert source.losses >= 2
    finally:
        server.kill()
        server.wait()
    assert PASSWORD not in str(told) + source.name
    assert any(state is State.LOST and "trying again" in reason for state, reason in told)


def test_http_survives_garbage_and_pictures_of_another_size() -> None:
    chunks = [jpeg(64, 48, 50), b"\x00garbage" * 50, jpeg(64, 48, 90)[:200], jpeg(128, 96, 200)]
    with mjpeg(chunks) as address, Source(address) as source:
        for _ in range(3):
            for grey in (50, 200):
                found = until(source, lambda frame, grey=grey: abs(float(frame.picture.mean()) - grey) < 5)
                assert found.picture.shape == (48, 64, 3)
        assert source.losses == 0


def test_a_stream_of_garbage_alone_is_tried_again_and_can_be_left() -> None:
    with mjpeg([os.urandom(5000)]) as address, Source(address, stall_s=2, first_pause_s=0.1) as source:
        wait_for(lambda: source.losses >= 2)
        assert source.read(0) is None
        assert source.state is not State.ENDED
