"""The set-up of compose.yaml as real processes on loopback: PostgreSQL, S3, MLflow, Prefect, and two clones that share their data."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.servers import mlflow_server, postgresql, prefect_server, running, s3_server
from chaos.workspace import ROOT, lay_out
from parameters import change

PASSWORD, SECRET = "postgres-hunter22", "wJalrXUtnFEMI-K7MDENG"
"""What must not be found in any log or file afterwards."""


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
        for server in (tracking, orchestration):
            stack.enter_context(running(server))
        yield Machines(
            aws
            | {
                "MLFLOW_TRACKING_URI": tracking.address,
                "PREFECT_API_URL": orchestration.address.removesuffix("/health"),
                "PAN_OPTUNA_STORAGE": f"postgresql://{login}/optuna",
            },
            folder,
            database_log,
        )


class Clone:
    """A checkout of the project on one machine: its own DVC cache, its own MLflow folder.

    Args:
        folder: Made here.
        environment: Of the servers, from `Machines`.
        mirror: Folder with the dataset.
        lock: A dvc.lock that came by git, with the parameters that it is of beside it; None for a new project.
    """

    def __init__(self, folder: Path, environment: dict[str, str], mirror: Path, lock: Path | None = None) -> None:
        self.folder = folder
        self.log = folder.with_name(folder.name + ".log")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PAN_")} | {
            **environment,
            "PAN_MIRROR": str(mirror),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        lay_out(folder)
        self.run("dvc", "init", "--no-scm", "--quiet")
        self.run("dvc", "remote", "add", "--default", "shared", "s3://dvc/pan")
        if lock:
            for path in (lock, lock.with_name("params.yaml")):
                shutil.copy2(path, folder / path.name)

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
