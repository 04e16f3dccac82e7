"""The page of `pan serve` as one application, and the server that runs it."""

import socket
from collections.abc import Callable, Sequence

import uvicorn
from fastapi import FastAPI

from pan_core.errors import PanError
from pan_core.live.access import Access
from pan_core.live.camera import Camera
from pan_core.live.picture import SceneStyle
from pan_core.live.routes import CameraRoutes, PageRoutes, UploadRoutes
from pan_core.live.uploads import Uploads
from pan_core.recognition.recognizer import Recognizer


def application(
    cameras: Sequence[Camera],
    get_recognizer: Callable[[], Recognizer],
    uploads: Uploads,
    *,
    scene: SceneStyle,
    token: str | None,
) -> Access:
    """Make the page's application; every request passes its access control first.

    Args:
        cameras: Those that are watched.
        get_recognizer: Gives the recognizer, for its name.
        uploads: Recognises videos.
        scene: What pictures show behind the skeletons.
        token: As for `Access`.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    access = Access(app, token)
    for routes in (
        PageRoutes(access),
        CameraRoutes(cameras, get_recognizer, scene),
        UploadRoutes(uploads),
    ):
        app.include_router(routes.router)
    return access


def listen(host: str, port: int) -> socket.socket:
    """An open port.

    Raises:
        PanError: If it is taken, or not this machine's.
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
            f"{host}:{port}: cannot be served ({error.strerror}); choose another with --port or --host",
            code="serve.port",
        ) from None
    return opened


def configuration(app: Access) -> uvicorn.Config:
    """Settings of the server: when it ends, browsers are let go at once; addresses with tokens are never logged."""
    return uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, ws="websockets-sansio"
    )


def run(app: Access, port: socket.socket) -> None:
    """Serve until Ctrl+C."""
    uvicorn.Server(configuration(app)).run(sockets=[port])
