"""One file over HTTP, resumed where it was cut.

requests does the HTTP: redirects, proxies, certificates, time limits, bodies shorter than announced. What it has no
answer to is here: going on with a body that broke off. pooch, which checks hashes well, starts every file from its
first byte; urllib3's Retry repeats requests, but not half-read bodies; the small packages that do resume know no
If-Range, so they glue two versions of a file together.
"""

import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pan_core.datasets.base import Progress
from pan_core.datasets.faults import CodedError
from pan_core.files import require_space, write_json

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 18
MAGIC = {".zip": b"PK", ".rar": b"Rar!", ".gz": b"\x1f\x8b", ".tgz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"}
PAGE = re.compile(rb"\s*<(!doctype|html|\?xml|head|body)", re.IGNORECASE)
NUMBER = re.compile(r"\d{1,18}")
TOO_MANY_REQUESTS, REQUEST_TIMEOUT, RANGE_NOT_SATISFIABLE, PARTIAL_CONTENT = 429, 408, 416, 206


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        attempts: Tries in a row that bring no new byte before an address is given up.
        wait_s: Wait after the first of them; doubled from try to try, shortened at random by up to a half.
        longest_wait_s: Longest wait. A server that asks for more (Retry-After) is given up.
        connect_timeout_s: Time to answer a connection.
        read_timeout_s: Time without a single byte that counts as a stall.
        slowest: Bytes a second. A server that gives fewer over `slow_s` is as good as silent.
        slow_s: Time over which that is measured.
    """

    attempts: int = 5
    wait_s: float = 1.0
    longest_wait_s: float = 60.0
    connect_timeout_s: float = 15.0
    read_timeout_s: float = 60.0
    slowest: float = 1000.0
    slow_s: float = 60.0


PATIENCE = Patience()


class TransferError(CodedError):
    """This address does not give the file; another one may."""


class _InterruptedTransferError(CodedError):
    """A transfer that may go on at the next try."""

    def __init__(self, reason: str, retry_after: float = 0.0, *, slow: bool = False, code: str = "") -> None:
        super().__init__(reason, code=code)
        self.retry_after = retry_after
        self.slow = slow


def transfer(
    url: str, partial: Path, *, name: str, size: int | None = None, checked: bool = False, progress: Progress
) -> None:
    """Bring `partial` to the whole length of the file at `url`, going on from the bytes that are there.

    A small JSON file beside `partial` says which version of the file they belong to.

    Args:
        url: Where the file is.
        partial: File for the bytes; kept where the transfer fails, unless they are of no use.
        name: Name of the file; its suffix tells how it must begin.
        size: Bytes expected; None where unknown.
        checked: Whether a checksum is compared afterwards. Only then is a length that nobody states accepted.
        progress: Called with (bytes done, bytes in all or 0).

    Raises:
        TransferError: Where the address has no such file, another one, or stays silent.
        PanError: Where the disk cannot hold the rest.
    """
    patience, best, tries = PATIENCE, length(partial), 0
    while True:
        try:
            return _attempt(url, partial, name, size, checked, progress)
        except TransferError:
            if not length(partial):
                discard(partial)
            raise
        except _InterruptedTransferError as error:
            # Only bytes beyond any seen before count as progress, so that a server that begins anew cannot hold us.
            tries = 0 if length(partial) > best and not error.slow else tries + 1
            best = max(best, length(partial))
            if tries >= patience.attempts:
                raise TransferError(
                    f"{error} (given up after {tries} tries {'at that rate' if error.slow else 'without a new byte'})",
                    code=error.code,
                ) from error
            if error.retry_after > patience.longest_wait_s:
                raise TransferError(
                    f"{error}, and asks to wait for {error.retry_after:.0f} s", code="transfer.long-wait"
                ) from error
            wait = min(patience.longest_wait_s, patience.wait_s * 2 ** max(tries - 1, 0)) * random.uniform(0.5, 1.0)
            time.sleep(max(wait, error.retry_after))


def length(partial: Path) -> int:
    """Bytes that are there."""
    return partial.stat().st_size if partial.is_file() else 0


def announced_size(partial: Path) -> int | None:
    """Bytes that the whole file will have, as its server said; None where it did not."""
    state = _read_state(partial)
    return state["total"] if isinstance(state.get("total"), int) else None


def discard(partial: Path) -> None:
    """Remove a partial file and what is known about it."""
    partial.unlink(missing_ok=True)
    _state_path(partial).unlink(missing_ok=True)


def _attempt(url: str, partial: Path, name: str, size: int | None, checked: bool, progress: Progress) -> None:
    import requests  # late: start-up

    state = _load_state(url, partial)
    have = length(partial)
    if have and state.get("total") == have:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": state["validator"]}
    timeout = (PATIENCE.connect_timeout_s, PATIENCE.read_timeout_s)
    with _translate_network_errors(), requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        _check_status(response, partial)
        start, total = _read_extent(response, have, state, partial)
        _check_offer(response, name, size, total, checked)
        require_space(partial.parent, max((total or size or 0) - start, 0), f"downloading {url}")
        if start == 0:
            discard(partial)
            state = {"url": url, "validator": _read_validator(response)}
        write_json(_state_path(partial), state | {"total": total})
        _receive(response, partial, name, start, total or size, progress)
    write_json(_state_path(partial), state | {"total": length(partial)})


def _receive(
    response: "Response", partial: Path, name: str, start: int, expected: int | None, progress: Progress
) -> None:
    done, pace = start, _Pace(start)
    with partial.open("ab") as file:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            if done == 0:
                _check_beginning(chunk, name)
            file.write(chunk)
            done += len(chunk)
            progress(done, expected or 0)
            pace.check(done)
            if expected is not None and done > expected:
                break
    if expected is not None and done > expected:
        discard(partial)
        raise TransferError(f"gives more than the {expected} bytes expected", code="transfer.too-long")
    if expected is not None and done < expected:
        raise _InterruptedTransferError(f"ends after {done} bytes, expected {expected}", code="transfer.too-short")
    if done == 0:
        discard(partial)
        raise TransferError(f"gives an empty file instead of {name}", code="transfer.empty")


class _Pace:
    """Notices a server that sends a byte now and then, which no time limit on silence does."""

    def __init__(self, done: int) -> None:
        self.since, self.before = time.monotonic(), done

    def check(self, done: int) -> None:
        elapsed = time.monotonic() - self.since
        if elapsed < PATIENCE.slow_s:
            return
        rate = (done - self.before) / elapsed
        if rate < PATIENCE.slowest:
            raise _InterruptedTransferError(f"sends {rate:.0f} bytes a second", slow=True, code="transfer.slow")
        self.since, self.before = time.monotonic(), done


def _check_beginning(chunk: bytes, name: str) -> None:
    if PAGE.match(chunk):
        raise TransferError(f"answers with a web page instead of {name}", code="transfer.web-page")
    suffix = Path(name).suffix.lower()
    begin = MAGIC.get(suffix, b"")[: len(chunk)]
    if not chunk.startswith(begin):
        raise TransferError(
            f"gives no {suffix} archive: it begins with {chunk[:8]!r}, expected {begin!r}", code="transfer.no-archive"
        )


def _check_status(response: "Response", partial: Path) -> None:
    status = response.status_code
    if status == RANGE_NOT_SATISFIABLE:
        discard(partial)
        raise _InterruptedTransferError("has no such part of the file (HTTP 416)", code="transfer.no-part")
    if status in (TOO_MANY_REQUESTS, REQUEST_TIMEOUT) or status >= 500:
        raise _InterruptedTransferError(
            f"answers HTTP {status} {response.reason}", _read_retry_after(response), code="transfer.status"
        )
    if status not in (200, PARTIAL_CONTENT):
        raise TransferError(f"answers HTTP {status} {response.reason}", code="transfer.status")


def _read_extent(response: "Response", have: int, state: dict, partial: Path) -> tuple[int, int | None]:
    """First byte of the answer, and the length of the whole file where it is said.

    A part is taken only where the server proves that it is of the version at hand: with the validator of the first
    answer, and no other length. Of a part that states no length of the whole, the length of the first answer holds.
    """
    if response.status_code != PARTIAL_CONTENT:
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        stated = response.headers.get("Content-Length", "")
        return 0, int(stated) if NUMBER.fullmatch(stated) and not chunked else None
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
    known = state.get("total")
    total = known if not match or match[3] == "*" else int(match[3])
    same_version = have and _read_validator(response) == state["validator"] and total == (known or total)
    if not match or int(match[1]) != have or not same_version:
        discard(partial)
        raise _InterruptedTransferError(
            "gives another part, or another version, of the file than was asked for", code="transfer.other-part"
        )
    return have, total


def _check_offer(response: "Response", name: str, size: int | None, total: int | None, checked: bool) -> None:
    if "text/html" in response.headers.get("Content-Type", ""):
        raise TransferError(f"answers with a web page instead of {name}", code="transfer.web-page")
    # Some servers call a .gz file gzip-coded, and send it as it is; it is never decoded here.
    harmless = ("", "identity", *(("gzip", "x-gzip") if name.endswith((".gz", ".tgz")) else ()))
    if (coding := response.headers.get("Content-Encoding", "")).lower() not in harmless:
        raise TransferError(
            f"gives {name} in the coding {coding!r} although asked for the file as it is", code="transfer.coding"
        )
    if size is not None and total is not None and total != size:
        raise TransferError(f"offers {total} bytes, expected {size}", code="transfer.other-size")
    if total == 0:
        raise TransferError(f"gives an empty file instead of {name}", code="transfer.empty")
    # The end of a chunked body proves nothing: a proxy that lost its server ends it just so.
    if total is None and size is None and not checked:
        raise TransferError(
            "does not say how long the file is, so that nobody could tell whether it is whole",
            code="transfer.no-length",
        )


def _read_validator(response: "Response") -> str:
    """Strong ETag, else the date of change: a weak ETag promises nothing about bytes (RFC 9110, 13.1.5)."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _read_retry_after(response: "Response") -> float:
    from urllib3.exceptions import InvalidHeader  # late: start-up
    from urllib3.util import Retry  # late: start-up

    try:
        return Retry().get_retry_after(response.raw) or 0.0
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


def _state_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _load_state(url: str, partial: Path) -> dict:
    """What the bytes in `partial` belong to.

    Bytes of another address are dropped, and a part of no known version, because nothing can be added to it.
    """
    state = _read_state(partial)
    of_use = state.get("validator") or state.get("total") == length(partial)
    if not of_use or state.get("url") != url:
        discard(partial)
        return {}
    return state


def _read_state(partial: Path) -> dict:
    try:
        state = json.loads(_state_path(partial).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


@contextmanager
def _translate_network_errors() -> Iterator[None]:
    import requests  # late: start-up
    import urllib3  # late: start-up

    try:
        yield
    except requests.exceptions.SSLError as error:
        raise TransferError(f"has no certificate that can be trusted ({error})", code="transfer.certificate") from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _InterruptedTransferError(
            f"breaks off or cannot be reached ({error})", code="transfer.interrupted"
        ) from error
    except (requests.RequestException, ValueError) as error:
        raise TransferError(f"cannot be asked for it ({error})", code="transfer.request") from error
