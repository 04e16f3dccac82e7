"""Passwords and keys stay out of whatever a person or a log file gets to read.

Secrets come by environment variables only. `masked` is for single messages; `guard_output` is for a whole process: what
it logs and the traceback that it dies with, where the text is that of a library.
"""

import logging
import os
import re
import sys
import traceback
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

HIDDEN = "***"
SHORTEST = 6
"""A shorter value of a variable is not looked for: it would be found in every other word."""

# Up to the last @ of the word, because cameras' passwords are often given with @ or / as they are.
_IN_ADDRESS = re.compile(r"(://[^\s/:@'\"]*:)(?:(?!://)[^\s'\"])*(?=@)")
_NAMED = re.compile(
    r"((?:(?:password|passwd|pwd|secret|token|api_?key)|(?<![^\W_])(?:\w+[_-])?(?:key|pass|auth|sig|signature))=)[^\s&;,'\"]+",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|SECRET_ACCESS_KEY|TOKEN|API_?KEY)$", re.IGNORECASE)
_ADDRESS = re.compile(r"://[^\s/:@]*:([^\s]+)@")


def masked(text: str) -> str:
    """A text without the passwords in it.

    Hidden are the password of each address (`rtsp://user:password@camera`), values that are called password, pass, secret,
    token, key, auth or sig (`?password=...`), and whatever this process was given as a secret by its environment.

    Args:
        text: Anything that is to be printed, logged or stored.

    Returns:
        The same with `***` in their places. Rather too much is hidden than too little: an @ in the path of an address
        with a port counts as the end of a password.
    """
    text = _IN_ADDRESS.sub(rf"\1{HIDDEN}", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    for secret in _given():
        text = text.replace(secret, HIDDEN)
    return text


def without_login(address: str) -> str:
    """An address that a person may open: whoever may use it gives a name and a password then."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _given() -> list[str]:
    """Secrets in the environment, the longest first: one may be part of another."""
    found = set()
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            found.add(value)
        elif address := _ADDRESS.search(value):
            found |= {address[1], unquote(address[1])}
    return sorted((each for each in found if len(each) >= SHORTEST and each.strip()), key=len, reverse=True)


def guard_output() -> None:
    """From now on this process logs nothing with a secret in it, and dies without telling one."""
    make = logging.getLogRecordFactory()
    if getattr(make, "guards", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        hide(made)
        return made

    record.guards = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
    sys.excepthook = _tell_without_secrets


def hide(record: logging.LogRecord) -> None:
    """Mask what a log record says, the traceback that comes with it included."""
    try:
        said = record.getMessage()
    except (TypeError, ValueError):
        return  # arguments that do not fit: logging itself reports them
    if (hidden := masked(said)) != said:
        record.msg, record.args = hidden, ()
    if record.exc_info and record.exc_info[1] is not None:
        told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (hidden := masked(told)) != told:
            record.exc_text, record.exc_info = hidden, None


def _tell_without_secrets(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))
