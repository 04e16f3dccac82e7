"""Rows of pipeline runs and stages in MLflow.

One experiment a dataset. One parent run a pipeline run, found again by the fingerprint of its parameters, so that
a killed run continues as the same row; stage runs are nested in it. The default store is SQLite under mlruns/.

A server that goes away while a stage is at work stops nothing: `tracking/run.py`.
"""

import hashlib
import logging
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from pan_core.errors import PanError
from pan_core.secrets import masked, without_login
from pan_core.tracking.local_store import (
    ARTIFACTS,
    DATABASE,
    create_database,
    follow_project,
    is_quoted,
    remove_strays,
    store_folder,
    store_uri,
)
from pan_core.tracking.outbox import REFUSED, AwayError
from pan_core.tracking.run import NullRun, Run, outboxes, single_attempt

_log = logging.getLogger(__name__)

PIPELINE, STAGE = "pipeline", "stage"
UNKNOWN_COMMIT = "unknown"
"""Commit of a run if git refuses the folder or is missing."""
UI_VARIABLE = "PAN_MLFLOW_UI"
"""Where people reach the server that MLFLOW_TRACKING_URI names, if by another address."""


def run_address(run_id: str) -> str | None:
    """Page of a run, where MLFLOW_TRACKING_URI is the address of a server that knows it."""
    from mlflow.exceptions import MlflowException  # late: start-up

    server = _server()
    if server is None:
        return None
    server = os.environ.get(UI_VARIABLE, "").rstrip("/") or server
    with suppress(PanError, MlflowException):
        experiment = open_client().get_run(run_id).info.experiment_id
        return f"{server}/#/experiments/{experiment}/runs/{run_id}"
    return None


def _server() -> str | None:
    """Address for people of the server that keeps the store, None where the store is a database."""
    uri = store_uri()
    return without_login(uri).rstrip("/") if uri.startswith(("http://", "https://")) else None


def tables_of_runs(port: int) -> dict[str, str]:
    """Each experiment with the page of its table in the UI that `serve_ui` serves.

    The UI opens an experiment with pages for language models unless the address says otherwise.

    Raises:
        PanError: If the store cannot be read, or a server keeps it, which has a UI of its own.
    """
    if server := _server():
        raise PanError(
            f"MLFLOW_TRACKING_URI is a server with a UI of its own: open {server}/#/experiments?workflowType=machine_learning",
            code="store.own-ui",
        )
    client = open_client()
    with _lock_store():
        experiments = client.search_experiments(order_by=["last_update_time DESC"])
    return {
        found.name: f"http://127.0.0.1:{port}/#/experiments/{found.experiment_id}?workflowType=machine_learning"
        for found in experiments
        if found.name != "Default"  # MLflow's own, and empty
    }


def serve_ui(port: int) -> None:
    """Replace this process by MLflow's own server on the store in use, a database, bound to loopback."""
    store_folder().mkdir(exist_ok=True)
    # For one person: four processes and a runner of jobs for language models take a small machine half a minute to start.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # By its environment: arguments are for everybody on the machine to read.
    os.execve(sys.executable, command, os.environ | {"MLFLOW_BACKEND_STORE_URI": _ui_uri()})


def _ui_uri() -> str:
    """Address of the store for a server that works in this folder: to it MLflow would take a quoted path for a folder."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{os.path.relpath(store_folder() / DATABASE)}"


class Tracker:
    """Runs of one dataset's experiment.

    Raises:
        PanError: If the store cannot be opened.
    """

    def __init__(self, experiment: str) -> None:
        self._client = open_client()
        deliver_waiting(self._client)
        with _lock_store():
            self._experiment = self._experiment_id(experiment, store_uri())

    def _experiment_id(self, name: str, uri: str) -> str:
        from mlflow.exceptions import MlflowException  # late: start-up

        found = self._client.get_experiment_by_name(name)
        if found is None:
            root = (store_folder() / ARTIFACTS / name).resolve().as_uri() if uri.startswith("sqlite") else None
            try:
                return self._client.create_experiment(name, artifact_location=root)
            except MlflowException as error:
                # The lock is this machine's; another one may have begun the dataset's first run at the same time.
                found = self._client.get_experiment_by_name(name)
                if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            raise PanError(
                f"MLflow store {store_uri()}: experiment {name} was deleted there; bring it back with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or delete it for good (`mlflow gc`)",
                code="store.experiment-deleted",
            )
        return found.experiment_id

    @contextmanager
    def stage(self, name: str, *, fingerprint: str, params: Mapping[str, object]) -> Iterator[Run]:
        """A stage's run, nested in the pipeline run of the same parameters.

        A stage that was killed goes on in the run that it had.
        """
        with self._close_at_end(self.open_stage(name, fingerprint=fingerprint, params=params)) as run:
            yield run

    def open_stage(self, name: str, *, fingerprint: str, params: Mapping[str, object]) -> Run:
        """A stage's run as `stage` has it, left open for others who work on the same stage."""
        parent = self.pipeline(fingerprint, params)
        tags = {"pan.kind": STAGE, "pan.stage": name, "mlflow.parentRunId": parent.run_id}
        query = f"tags.`pan.stage` = '{name}' and tags.`mlflow.parentRunId` = '{parent.run_id}'"
        return self._find(query) or self._create(name, tags)

    def run(self, run_id: str) -> Run | None:
        """A run by its id, None where the store has none or it was deleted."""
        from mlflow.exceptions import MlflowException  # late: start-up

        try:
            found = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return Run(self._client, run_id) if found.info.lifecycle_stage == "active" else None

    @contextmanager
    def nested(self, parent: str, name: str, *, params: Mapping[str, object]) -> Iterator[Run]:
        """A run nested in the run with the id `parent`; without it the work goes on, if the store is away."""
        run: Run = NullRun()
        try:
            with single_attempt():
                run = self._create(name, {"mlflow.parentRunId": parent})
                run.params(params)
        except AwayError as error:
            _log.warning("%s; the row of %s will not be there, or without its parameters", error, name)
        with self._close_at_end(run):
            yield run

    def give_up(self, parent: str, name: str) -> None:
        """Close the nested run of that name whose process died, where there is one."""
        from mlflow.exceptions import MlflowException  # late: start-up

        # A store that the other process did not share, or that is away, must not end the work of this one.
        with suppress(MlflowException):
            run = self._find(f"tags.`mlflow.parentRunId` = '{parent}' and tags.`mlflow.runName` = '{name}'")
            if run is not None:
                run.end("KILLED")

    @contextmanager
    def _close_at_end(self, run: Run) -> Iterator[Run]:
        """Close a run with the state in which its block ends."""
        from mlflow.exceptions import MlflowException  # late: start-up

        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except MlflowException as error:
            raise PanError(
                f"MLflow store {store_uri()}: cannot be written ({_first_line(error)}); make space on its disk or start its server, "
                "then run again: finished work is kept",
                code="store.unwritable",
            ) from error
        finally:
            with suppress(MlflowException):
                run.end(status)

    def pipeline(self, fingerprint: str, params: Mapping[str, object]) -> Run:
        """The open pipeline run of these parameters in this workspace, made where there is none."""
        # A hash, because a path may hold characters that the query language has a use for.
        workspace = hashlib.sha256(f"{socket.gethostname()}:{Path.cwd()}".encode()).hexdigest()[:16]
        tags = {"pan.kind": PIPELINE, "pan.fingerprint": fingerprint, "pan.workspace": workspace}
        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        commit = git_commit()
        run = self._find(query)
        if run is None:
            self._give_up_others(workspace)
            run = self._create(f"pipeline-{fingerprint[:6]}", tags | ({"git_commit": commit} if commit else {}))
        run.params(params)
        return run

    def close_pipeline(self, fingerprint: str, row: Mapping[str, float], tags: Mapping[str, object]) -> str:
        """Write a pipeline's figures into its one row and finish it; returns the run's id."""
        run = self.pipeline(fingerprint, {})
        run.metrics(row)
        for name, value in tags.items():
            run.tag(name, value)
        run.end("FINISHED")
        return run.run_id

    def _give_up_others(self, workspace: str) -> None:
        """Close rows that this workspace left open: its parameters have changed, nothing will finish them."""
        query = f"tags.`pan.kind` = '{PIPELINE}' and tags.`pan.workspace` = '{workspace}'"
        while (run := self._find(query)) is not None:
            self._client.set_terminated(run.run_id, "KILLED")  # at once, or it would be found again

    def _find(self, query: str) -> Run | None:
        query += " and attributes.status = 'RUNNING'"
        found = self._client.search_runs([self._experiment], query, max_results=1)
        return Run(self._client, found[0].info.run_id) if found else None

    def _create(self, name: str, tags: dict[str, str]) -> Run:
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        return Run(self._client, run.info.run_id)


def open_client() -> Any:
    """A client of the store and its registry, which are made where they are missing.

    Raises:
        PanError: If the store cannot be opened.
    """
    from mlflow import MlflowClient  # late: start-up

    # Set after the import, which sets levels of its own: the making of the store is nobody's business, and an error of the
    # database is told once, by whoever catches it, not also with its whole traceback.
    for name, level in {
        "alembic": logging.WARNING,
        "mlflow": logging.WARNING,
        "mlflow.store.db.utils": logging.CRITICAL,
    }.items():
        logging.getLogger(name).setLevel(level)
    with _lock_store(), _default_artifacts():
        if own := not os.environ.get("MLFLOW_TRACKING_URI"):
            create_database((store_folder() / DATABASE).resolve())
            follow_project(store_folder().resolve())
        client = MlflowClient(tracking_uri=store_uri(), registry_uri=store_uri())
        if own and is_quoted(store_uri()):
            client.search_registered_models(max_results=1)  # opens the registry, too
            remove_strays((store_folder() / DATABASE).resolve())
        return client


@contextmanager
def _default_artifacts() -> Iterator[None]:
    """The place for MLflow's own experiment, quoted: MLflow puts it into SQL as it is, and a path may have an apostrophe."""
    variable = "_MLFLOW_SERVER_ARTIFACT_ROOT"
    if variable in os.environ:
        yield
        return
    os.environ[variable] = (store_folder() / ARTIFACTS).resolve().as_uri()
    try:
        yield
    finally:
        os.environ.pop(variable, None)


def deliver_waiting(client: Any = None) -> None:
    """Deliver what an earlier stage could not: the store was away when it was written."""
    waiting = [folder for folder in outboxes().glob("*") if folder.is_dir() and folder.name != REFUSED]
    if not waiting:
        return
    try:
        client = client or open_client()
        count = sum(Run(client, folder.name).deliver_waiting() for folder in waiting)
    except (AwayError, PanError) as error:
        _log.warning("%s; what it is to be told goes on waiting in %s", error, outboxes())
    else:
        if count:
            _log.warning("MLflow store %s: took %d messages that had waited", masked(store_uri()), count)
        for folder in waiting:
            with suppress(OSError):  # another process may have put something there
                folder.rmdir()


@contextmanager
def _lock_store() -> Iterator[None]:
    """The store, for one process at a time: two that open a new SQLite store at once race its migration."""
    from mlflow.exceptions import MlflowException  # late: start-up
    from sqlalchemy.exc import SQLAlchemyError  # late: start-up

    store = store_folder()
    try:
        store.mkdir(exist_ok=True)
        with FileLock(store / ".lock"):
            yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        if os.environ.get("MLFLOW_TRACKING_URI"):
            advice = "start the server, or unset MLFLOW_TRACKING_URI"
        else:
            advice = f"{store} must be a folder that you may write to, on a disk with space"
        raise PanError(
            f"MLflow store {store_uri()}: cannot be opened ({_first_line(error)}); {advice}", code="store.unopened"
        ) from error


def _first_line(error: Exception) -> str:
    """Its first line: a database's has the statement below it, with all its values."""
    return str(error).partition("\n")[0]


def git_commit(folder: Path | None = None) -> str:
    """Hash of the commit that is checked out in a folder, by default this one.

    Returns:
        Empty outside a repository and before the first commit; `UNKNOWN_COMMIT` if git cannot be asked, which is logged.
    """
    command = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"}
        )
    except FileNotFoundError:
        _warn_once("git is not installed, so runs do not name the commit of their code: apt-get install git")
        return UNKNOWN_COMMIT
    if "dubious ownership" in done.stderr:
        advice = re.search(r"git config --global --add safe\.directory .+", done.stderr)
        _warn_once(
            f"git refuses {(folder or Path.cwd()).resolve()}, because it belongs to another user; runs do not name the "
            f"commit of their code until you run: {advice[0] if advice else 'git config --global --add safe.directory PATH'}"
        )
        return UNKNOWN_COMMIT
    return done.stdout.strip()


@cache
def _warn_once(text: str) -> None:
    _log.warning(text)
