"""What the page of `pan serve` asks for: its files, the cameras, and uploads; one class of routes each.

Pictures and figures of cameras go over one WebSocket, events and uploads over HTTP. Who may ask is decided before, in
`pan_core.live.access`.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, Response

from pan_core.errors import PanError
from pan_core.live.access import Access
from pan_core.live.camera import Camera
from pan_core.live.picture import SceneStyle, as_jpeg, draw
from pan_core.live.uploads import Uploads, timeline_of
from pan_core.live.watcher import FrameResult
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.stream import Recognition
from pan_core.viewer.drawing import person_colour

PAGE = Path(__file__).with_name("page")
FILES = {"app.css": "text/css", "app.js": "text/javascript", "login.js": "text/javascript"}
TOP = 5
SHOWN_EVENTS = 50
# Seconds between two looks for news; after IDLE_S every camera is sent, as states change without frames, too.
TICK_S, IDLE_S = 0.04, 1.0
MOST_LOGIN_BYTES = 4096


class PageRoutes:
    """The page, the login, and the files that they are made of.

    Args:
        access: Checks the token of a login.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self.router = APIRouter()
        self.router.add_api_route("/", self.page, methods=["GET"])
        self.router.add_api_route("/login", self.login, methods=["GET"])
        self.router.add_api_route("/login", self.enter, methods=["POST"])
        self.router.add_api_route("/{name}", self.asset, methods=["GET"])

    async def page(self) -> Response:
        """The page."""
        return FileResponse(PAGE / "index.html")

    async def login(self) -> Response:
        """The form that asks for the token."""
        return FileResponse(PAGE / "login.html")

    async def enter(self, request: Request) -> Response:
        """Take the form; it is read only as far as a token is long."""
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > MOST_LOGIN_BYTES:
                return JSONResponse({"error": f"more than {MOST_LOGIN_BYTES} bytes, which is no token"}, 413)
        form = parse_qs(content.decode("utf-8", "replace"))
        return self._access.enter(form.get("token", [""])[0], request.scope)

    async def asset(self, name: str) -> Response:
        """A file of the page; only those that are listed."""
        if name not in FILES:
            return _missing("page")
        return FileResponse(PAGE / name, media_type=FILES[name], headers={"Cache-Control": "no-cache"})


class UploadRoutes:
    """Videos that people send, and what was recognised in them.

    Args:
        uploads: Keeps and recognises them.
    """

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self.router = APIRouter(prefix="/api/uploads")
        self.router.add_api_route("", self.list, methods=["GET"])
        self.router.add_api_route("", self.add, methods=["POST"])
        self.router.add_api_route("/{upload}", self.remove, methods=["DELETE"])
        self.router.add_api_route("/{upload}/{kind}", self.result, methods=["GET"])

    async def list(self) -> Response:
        """All uploads, the newest first."""
        return JSONResponse([upload.as_dict() for upload in self._uploads.list()])

    async def add(self, request: Request, name: str = "video") -> Response:
        """Take a video in."""
        try:
            return JSONResponse((await self._uploads.add(name, request.stream())).as_dict(), 201)
        except PanError as error:
            return JSONResponse({"error": str(error)}, 400)

    async def remove(self, upload: str) -> Response:
        """Delete a video and its results."""
        return Response(status_code=204) if self._uploads.remove(upload) else _missing("upload")

    async def result(self, upload: str, kind: str) -> Response:
        """The annotated video, or the timeline."""
        path, name = self._uploads.file(upload, kind), self._uploads.name(upload)
        if path is None:
            return _missing("result")
        return FileResponse(path) if kind == "video" else JSONResponse(timeline_of(path, name))


class CameraRoutes:
    """State, replays and live pictures of the cameras.

    Args:
        cameras: Those that are watched.
        get_recognizer: Gives the recognizer, for its name.
        scene: What pictures show behind the skeletons.
    """

    def __init__(self, cameras: Sequence[Camera], get_recognizer: Callable[[], Recognizer], scene: SceneStyle) -> None:
        self._cameras, self._get_recognizer, self._scene = cameras, get_recognizer, scene
        self.router = APIRouter()
        self.router.add_api_route("/api/state", self.state, methods=["GET"])
        self.router.add_api_route("/api/events/{camera}/{event}", self.replay, methods=["GET"])
        self.router.add_api_websocket_route("/live", self.live)

    async def state(self) -> Response:
        """All cameras, without pictures."""
        return JSONResponse([describe_camera(number, camera) for number, camera in enumerate(self._cameras)])

    async def replay(self, camera: int, event: str) -> Response:
        """Skeletons of an event."""
        found = self._cameras[camera].recent.replay(event) if 0 <= camera < len(self._cameras) else None
        if found is None:
            return _missing("event with a replay")
        joints = np.round(np.nan_to_num(found.joints, nan=0.0), 2).tolist()
        times = np.round(found.times_s, 3).tolist()
        return JSONResponse({"times": times, "joints": joints, "bones": list(found.bones), "size": found.size})

    async def live(self, channel: WebSocket) -> None:
        """News of all cameras until the browser leaves."""
        await channel.accept()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            hello = {"kind": "hello", "scene": self._scene.value, "cameras": len(self._cameras)}
            await channel.send_text(json.dumps(hello))
            gone = asyncio.ensure_future(_wait_for_leaving(channel))
            try:
                await self._send_news(channel, gone)
            finally:
                gone.cancel()

    async def _send_news(self, channel: WebSocket, gone: "asyncio.Future[None]") -> None:
        """Send what is new of each camera; while a browser is slow, older pictures are skipped."""
        counts, idle_s = [-1] * len(self._cameras), 0.0
        pictured: list[FrameResult | None] = [None] * len(self._cameras)
        while not gone.done():
            for number, camera in enumerate(self._cameras):
                if camera.count == counts[number] and idle_s < IDLE_S:
                    continue
                counts[number] = camera.count
                news = {"kind": "camera", "model": self._get_recognizer().name, **describe_camera(number, camera)}
                await channel.send_text(json.dumps(news, allow_nan=False))
                newest = camera.recent.newest
                if newest is not None and newest is not pictured[number]:
                    pictured[number] = newest
                    picture = await asyncio.to_thread(_encode, newest, self._scene)
                    await channel.send_bytes(struct.pack("<B", number) + picture)
            idle_s = 0.0 if idle_s >= IDLE_S else idle_s + TICK_S
            await asyncio.sleep(TICK_S)


async def _wait_for_leaving(channel: WebSocket) -> None:
    """Wait until the browser leaves; it sends nothing else."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await channel.receive_text()


def _encode(result: FrameResult, scene: SceneStyle) -> bytes:
    return as_jpeg(draw(result, scene))


def describe_camera(number: int, camera: Camera) -> dict[str, Any]:
    """What the page shows of a camera besides its picture."""
    source, newest, p90 = camera.source, camera.recent.newest, camera.recent.latency_p90_s
    return {
        "camera": number,
        "name": source.name,
        "state": "fault" if camera.fault else source.state.value,
        "reason": camera.fault or source.reason or camera.notice or source.notice,
        "frames": source.frames_seen,
        "dropped": source.dropped,
        "losses": source.losses,
        "p90_ms": None if p90 is None else round(1000 * p90),
        "position_s": round(newest.frame.position, 1) if newest else None,
        "people": [_describe_person(one, newest) for one in newest.people] if newest else [],
        "events": [asdict(event) for event in list(camera.recent.events.values())[-SHOWN_EVENTS:]],
    }


def _describe_person(one: Recognition, result: FrameResult) -> dict[str, Any]:
    blue, green, red = person_colour(one.person)
    best = np.argsort(one.probabilities)[::-1][:TOP]
    labels = result.by.network.labels
    return {
        "person": one.person,
        "colour": f"#{red:02x}{green:02x}{blue:02x}",
        "caption": one.caption.label,
        "confidence": round(one.caption.confidence, 3),
        "clip": one.clip.label,
        "top": [[labels[k], round(float(one.probabilities[k]), 3)] for k in best],
        "strip": np.round(result.strips.get(one.person, np.zeros(0)), 4).tolist(),
    }


def _missing(what: str) -> Response:
    return JSONResponse({"error": f"no such {what}"}, 404)
