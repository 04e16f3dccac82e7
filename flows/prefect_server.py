"""The Prefect server that a run talks to: the one that is configured, or one embedded in this process.

While an embedded server is up its address stands in the project's Prefect profile, so that `prefect deployment run`
finds it from the project's root in another shell; afterwards `python -m flows.pan` again needs no server.
"""

import contextvars
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from prefect.client.orchestration import get_client
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_CORS_ALLOWED_ORIGINS,
    PREFECT_SERVER_CSRF_PROTECTION_ENABLED,
    get_current_settings,
    temporary_settings,
    update_current_profile,
)

from flows.guardian import guarded
from pan_core.errors import PanError
from pan_core.secrets import masked

HOST = "127.0.0.1"
FIRST_PORT = 4200
START_S = 120.0
STOP_S = 15.0

Result = TypeVar("Result")


def answers(api_url: str) -> bool:
    """Whether a Prefect API answers at this address."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        return client.api_healthcheck() is None


def run_to_its_end(run: Callable[[bool], Result]) -> Result:
    """Run a flow in this process, also where the server that it talks to goes away for good.

    Prefect's tasks go on without a server; what fails is to tell it how the run ended. Then the flow runs once more with
    Prefect's temporary one, and DVC skips every stage that is finished.

    Args:
        run: Starts the flow; True tells that it has run before.

    Raises:
        PanError: Where the variable PREFECT_API_URL names a server that does not answer from the beginning.
    """
    with guarded():
        return _run(run)


def _run(run: Callable[[bool], Result]) -> Result:
    with reachable_server():
        try:
            return run(False)
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            api_url = get_current_settings().api.url
            if not api_url:
                raise
            if isinstance(error, httpx.HTTPStatusError):
                gone = error.response.status_code >= 500  # it answers, but its database is away
            else:
                gone = not answers(api_url)
            if not gone:
                raise
    print(
        f"the Prefect server at {masked(api_url)} went away; the run goes on without it, and will not be seen there as ended",
        file=sys.stderr,
        flush=True,
    )
    os.environ.pop("PREFECT_API_URL", None)
    with temporary_settings(restore_defaults=[PREFECT_API_URL]):
        return run(True)


@contextmanager
def reachable_server() -> Iterator[None]:
    """For a run in this process: the configured server where it answers, else Prefect's temporary one.

    A served pipeline that was killed leaves its address in the profile; that must not stop a run.

    Raises:
        PanError: Where the variable PREFECT_API_URL names a server that does not answer.
    """
    api_url = get_current_settings().api.url
    if not api_url or answers(api_url):
        yield
        return
    if "PREFECT_API_URL" in os.environ:
        raise PanError(
            f"PREFECT_API_URL is {api_url}, but no Prefect server answers there; start it, "
            "or `unset PREFECT_API_URL` to run without one",
            code="prefect.away",
        )
    print(f"no Prefect server answers at {masked(api_url)}, so this run does without", file=sys.stderr)
    with temporary_settings(restore_defaults=[PREFECT_API_URL]):
        yield


@contextmanager
def any_server() -> Iterator[tuple[str, bool]]:
    """The configured server where it answers, else an embedded one that lives as long as the block.

    Yields:
        The API's address, and whether its server is embedded here.

    Raises:
        PanError: Where another machine's server is configured and does not answer.
    """
    configured = get_current_settings().api.url
    if configured and answers(configured):
        yield configured, False
        return
    with embedded_server(_loopback_port(configured) if configured else None) as api_url:
        yield api_url, True


@contextmanager
def embedded_server(port: int | None = None) -> Iterator[str]:
    """A Prefect server in a thread of this process, on loopback only: it cannot outlive the process.

    Args:
        port: None for the first free one from `FIRST_PORT` on.

    Yields:
        The API's address, which is also the current setting and the address in the project's profile.

    Raises:
        PanError: Where no port is free, or it does not start.
    """
    import uvicorn  # late: start-up
    from prefect.server.api.server import create_app  # late: start-up

    # Held from here on: two servers that start at once never take the same one.
    listening = _bind_socket(port)
    port = listening.getsockname()[1]
    api_url = f"http://{HOST}:{port}/api"
    # Also where the folder has no prefect.toml: pages from elsewhere in somebody's browser neither read nor start runs.
    own = {
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS: f"http://{HOST}:{port},http://localhost:{port}",
        PREFECT_SERVER_CSRF_PROTECTION_ENABLED: True,
    }
    with closing(listening), temporary_settings({PREFECT_API_URL: api_url, **own}):
        server = uvicorn.Server(
            uvicorn.Config(create_app, factory=True, log_level="error", timeout_graceful_shutdown=2)
        )
        run = partial(contextvars.copy_context().run, server.run, sockets=[listening])
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            _await_start(server, thread, api_url)
            with _publish_address(api_url):
                yield api_url
        finally:
            APILogHandler().flush()  # while there still is a server to take them
            server.should_exit = True
            thread.join(STOP_S)


def _await_start(server: "uvicorn.Server", thread: threading.Thread, api_url: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise PanError(
                f"the Prefect server did not start at {api_url}; see the lines above, or start one yourself "
                "(`prefect server start`) and set PREFECT_API_URL to its address",
                code="prefect.not-started",
            )
        time.sleep(0.1)


@contextmanager
def _publish_address(api_url: str) -> Iterator[None]:
    update_current_profile({PREFECT_API_URL: api_url})
    try:
        yield
    finally:
        update_current_profile({PREFECT_API_URL: None})


def _loopback_port(api_url: str) -> int:
    address = urlsplit(api_url)
    if address.hostname not in (HOST, "localhost"):
        raise PanError(
            f"PREFECT_API_URL is {api_url}, but no Prefect server answers there; start it, "
            "or unset PREFECT_API_URL to have one on this machine",
            code="prefect.away",
        )
    return address.port or 80


def _bind_socket(port: int | None) -> socket.socket:
    """A socket that listens on loopback: only one that listens keeps others from its port."""
    ports = range(FIRST_PORT, FIRST_PORT + 100) if port is None else [port]
    for each in ports:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, each))
            bound.listen()
        except OSError:
            bound.close()
            continue
        return bound
    raise PanError(
        f"no free port in {ports[0]}..{ports[-1]} for the Prefect server; set PREFECT_API_URL", code="prefect.no-port"
    )
