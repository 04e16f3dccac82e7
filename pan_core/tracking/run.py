"""One MLflow run that is open for writing, and the store that it is in.

A server that goes away while a stage is at work stops nothing: what is written waits in mlruns/outbox.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pan_core.errors import PanError
from pan_core.secrets import masked, without_login
from pan_core.tracking.local_store import store_folder, store_uri
from pan_core.tracking.outbox import REFUSED, AwayError, Message, Outbox

_log = logging.getLogger(__name__)

ATTEMPT_S = 20
"""Timeout of a request that is not repeated at once, unless the user has set another one."""

NEVER_TAKEN = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""Answers after which a message is not taken later either: values that the server cannot store, a run that is gone."""

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


class Run:
    """One MLflow run that is open for writing.

    If the store is a server that does not answer, what is written waits in an outbox.
    """

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self.run_id = run_id
        self._outbox = Outbox(outboxes() / run_id, self._deliver)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step in one request."""
        from mlflow.utils.time import get_current_time_millis  # late: start-up

        # The time of measuring, which is not that of sending; sent twice, it is the same measurement to MLflow.
        now = get_current_time_millis()
        self._post("metrics", {"rows": [[key, float(value), now, step] for key, value in values.items()]})

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters; a name that the run already has keeps its first value."""
        from mlflow.entities import Param  # late: start-up

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
        """Close the run with a state such as FINISHED; logs how much the store has not taken yet."""
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
            AwayError: If the server does not answer.
        """
        return self._outbox.flush()

    def require_delivered(self) -> None:
        """Deliver what waits, before something is done that rests on it, such as to register a model.

        Raises:
            PanError: If the store does not take it all.
        """
        try:
            self._outbox.flush()
        except AwayError as error:
            raise PanError(
                f"{error}, and has not got all of run {self.run_id} yet; start it or put the login right, then run "
                "again: finished work is kept",
                code="store.undelivered",
            ) from error
        if self._outbox.refused:
            raise PanError(
                f"MLflow store {store_uri()}: has refused a part of run {self.run_id}, see {outboxes() / REFUSED}; "
                "run again, and what is missing is written anew",
                code="store.refused",
            )

    def _post(self, kind: str, values: dict, attached: Path | None = None) -> None:
        self._outbox.post(Message(kind, values, attached))

    def _deliver(self, message: Message) -> None:
        with single_attempt():
            self._send(message.kind, message.values, message.attached)

    def _send(self, kind: str, values: dict, attached: Path | None) -> None:
        from mlflow.entities import Metric  # late: start-up

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
    return store_folder() / "outbox" / hashlib.sha256(without_login(store_uri()).rstrip("/").encode()).hexdigest()[:8]


@contextmanager
def single_attempt() -> Iterator[None]:
    """Make one quick try, instead of MLflow's retries of some minutes: what is not taken waits, the work does not.

    Raises:
        AwayError: If the store is a server that does not answer, or that refuses the login.
        MlflowException: If it answers that it will not take this, whatever library got the answer.
    """
    from mlflow.exceptions import MlflowException  # late: start-up

    try:
        with _disable_retries():
            yield
    except Exception as error:
        status = _find_http_status(error)
        if _may_be_taken_later(error, status):
            raise AwayError(masked(f"MLflow store {store_uri()}: {_describe_absence(error, status)}")) from error
        if status is None or isinstance(error, MlflowException):
            raise
        raise MlflowException(masked(str(error))) from error


@contextmanager
def _disable_retries() -> Iterator[None]:
    """Let MLflow's requests end after one quick try, unless the user has set retries or a timeout.

    By environment variables, as MLflow 3 reads both from there at each request: its clients, stores and artifact
    repositories have no parameter for them.
    """
    from mlflow import environment_variables as mlflow_variables  # late: start-up

    settings = {
        mlflow_variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES: 0,
        mlflow_variables.MLFLOW_HTTP_REQUEST_TIMEOUT: ATTEMPT_S,
    }
    unset = [variable for variable in settings if not variable.is_set()]
    for variable in unset:
        variable.set(settings[variable])
    try:
        yield
    finally:
        for variable in unset:
            variable.unset()


def _may_be_taken_later(error: Exception, status: int | None) -> bool:
    """Tell whether only a server that was away, or a login that was not valid, has kept a write from being taken."""
    from boto3.exceptions import Boto3Error  # late: start-up
    from botocore.exceptions import BotoCoreError, ClientError  # late: start-up
    from mlflow.exceptions import MlflowException  # late: start-up
    from requests.exceptions import RequestException  # late: start-up

    if store_uri().startswith("sqlite"):
        return False
    if status is not None and 400 <= status < 500 and status not in LATER and not _asks_for_patience(error):
        return False
    if isinstance(error, MlflowException):
        return error.error_code not in NEVER_TAKEN
    return isinstance(error, RequestException | Boto3Error | BotoCoreError | ClientError)


def _describe_absence(error: Exception, status: int | None) -> str:
    code = getattr(error, "error_code", UNANSWERED[0])
    if code in UNANSWERED and (status is None or status >= 500):
        return "does not answer"
    return f"does not take what it is told ({status or code})"


def _find_http_status(error: BaseException) -> int | None:
    """Status of the HTTP answer that an error, or one that it was made of, is about; None if there is none.

    Errors of requests and of boto3 have the answer. An error of MLflow has an error code instead. If the answer was
    MLflow's own (`RestException`), the code says more than a status.
    """
    from mlflow.exceptions import MlflowException, RestException  # late: start-up

    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status := getattr(response, "status_code", None), int):
            return status
        if isinstance(each, MlflowException) and not isinstance(each, RestException):
            status = _read_foreign_status(each)
            if status is not None:
                return status
    return None


def _read_foreign_status(error: Any) -> int | None:
    """Status of an answer that is not from MLflow's server itself, such as a proxy's page; None if there was no answer.

    MLflow turns the status into an error code and drops the answer. The code alone does not say whether there was an answer:
    INTERNAL_ERROR, for one, stands for a status without a code, such as 413, and for a server that does not answer. So the
    status is read out of the message, which has the same form in every place of MLflow that looks at an answer.
    """
    match = re.search(r"failed with error code (\d{3})\b", error.message)
    return int(match[1]) if match else None


def _asks_for_patience(error: BaseException) -> bool:
    """Tell whether S3 answers 400 for what others answer 401 or 408 for."""
    responses = [getattr(each, "response", None) for each in _chain(error)]
    return any(isinstance(r, dict) and r.get("Error", {}).get("Code") in S3_LATER for r in responses)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
