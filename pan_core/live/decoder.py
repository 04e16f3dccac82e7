"""Decodes one source in a process of its own and writes its frames to a pipe.

Decoders are C code that strangers feed: one that crashes or hangs on garbage costs this process, and whoever reads the
pipe starts another. Streams also need other options of FFmpeg than files, which OpenCV takes from the environment.

Run as `python -m pan_core.live.decoder` by `pan_core.live.source`, which writes one line of JSON to its standard input
and closes that when the frames are no longer wanted.
"""

import fcntl
import json
import math
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# Before pan_core.video sets the options for files.
STREAM_OPTIONS = (
    "rtsp_transport;tcp|protocol_whitelist;rtsp,rtsps,rtp,rtcp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
)

HEADER = struct.Struct("<dddIIII")
"""Time, position, fps; height, width, bytes that follow, kind."""

FRAME, PART, FAULT, END, NOTE = range(5)
"""Kinds of a message: a picture, the name of the video that begins, why no more can be had, a proper end, and what was
passed over."""

PIPE_BYTES = 1 << 20
# OpenCV says the same of a picture that cannot be decoded and of the end of a stream: so many in a row are the end.
FAILURES, FAILURE_PAUSE_S = 20, 0.02
# It waited for a picture until its own limit.
SLOW_FAILURE_S = 1.0


def main() -> None:
    """Read the order, then decode until the end."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no frame
    with suppress(OSError):  # a small pipe only needs more turns
        fcntl.fcntl(out.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    if order["kind"] == "stream":
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = STREAM_OPTIONS
    with suppress(BrokenPipeError):
        decode = _send_live if order["kind"] in ("stream", "camera") else _send_stored
        fault = decode(order, out)
        _send(out, FAULT if fault else END, fault.encode(errors="replace"))
    # Nothing waits for a camera's driver to close down.
    os._exit(0)


def _end_with_input() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def _send_stored(order: dict, out: BinaryIO) -> str:
    """Files one after another; returns what was wrong where none of them could be decoded."""
    from pan_core.errors import VideoError  # late: start-up

    target = Path(order["target"])
    faults: list[str] = []
    shown = False
    for path in _iterate_files(order, target, out):
        name = path.name if path == target else str(path.relative_to(target))
        try:
            _send_file(path, name, out, paced=order["paced"])
            shown = True
        except BrokenPipeError:
            raise
        except Exception as error:  # whatever is wrong with one video, the next may be right
            faults.append(str(error) if isinstance(error, VideoError) else f"{name}: {type(error).__name__}: {error}")
            if path != target:
                _send(out, NOTE, f"passed over: {faults[-1]}".encode(errors="replace"))
    return "" if shown else "; ".join(faults[:3])


def _iterate_files(order: dict, target: Path, out: BinaryIO) -> Iterator[Path]:
    """The file, or the videos below the folder by name; then those that have come meanwhile, until there is none."""
    from pan_core.files import list_files  # late: start-up
    from pan_core.video import VIDEO_SUFFIXES  # late: start-up

    if order["kind"] == "file":
        yield target
        return
    behind = {target / name for name in order["behind"]}
    noted: set[str] = set()
    while True:
        found = list_files(target)
        for line in (line for line in found.passed_over if line not in noted and not order["behind"]):
            _send(out, NOTE, f"passed over: {line}".encode(errors="replace"))
        noted.update(found.passed_over)
        if not (new := [path for path in found.ending_in(VIDEO_SUFFIXES) if path not in behind]):
            return
        behind.update(new)
        yield from new


def _send_file(path: Path, name: str, out: BinaryIO, *, paced: bool) -> None:
    import numpy as np  # late: start-up

    from pan_core.video import FrameReader  # late: start-up

    _send(out, PART, os.fsencode(name))  # first: what crashes the opening is known by its name
    with FrameReader(path) as reader:
        start = 0.0
        for number, frame in enumerate(reader.frames()):
            start = start if number else time.monotonic()
            position = number / reader.fps
            if paced:
                time.sleep(max(0.0, start + position - time.monotonic()))
            _send(out, FRAME, np.ascontiguousarray(frame), frame.shape, (time.monotonic(), position, reader.fps))


def _send_live(order: dict, out: BinaryIO) -> str:
    """A camera or a stream until it breaks off; returns why.

    A file that a server has comes as fast as the network is; it is played at its own rate.
    """
    import cv2  # late: start-up
    import numpy as np  # late: start-up

    from pan_core.video import MAX_PIXELS, PixelShape, three_channels, usable_fps  # late: start-up

    capture = _open(order)
    if not capture.isOpened():
        return "cannot be opened"
    fps, count = usable_fps(capture.get(cv2.CAP_PROP_FPS)), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finite = math.isfinite(count) and count > 0
    paced = finite and order["target"].lower().startswith("http")
    _send(out, PART, b"")
    pixels = PixelShape(capture)
    shown, start = 0, 0.0
    for frame, now in _read_pictures(capture):
        if math.prod(pixels.size_of(frame.shape[1], frame.shape[0])) > MAX_PIXELS:
            return f"sends pictures of {frame.shape[1]} x {frame.shape[0]} pixels, which is too large"
        frame = pixels.make_square(three_channels(frame))
        start = start if shown else now
        position = shown / fps if paced else now - start
        if paced and shown:
            time.sleep(max(0.0, start + position - time.monotonic()))
            now = time.monotonic()
        _send(out, FRAME, np.ascontiguousarray(frame), frame.shape, (now, position, fps))
        shown += 1
    if finite and shown >= count - 2:
        return ""
    return "broke off" if shown else "sends no picture that can be decoded"


def _open(order: dict):  # type: ignore[no-untyped-def]
    import cv2  # late: start-up

    if order["kind"] == "camera":
        return cv2.VideoCapture(int(order["target"]), cv2.CAP_ANY)
    milliseconds = round(1000 * order["stall_s"])
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
    return cv2.VideoCapture(order["target"], cv2.CAP_FFMPEG, [*options, cv2.CAP_PROP_N_THREADS, 1])


def _read_pictures(capture) -> Iterator[tuple]:  # type: ignore[no-untyped-def, type-arg]
    """Pictures and when each came, past those that cannot be decoded; OpenCV scales all to the size of the first."""
    failed = 0
    while failed < FAILURES:
        before = time.monotonic()
        grabbed = capture.grab()
        now = time.monotonic()
        found, frame = capture.retrieve() if grabbed else (False, None)
        if found and frame is not None and frame.size:
            failed = 0
            yield frame, now
        elif now - before > SLOW_FAILURE_S:
            return
        else:
            failed += 1
            time.sleep(FAILURE_PAUSE_S)


def _send(out: BinaryIO, kind: int, content, shape=(0, 0), times=(0.0, 0.0, 0.0)) -> None:  # type: ignore[no-untyped-def]
    view = memoryview(content).cast("B")
    for part in (memoryview(HEADER.pack(*times, shape[0], shape[1], len(view), kind)), view):
        sent = 0
        while sent < len(part):
            sent += out.write(part[sent:])


if __name__ == "__main__":
    main()
