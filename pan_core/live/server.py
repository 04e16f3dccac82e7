"""The page of `pan serve`: pictures and figures over one WebSocket, events and uploads over HTTP."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, Response

from pan_core.errors import PanError
from pan_core.live.access import Access
from pan_core.live.camera import Camera
from pan_core.live.picture import Scene, as_jpeg, draw
from pan_core.live.uploads import Uploads, timeline_of
from pan_core.live.watcher import FrameResult
from pan_core.recognition.recognizer import Recognizer
from pan_core.viewer.drawing import person_colour

PAGE = Path(__file__).with_name("page")
FILES = {"app.css": "text/css", "app.js": "text/javascript", "login.js": "text/javascript"}
TOP = 5
# The page is looked after so often; states change without frames, too.
TICK_S, IDLE_S = 0.04, 1.0
MOST_LOGIN_BYTES = 4096


def application(
    cameras: Sequence[Camera], in_use: Callable[[], Recognizer], uploads: Uploads, *, scene: Scene, token: str | None
) -> Access:
    """The page's application.

    Args:
        cameras: Those that are watched.
        in_use: Gives the recognizer, for its name.
        uploads: Recognises videos.
        scene: What pictures show behind the skeletons.
        token: As for `Access`.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    access = Access(app, token)

    @app.get("/")
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/login")
    async def login() -> Response:
        return FileResponse(PAGE / "login.html")

    @app.post("/login")
    async def enter(request: Request) -> Response:
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > MOST_LOGIN_BYTES:
                return JSONResponse({"error": f"more than {MOST_LOGIN_BYTES} bytes, which is no token"}, 413)
        form = parse_qs(content.decode("utf-8", "replace"))
        return access.enter(form.get("token", [""])[0], request.scope)

    @app.get("/{name}")
    async def asset(name: str) -> Response:
        if name not in FILES:
            return _missing("page")
        return FileResponse(PAGE / name, media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    @app.get("/api/state")
    async def state() -> Response:
        return JSONResponse([described(number, camera) for number, camera in enumerate(cameras)])

    @app.get("/api/events/{camera}/{event}")
    async def replay(camera: int, event: str) -> Response:
        found = cameras[camera].recent.replay(event) if 0 <= camera < len(cameras) else None
        if found is None:
            return _missing("event with a replay")
        joints = np.round(np.nan_to_num(found.joints, nan=0.0), 2).tolist()
        times = np.round(found.times_s, 3).tolist()
        return JSONResponse({"times": times, "joints": joints, "bones": list(found.bones), "size": found.size})

    @app.get("/api/uploads")
    async def listed() -> Response:
        return JSONResponse([upload.as_dict() for upload in uploads.list()])

    @app.post("/api/uploads")
    async def add(request: Request, name: str = "video") -> Response:
        try:
            return JSONResponse((await uploads.add(name, request.stream())).as_dict(), 201)
        except PanError as error:
            return JSONResponse({"error": str(error)}, 400)

    @app.delete("/api/uploads/{upload}")
    async def remove(upload: str) -> Response:
        return Response(status_code=204) if uploads.remove(upload) else _missing("upload")

    @app.get("/api/uploads/{upload}/{kind}")
    async def result(upload: str, kind: str) -> Response:
        path, name = uploads.file(upload, kind), uploads.name(upload)
        if path is None:
            return _missing("result")
        return FileResponse(path) if kind == "video" else JSONResponse(timeline_of(path, name))

    @app.websocket("/live")
    async def live(channel: WebSocket) -> None:
        await channel.accept()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await _send_news(channel, cameras, in_use, scene)

    return access


async def _send_news(
    channel: WebSocket, cameras: Sequence[Camera], in_use: Callable[[], Recognizer], scene: Scene
) -> None:
    """Send what is new of each camera; while a browser is slow, older pictures are skipped."""
    sent, idle = [-1] * len(cameras), 0.0
    pictured: list[FrameResult | None] = [None] * len(cameras)
    await channel.send_text(json.dumps({"kind": "hello", "scene": scene.value, "cameras": len(cameras)}))
    gone = asyncio.ensure_future(_gone(channel))
    try:
        while not gone.done():
            for number, camera in enumerate(cameras):
                if camera.count == sent[number] and idle < IDLE_S:
                    continue
                sent[number] = camera.count
                told = {"kind": "camera", "model": in_use().name, **described(number, camera)}
                await channel.send_text(json.dumps(told, allow_nan=False))
                moment = camera.recent.moment
                if moment is not None and moment is not pictured[number]:
                    pictured[number] = moment
                    picture = await asyncio.to_thread(_picture, moment, scene)
                    await channel.send_bytes(struct.pack("<B", number) + picture)
            idle = 0.0 if idle >= IDLE_S else idle + TICK_S
            await asyncio.sleep(TICK_S)
    finally:
        gone.cancel()


async def _gone(channel: WebSocket) -> None:
    """Until the browser leaves; it says nothing else."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await channel.receive_text()


def _picture(moment: FrameResult, scene: Scene) -> bytes:
    return as_jpeg(draw(moment, scene))


def described(number: int, camera: Camera) -> dict[str, Any]:
    """What the page shows of a camera besides its picture."""
    source, moment, p90 = camera.source, camera.recent.moment, camera.recent.latency_p90_s
    return {
        "camera": number,
        "name": source.name,
        "state": "fault" if camera.fault else source.state.value,
        "reason": camera.fault or source.reason or camera.notice or source.notice,
        "frames": source.frames_seen,
        "dropped": source.dropped,
        "losses": source.losses,
        "p90_ms": None if p90 is None else round(1000 * p90),
        "position_s": round(moment.frame.position, 1) if moment else None,
        "people": [_person(one, moment) for one in moment.people] if moment else [],
        "events": [asdict(event) for event in list(camera.recent.events.values())[-50:]],
    }


def _person(one: Any, moment: FrameResult) -> dict[str, Any]:
    blue, green, red = person_colour(one.person)
    best = np.argsort(one.probabilities)[::-1][:TOP]
    labels = moment.by.network.labels
    return {
        "person": one.person,
        "colour": f"#{red:02x}{green:02x}{blue:02x}",
        "caption": one.caption.label,
        "confidence": round(one.caption.confidence, 3),
        "clip": one.clip.label,
        "top": [[labels[k], round(float(one.probabilities[k]), 3)] for k in best],
        "strip": np.round(moment.strips.get(one.person, np.zeros(0)), 4).tolist(),
    }


def _missing(what: str) -> Response:
    return JSONResponse({"error": f"no such {what}"}, 404)


def listen(host: str, port: int) -> socket.socket:
    """An open port.

    Raises:
        PanError: Where it is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen()
    except OSError as error:
        opened.close()
        raise PanError(
            f"{host}:{port}: cannot be served ({error.strerror}); choose another with --port or --host"
        ) from None
    return opened


def configuration(app: Access) -> uvicorn.Config:
    """Of the server; who still looks when it ends is let go at once, and addresses with tokens are never logged."""
    return uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, ws="websockets-sansio"
    )


def run(app: Access, port: socket.socket) -> None:
    """Serve until Ctrl+C."""
    uvicorn.Server(configuration(app)).run(sockets=[port])
