"""An HTTP server on loopback that answers as a test's script says, and counts what it sent."""

import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Request:
    """What was asked, and how many bytes of a body went out for it."""

    path: str
    headers: dict[str, str]
    sent: int = 0
    status: int = 0


class Answer(BaseHTTPRequestHandler):
    """The request's handler: what a script does its faults with."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Hand the request to the script of its path; a script in a list serves once, the last one for ever."""
        self.request_seen = Request(self.path, dict(self.headers))
        site = self.server.site
        site.requests.append(self.request_seen)
        scripts = site.scripts.get(self.path, [status(404)])
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        script(self)

    def begin(self, code, **headers):
        """Status and headers; an underscore in a name is a hyphen."""
        self.request_seen.status = code
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, data, piece=4096):
        """Bytes of the body, in pieces."""
        for start in range(0, len(data), piece):
            self.wfile.write(data[start : start + piece])
            self.wfile.flush()
            self.request_seen.sent += len(data[start : start + piece])

    def hang_up(self):
        """Close the connection as it stands."""
        self.close_connection = True

    def log_message(self, *args):
        """Nothing on stderr."""


class QuietServer(ThreadingHTTPServer):
    """A client that goes away is what these tests are about."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """Nothing on stderr."""


Script = Callable[[Answer], None]


@dataclass
class Site:
    """A running server: `scripts` by path, and the requests seen."""

    url: str
    scripts: dict[str, list[Script]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def offer(self, path: str, *scripts: Script) -> str:
        """Answer requests for `path` with these scripts in turn; its address."""
        self.scripts[path] = list(scripts)
        return self.url + path

    @property
    def sent(self) -> list[int]:
        """Bytes of the body of every answer."""
        return [request.sent for request in self.requests]


@contextmanager
def serving():
    """A site that lives as long as the block."""
    server = QuietServer(("127.0.0.1", 0), Answer)
    server.site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.site
    finally:
        server.shutdown()
        server.server_close()


def whole(data, *, tag='"one"', cut=None, stall=None, ranges=True, piece_wait=0.0, **headers) -> Script:
    """A file, as a good server gives it (RFC 9110), with one fault where asked for.

    Args:
        data: Its content.
        tag: ETag; none where empty.
        cut: The connection is closed when so many bytes of this answer are out.
        stall: Seconds of silence where it would be cut.
        ranges: Whether Range and If-Range are honoured.
        piece_wait: Seconds between pieces of 4 kB.
        headers: Further headers, or others than the right ones.
    """

    def script(answer: Answer) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", answer.headers.get("Range", "")) if ranges else None
        if asked and answer.headers.get("If-Range", tag) != tag:
            asked = None
        start = int(asked[1]) if asked else 0
        own = {"ETag": tag} if tag else {}
        if asked:
            own["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        part = data[start:]
        answer.begin(206 if asked else 200, **{**own, "Content_Length": len(part), **headers})
        if piece_wait:
            for begin in range(0, len(part), 4096):
                answer.body(part[begin : begin + 4096])
                time.sleep(piece_wait)
            return
        answer.body(part[:cut])
        if cut is not None:
            time.sleep(stall or 0)
            answer.hang_up()

    return script


def status(code, body=b"", **headers) -> Script:
    """An answer of this status."""

    def script(answer: Answer) -> None:
        answer.begin(code, Content_Length=len(body), **headers)
        answer.body(body)

    return script


def redirect(target) -> Script:
    """Send the client elsewhere."""
    return status(302, Location=target)


def chunked(data, *, end=True) -> Script:
    """A body in chunks, with no length said; without `end` it breaks off between two of them."""

    def script(answer: Answer) -> None:
        answer.begin(200, Transfer_Encoding="chunked")
        for start in range(0, len(data), 4096):
            piece = data[start : start + 4096]
            answer.body(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if end:
            answer.body(b"0\r\n\r\n")
        answer.hang_up()

    return script


def no_length(data) -> Script:
    """A body that ends with the connection: nobody can tell whether it is whole."""

    def script(answer: Answer) -> None:
        answer.begin(200, Connection="close")
        answer.body(data)
        answer.hang_up()

    return script
