"""Real servers as processes of their own, on loopback, that can be killed and come back on the same port."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import requests

from pan_core.workers.pool import die_with_parent


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that answers at `address`, started by a command.

    Args:
        command: Program and arguments.
        address: Page that answers when it is ready.
        log: File of what it prints.
        environment: Beside that of this process.
    """

    def __init__(self, command: list[str], address: str, log: Path, environment: dict[str, str] | None = None) -> None:
        self.command, self.address, self.log, self.environment = command, address, log, environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 600) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
                cwd=self.log.parent,
            )
        end = time.monotonic() + seconds
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end, self.log.read_text()[-4000:]
            time.sleep(0.2)

    def _answers(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(self.address, timeout=2).status_code < 500
        return False

    def kill(self) -> None:
        """SIGKILL it and every process that it has started."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                child.kill()
        self._process.kill()
        self._process.wait()
        self._process = None


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def mlflow_server(
    folder: Path, store: str = "", artifacts: str = "", environment: dict[str, str] | None = None
) -> Server:
    """MLflow's server; the store by its environment, because a password may stand in its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", artifacts or str(folder / "artifacts")]
    settings = {
        "MLFLOW_BACKEND_STORE_URI": store or f"sqlite:///{folder / 'server.db'}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Server(command, f"http://127.0.0.1:{port}", folder / "mlflow.log", settings | (environment or {}))


def prefect_server(folder: Path, store: str = "") -> Server:
    """Prefect's server; its API is `address` without the last word."""
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    settings = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    if store:
        settings["PREFECT_API_DATABASE_CONNECTION_URL"] = store
    return Server(command, f"http://127.0.0.1:{port}/api/health", folder / "prefect.log", settings)


def s3_server(folder: Path) -> Server:
    """moto's server, which speaks S3."""
    port = free_port()
    return Server(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        f"http://127.0.0.1:{port}",
        folder / "moto.log",
    )


def dask_scheduler(folder: Path) -> tuple[Server, str]:
    """Dask's scheduler, and its address for clients and workers."""
    port, page = free_port(), free_port()
    command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dashboard-address", f"127.0.0.1:{page}"]
    return Server(command, f"http://127.0.0.1:{page}/health", folder / "dask.log"), f"tcp://127.0.0.1:{port}"


def postgresql_programs() -> Path | None:
    """Folder of PostgreSQL's programs, None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    place = found[-1].parent if found else Path(shutil.which("initdb") or "/nowhere").parent
    return place if (place / "initdb").is_file() else None


@contextmanager
def postgresql(password: str, databases: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """A PostgreSQL server on loopback that asks for a password; yields user:password@host:port, and its log."""
    programs, port = postgresql_programs(), free_port()
    assert programs
    folder = Path(tempfile.mkdtemp(prefix="pan-postgresql-"))
    (folder / "word").write_text(password)
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        for path in (folder, folder / "word"):
            shutil.chown(path, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data = folder / "data"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]

    def call(*command: str, **environment: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd="/", env=os.environ | environment)

    try:
        word = f"--pwfile={folder / 'word'}"
        call(*as_user, str(programs / "initdb"), "-D", str(data), "-A", "scram-sha-256", "-U", "pan", word)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        call(*control, "-o", options, "-l", str(folder / "log"), "start")
        for name in databases:
            create = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "pan", name]
            call(*create, PGPASSWORD=password)
        yield f"pan:{password}@127.0.0.1:{port}", folder / "log"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)
