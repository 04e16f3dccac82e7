"""Deliveries below a prefix of an S3 bucket: what is whole there and not yet here is brought into the inbox.

s3://footage/cameras/          the address
  2026-11-20/_SUCCESS          a delivery that its sender has finished
  2026-11-20/hall/0001.mp4

Everything else is as AWS's own tools have it: credentials from the environment or the files in ~/.aws,
`AWS_ENDPOINT_URL` for another server such as MinIO, `AWS_REGION`, `AWS_MAX_ATTEMPTS`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from boto3.session import Session
from botocore import exceptions as aws
from botocore.config import Config

from pan_core.datasets.manifests.manifest import unwritable
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path, require_space
from pan_core.retraining.inbox import MARKER

_log = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Bytes in the name of a file, on the file systems of Linux."""

CONNECT_TIMEOUT_S = 10
CREDENTIALS = "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials in AWS_PROFILE"
REFUSALS = {
    "NoSuchBucket": "there is no such bucket; correct the address, or AWS_ENDPOINT_URL where it is on another server",
    "AccessDenied": "access is denied; these credentials need s3:ListBucket on the bucket and s3:GetObject below the prefix",
    "NoSuchKey": "a file went away while it was read; run again when its sender has finished with the delivery",
    "InvalidAccessKeyId": f"the server does not know the access key; {CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong, or this machine's clock; {CREDENTIALS}",
    "ExpiredToken": f"the credentials have expired; {CREDENTIALS}",
    "PermanentRedirect": "the bucket is in another region; name it in AWS_REGION",
}
STATUS = {"403": "AccessDenied", "404": "NoSuchKey", "301": "PermanentRedirect"}
"""Codes of answers without a body, by their HTTP status."""

Progress = Callable[[int, int], None]
Left = Callable[[str, str], None]
"""Called with the name of a delivery that is not brought, and why."""


@dataclass(frozen=True)
class _RemoteDelivery:
    """A finished folder below the prefix: its name, and key and size of every file by its path in the folder."""

    name: str
    files: dict[str, tuple[str, int]]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.files.values())


class _Meter:
    """Adds up what the threads of a download report."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()

    def __call__(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            if self._progress:
                self._progress(self._done, self._total)


def _warn(name: str, reason: str) -> None:
    _log.warning("delivery %r is refused: %s", name, reason)


def fetch_deliveries(
    address: str,
    incoming: Path,
    *,
    progress: Progress | None = None,
    left: Left = _warn,
    unfinished: Left | None = None,
) -> list[Path]:
    """Download the finished deliveries that are not in the inbox.

    A delivery is a folder directly below the prefix with `_SUCCESS` in it. It appears in the inbox whole or not at
    all; a failed download does not block the others. One whose names could not be kept inside its folder
    is refused with a warning, and the others go on.

    Args:
        address: `s3://bucket/prefix`.
        incoming: The inbox; a folder that lies there is never fetched again, nor changed.
        progress: Called with the bytes done and the bytes in all.
        left: Called for each delivery that is refused.
        unfinished: Called for each that its sender has not finished.

    Returns:
        Folders that were brought, by name.

    Raises:
        DataError: Where the address or the credentials are wrong, which another try would not mend.
        PanError: Where the server does not answer, or the disk cannot hold a delivery.
    """
    bucket, prefix = parse_address(address)
    client = _open_client(address)
    with _explain_errors(address, client):
        names = list(_list_names(client, bucket, prefix, incoming, left))
        found = [_list_delivery(client, bucket, prefix, name, left, unfinished) for name in names]
        deliveries = [delivery for delivery in found if delivery]
    meter = _Meter(sum(delivery.size for delivery in deliveries), progress)
    brought: list[Path] = []
    faults: list[PanError] = []
    for delivery in deliveries:
        try:
            with _explain_errors(address, client):
                brought.append(_bring(client, bucket, delivery, incoming, meter))
        except PanError as error:
            faults.append(error)
    if faults:
        # What another try may mend is to be tried again.
        kind = DataError if all(isinstance(error, DataError) for error in faults) else PanError
        raise kind("; ".join(str(error) for error in faults), code=faults[0].code) from faults[0]
    return brought


def parse_address(address: str) -> tuple[str, str]:
    """Bucket and prefix of an address; the prefix ends with a slash where it is not empty.

    Raises:
        DataError: Where it is no address of S3.
    """
    parts = re.fullmatch(r"s3://([^/]+)/*(.*)", address.strip())
    if not parts or "@" in parts[1]:
        shown = f"one with credentials in it; {CREDENTIALS}" if "@" in address else repr(address)
        raise DataError(f"Expected an address such as s3://bucket/prefix, but got {shown}", code="s3.address")
    prefix = parts[2].rstrip("/")
    return parts[1], f"{prefix}/" if prefix else ""


def _open_client(address: str) -> Any:
    """Client of S3; nothing is sent yet."""
    try:
        return Session().client("s3", config=Config(connect_timeout=CONNECT_TIMEOUT_S))
    except (aws.BotoCoreError, ValueError) as error:
        credentials = _explain_credentials(error)
        reason = credentials or (
            f"AWS's settings cannot be used ({type(error).__name__}); see AWS_ENDPOINT_URL "
            f"({_hide_login(os.environ.get('AWS_ENDPOINT_URL', 'not set'))}) and ~/.aws/config"
        )
        raise PanError(f"{address}: {reason}", code="s3.credentials" if credentials else "s3.settings") from error


def _list_names(client: Any, bucket: str, prefix: str, incoming: Path, left: Left) -> Iterator[str]:
    """Folders directly below the prefix that are not in the inbox."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    for page in pages:
        for folder in page.get("CommonPrefixes", []):
            name = folder["Prefix"].removeprefix(prefix).removesuffix("/")
            if fault := _find_fault(name) or ("is hidden" if name.startswith(".") else ""):
                left(name, f"its name {fault}")
            elif not (incoming / name).exists():
                yield name


def _list_delivery(
    client: Any, bucket: str, prefix: str, name: str, left: Left, unfinished: Left | None
) -> _RemoteDelivery | None:
    """A delivery with all of its files; None where it is not finished, or refused."""
    folder = f"{prefix}{name}/"
    files: dict[str, tuple[str, int]] = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
        for item in page.get("Contents", []):
            # A key that ends with a slash stands for a folder, in the tools that draw them.
            if not item["Key"].endswith("/"):
                files[item["Key"].removeprefix(folder)] = (item["Key"], item["Size"])
    if MARKER not in files:
        if unfinished:
            unfinished(name, f"has no {MARKER} yet: its sender has not finished it")
        return None
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    for path in files:
        if fault := _find_fault(path) or ("is a file and a folder" if path in folders else ""):
            left(name, f"{path!r} in it {fault}")
            return None
    return _RemoteDelivery(name, files)


def _find_fault(path: str) -> str:
    """Why a path is no place inside a folder; empty where it is one."""
    parts = path.split("/")
    if "\\" in path or any(part in ("", ".", "..") for part in parts):
        return "would lead out of the folder"
    if unwritable(path) or any(len(part.encode()) > LONGEST_NAME for part in parts):
        return "is no name of a file"
    return ""


def _bring(client: Any, bucket: str, delivery: _RemoteDelivery, incoming: Path, meter: _Meter) -> Path:
    """Download a delivery; its folder appears when every file is there in its size."""
    require_space(incoming, delivery.size, f"delivery {delivery.name}")
    target = incoming / delivery.name
    with atomic_path(target) as partial:
        for path, (key, size) in delivery.files.items():
            file = partial / path
            file.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, str(file), Callback=meter)
            if (got := file.stat().st_size) != size:
                raise DataError(
                    f"s3://{bucket}/{key}: listed with {size} bytes, but has {got}; it changed while it was read, run "
                    "again when its sender has finished with the delivery",
                    code="s3.changed",
                )
    return target


@contextmanager
def _explain_errors(address: str, client: Any) -> Iterator[None]:
    """Raise what AWS's library or the system refused as a `PanError`."""
    try:
        yield
    except (aws.BotoCoreError, aws.ClientError, Boto3Error) as error:
        # What the network did may pass; an address or credentials stay as they are.
        kind = PanError if isinstance(error, aws.HTTPClientError | aws.ConnectionError | Boto3Error) else DataError
        code, reason = _explain(error, client)
        raise kind(f"{address}: {reason}", code=code) from error
    except OSError as error:
        raise PanError(
            f"{address}: {error.strerror or error}; make space or name another inbox, then run again", code="s3.inbox"
        ) from error


def _explain(error: Exception, client: Any) -> tuple[str, str]:
    """Code and message of an error of AWS's library."""
    kind = type(error).__name__
    if isinstance(error, aws.ClientError):
        answer = str(error.response.get("Error", {}).get("Code", "unknown"))
        answer = STATUS.get(answer, answer)
        reason = REFUSALS.get(answer, f"the server refused it ({answer}); see its documentation, then run again")
        return f"s3.{_kebab(answer)}", reason
    if isinstance(error, aws.ParamValidationError):
        return "s3.bucket-name", "no name of a bucket; expected s3://bucket/prefix"
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError | Boto3Error):
        broken = isinstance(error, Boto3Error)
        what, code = ("broke off again and again", "s3.broken-off") if broken else ("does not answer", "s3.away")
        server = _hide_login(client.meta.endpoint_url)
        return (
            code,
            f"{server} {what} ({kind}); see AWS_ENDPOINT_URL and the network, then run again: what is whole is kept",
        )
    if credentials := _explain_credentials(error):
        return "s3.credentials", credentials
    return "s3.unreadable", f"cannot be read ({kind}: {error})"


def _explain_credentials(error: Exception) -> str:
    """What to do if credentials are the reason; empty if they are not."""
    kind = type(error).__name__
    reason = "Credential" in kind or "Token" in kind or isinstance(error, aws.ProfileNotFound | aws.LoginError)
    return f"no usable credentials ({kind}); {CREDENTIALS}" if reason else ""


def _kebab(name: str) -> str:
    """Write "AccessDenied" as "access-denied"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _hide_login(url: str) -> str:
    """Address of a server, without a password that may stand in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else url
