"""One MLflow run that is open for writing, and the store that it is in.

A server that goes away while a stage is at work stops nothing: what is written of it waits in mlruns/outbox.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pan_core.errors import PanError
from pan_core.secrets import masked, without_login
from pan_core.tracking.outbox import REFUSED, AwayError, Message, Outbox

_log = logging.getLogger(__name__)

STORE = Path("mlruns")
ONE_TRY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""How a message is delivered that may wait; values that the user has set win."""

NEVER_TAKEN = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""What a server says to a message that it will not take later either: values that it cannot store, a run that is gone."""

UNANSWERED = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")

LATER = (401, 403, 404, 407, 408, 425, 429)
"""HTTP statuses below 500 after which the same may be taken later: a login, a proxy before a server that is away, or haste."""

S3_LATER = (
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "SlowDown",
)
STATUS_SAID = re.compile(r"failed with error code (\d{3})\b")
"""MLflow's words for an answer that is not its server's own, such as a proxy's."""


def store_uri() -> str:
    """Address of the tracking store: MLFLOW_TRACKING_URI where set, else SQLite under mlruns/."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(STORE / 'mlflow.db').resolve()}"


class Run:
    """One MLflow run that is open for writing.

    Where the store is a server that does not answer, what is written waits in an outbox.
    """

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self.run_id = run_id
        self._outbox = Outbox(outboxes() / run_id, self._deliver)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step in one request."""
        from mlflow.utils.time import get_current_time_millis

        # The time of measuring, which is not that of sending; sent twice, it is the same measurement to MLflow.
        now = get_current_time_millis()
        self._post("metrics", {"rows": [[key, float(value), now, step] for key, value in values.items()]})

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters; a name that the run already has keeps its first value."""
        from mlflow.entities import Param

        known = self._client.get_run(self.run_id).data.params
        new = [Param(key, str(value)[:6000]) for key, value in values.items() if key not in known]
        if new:
            self._client.log_batch(self.run_id, params=new)

    def tag(self, name: str, value: object) -> None:
        """Set a tag."""
        self._post("tag", {"name": name, "value": str(value)})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Attach a file, or a folder with all that is in it."""
        self._post("artifact", {"folder": folder}, path)

    def artifact_uri(self, folder: str) -> str:
        """Where a folder of the run's artifacts lies."""
        return f"{self._client.get_run(self.run_id).info.artifact_uri}/{folder}"

    def text(self, text: str, name: str) -> None:
        """Attach text, such as an SVG picture, as a file of that name."""
        self._post("text", {"text": text, "name": name})

    def end(self, status: str) -> None:
        """Close the run with a state such as FINISHED; tells what the store has not taken yet."""
        self._post("end", {"status": status})
        if count := len(self._outbox):
            _log.warning(
                "MLflow store %s: %d messages about run %s wait in %s; the next stage or `pan run` that reaches it "
                "delivers them",
                masked(store_uri()),
                count,
                self.run_id,
                outboxes(),
            )

    def deliver_waiting(self) -> int:
        """Deliver what waits; returns how many messages that were.

        Raises:
            AwayError: Where the server does not answer.
        """
        return self._outbox.flush()

    def require_delivered(self) -> None:
        """Deliver what waits, before something is done that rests on it, such as to register a model.

        Raises:
            PanError: Where the store does not take it all.
        """
        try:
            self._outbox.flush()
        except AwayError as error:
            raise PanError(
                f"{error}, and has not got all of run {self.run_id} yet; start it or put the login right, then run "
                "again: finished work is kept"
            ) from error
        if self._outbox.refused:
            raise PanError(
                f"MLflow store {store_uri()}: has refused a part of run {self.run_id}, see {outboxes() / REFUSED}; "
                "run again, and what is missing is written anew"
            )

    def _post(self, kind: str, values: dict, attached: Path | None = None) -> None:
        self._outbox.post(Message(kind, values, attached))

    def _deliver(self, message: Message) -> None:
        with single_attempt():
            self._say(message.kind, message.values, message.attached)

    def _say(self, kind: str, values: dict, attached: Path | None) -> None:
        from mlflow.entities import Metric

        match kind:
            case "metrics":
                self._client.log_batch(self.run_id, metrics=[Metric(*row) for row in values["rows"]])
            case "tag":
                self._client.set_tag(self.run_id, values["name"], values["value"])
            case "text":
                self._client.log_text(self.run_id, values["text"], values["name"])
            case "artifact":
                assert attached is not None
                log = self._client.log_artifacts if attached.is_dir() else self._client.log_artifact
                log(self.run_id, str(attached), values["folder"])
            case "end":
                self._client.set_terminated(self.run_id, values["status"])


class NullRun(Run):
    """A run that the store could not open: nothing is written of it."""

    def __init__(self) -> None:
        super().__init__(None, "")

    def params(self, values: Mapping[str, object]) -> None:
        """Nothing."""

    def end(self, status: str) -> None:
        """Nothing."""

    def _post(self, kind: str, values: dict, attached: Path | None = None) -> None:
        pass


def outboxes() -> Path:
    """Where messages to the store in use wait, in a folder for each run; the same whatever login the address has."""
    return STORE / "outbox" / hashlib.sha256(without_login(store_uri()).rstrip("/").encode()).hexdigest()[:8]


@contextmanager
def single_attempt() -> Iterator[None]:
    """One quick try instead of MLflow's own minutes: what is not taken waits, the work does not.

    Raises:
        AwayError: Where the store is a server that does not answer, or that refuses the login.
        MlflowException: Where it answers that it will not take this, whatever library was told so.
    """
    from mlflow.exceptions import MlflowException

    before = {name: os.environ.get(name) for name in ONE_TRY}
    os.environ.update({name: os.environ.get(name, value) for name, value in ONE_TRY.items()})
    try:
        yield
    except Exception as error:
        if not _may_be_taken_later(error):
            if _http_status(error) is None or isinstance(error, MlflowException):
                raise
            raise MlflowException(masked(str(error))) from error
        code = getattr(error, "error_code", UNANSWERED[0])
        status = _http_status(error)
        unanswered = code in UNANSWERED and (status is None or status >= 500)
        said = "does not answer" if unanswered else f"does not take what it is told ({status or code})"
        raise AwayError(masked(f"MLflow store {store_uri()}: {said}")) from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _may_be_taken_later(error: Exception) -> bool:
    """Whether a server that was away, or a login that was not valid, is all that kept a write from being taken."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    if store_uri().startswith("sqlite"):
        return False
    status = _http_status(error)
    if status is not None and 400 <= status < 500 and status not in LATER and not _asks_for_patience(error):
        return False
    if isinstance(error, MlflowException):
        return error.error_code not in NEVER_TAKEN
    return isinstance(error, RequestException | Boto3Error | BotoCoreError | ClientError)


def _http_status(error: BaseException) -> int | None:
    """What a server answered with, as an error of requests, of boto3 or of MLflow has it, or one that it was made of."""
    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status := getattr(response, "status_code", None), int):
            return status
        if said := STATUS_SAID.search(str(each)):
            return int(said[1])
    return None


def _asks_for_patience(error: BaseException) -> bool:
    """Whether S3 says by a status of 400 what others say by 401 or 408."""
    responses = [getattr(each, "response", None) for each in _chain(error)]
    return any(isinstance(r, dict) and r.get("Error", {}).get("Code") in S3_LATER for r in responses)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
