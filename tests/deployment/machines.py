"""The set-up of compose.yaml as real processes on loopback: PostgreSQL, S3, MLflow, Prefect, Dask, and clones that share their data."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import psutil
from chaos.servers import dask_scheduler, mlflow_server, postgresql, prefect_server, running, s3_server
from chaos.workspace import ROOT
from parameters import change

from pan_core.workers.pool import die_with_parent

PASSWORD, SECRET = f"postgres-{token_hex(8)}", f"s3-{token_hex(8)}"
"""What must not be found in any log or file afterwards, the project's own text included."""


@dataclass
class Machines:
    """What runs, as environment variables for whoever uses it.

    Attributes:
        environment: Addresses of all servers, and the credentials.
        folder: Where servers keep logs.
        database_log: PostgreSQL's, which it cannot keep there; gone with the server.
    """

    environment: dict[str, str]
    folder: Path
    database_log: Path


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """All servers, until the block ends."""
    import boto3

    with ExitStack() as stack:
        login, database_log = stack.enter_context(postgresql(PASSWORD, ("mlflow", "prefect", "optuna")))
        store = stack.enter_context(running(s3_server(folder)))
        aws = {
            "AWS_ENDPOINT_URL": store.address,
            "AWS_ACCESS_KEY_ID": "pan",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=store.address,
            aws_access_key_id="pan",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        for bucket in ("dvc", "mlflow"):
            client.create_bucket(Bucket=bucket)
        tracking = mlflow_server(folder, f"postgresql://{login}/mlflow", "s3://mlflow", aws)
        orchestration = prefect_server(folder, f"postgresql+asyncpg://{login}/prefect")
        scheduler, scheduler_address = dask_scheduler(folder)
        for server in (tracking, orchestration, scheduler):
            stack.enter_context(running(server))
        yield Machines(
            aws
            | {
                "MLFLOW_TRACKING_URI": tracking.address,
                "PREFECT_API_URL": orchestration.address.removesuffix("/health"),
                "PAN_OPTUNA_STORAGE": f"postgresql://{login}/optuna",
                "PAN_DASK_SCHEDULER": scheduler_address,
            },
            folder,
            database_log,
        )


class Clone:
    """A git clone of the project on one machine: its own DVC cache, its own MLflow folder.

    Args:
        folder: Made here.
        environment: Of the servers, from `Machines`.
        mirror: Folder with the dataset.
        source: The clone that it is of; None for the project's files as they are now, committed in a repository of their own.
    """

    def __init__(self, folder: Path, environment: dict[str, str], mirror: Path, source: Path | None = None) -> None:
        self.folder = folder
        self.log = folder.with_name(folder.name + ".log")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PAN_")} | {
            **environment,
            **{f"GIT_{who}_{what}": "pan@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            "PAN_MIRROR": str(mirror),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
        }
        folder.mkdir()
        if source is None:
            self.run("git", "init", "--quiet")
            listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
            for name in filter(None, listed.stdout.split("\0")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
            self.commit("the project")
        else:
            self.run("git", "clone", "--quiet", str(source), ".")
        (folder / ".venv").symlink_to(ROOT / ".venv")

    def commit(self, message: str) -> None:
        """Everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def set(self, changes: dict[str, object]) -> None:
        """Change values of params.yaml, given as {"section.name": value}."""
        change(self.folder / "params.yaml", changes)

    def run(self, *command: str) -> str:
        """What a command printed, which has to end well."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        printed = done.stdout + done.stderr
        with self.log.open("a") as log:
            log.write(printed)
        assert done.returncode == 0, f"{' '.join(command)}: {printed[-4000:]}"
        return printed

    @contextmanager
    def workers(self) -> Iterator[psutil.Process]:
        """Prefect's worker and one of Dask's, as compose.yaml starts them, which write into the log; yields Dask's."""
        dask = ["dask", "worker", self.environment["PAN_DASK_SCHEDULER"], "--nworkers", "1", "--nthreads", "1"]
        started: list[subprocess.Popen[bytes]] = []
        with self.log.open("a") as log:
            for command in (["sh", "deploy/worker.sh"], dask):
                started.append(
                    subprocess.Popen(
                        command,
                        cwd=self.folder,
                        env=self.environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        preexec_fn=die_with_parent,
                    )
                )
        try:
            end = time.monotonic() + 180
            while "Worker 'ProcessWorker" not in (printed := self.log.read_text()):
                alive = all(process.poll() is None for process in started)
                assert alive and time.monotonic() < end, printed[-4000:]
                time.sleep(0.2)
            yield psutil.Process(started[1].pid)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(60)


def told(places: Sequence[Path], secrets: Sequence[str] = (PASSWORD, SECRET)) -> list[Path]:
    """Files among some files and folders in which a secret stands."""
    hidden = [secret.encode() for secret in secrets]
    found = []
    for path in (path for place in places for path in ([place] if place.is_file() else place.rglob("*"))):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(secret in content for secret in hidden):
                found.append(path)
    return found
