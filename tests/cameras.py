"""Cameras on loopback for tests: RTSP by GStreamer's own server, and MJPEG over HTTP."""

import itertools
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDED = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"
)


def require_rtsp() -> None:
    """Skip where GStreamer's RTSP server is not installed."""
    there = (
        Path(SYSTEM_PYTHON).is_file()
        and not subprocess.run([SYSTEM_PYTHON, "-c", NEEDED], capture_output=True, check=False).returncode
    )
    if not there:
        pytest.skip(
            "no RTSP server: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
        )


def start_rtsp(port: int, *arguments: object) -> "subprocess.Popen[bytes]":
    """A server that answers; the caller ends it."""
    server = subprocess.Popen(
        [SYSTEM_PYTHON, str(SERVER), str(port), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdout and server.stdout.readline() == b"ready\n"
    return server


@contextmanager
def mjpeg(chunks: Iterable[bytes], *, pause: float = 0.02, port: int = 0) -> Iterator[str]:
    """Address of a server that sends these chunks again and again, each as one part of an endless answer."""
    parts, stop = list(chunks), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            try:
                for part in itertools.cycle(parts):
                    self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(part))
                    self.wfile.write(part + b"\r\n")
                    if stop.wait(pause):
                        return
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/camera.mjpg"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def jpeg(width: int, height: int, grey: int) -> bytes:
    """An even picture."""
    return cv2.imencode(".jpg", np.full((height, width, 3), grey, np.uint8))[1].tobytes()


@contextmanager
def stored(path: Path) -> Iterator[str]:
    """Address of a server that has one file."""
    content = path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{path.name}"
    finally:
        server.shutdown()
        server.server_close()
