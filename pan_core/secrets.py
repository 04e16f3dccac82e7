"""Passwords and keys stay out of whatever a person or a log file gets to read.

Secrets come by environment variables only. `masked` is for single messages; `guard_output` is for a whole process: what
it logs and the traceback that it dies with, where the text is that of a library.
"""

import logging
import os
import re
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

HIDDEN = "***"
SHORTEST = 6
"""A shorter value of a variable is not looked for: it would be found in every other word."""

SHORTEST_ID = 16
"""The same of an S3 key's id, which is often a name such as `minioadmin`; those of AWS have at least so many signs."""

# Counts have bounds, so that no text, however odd, holds up whoever logs it.
# The next address begins after a sign that separates, so that a :// inside a password is no end of it.
_NEXT = r"(?![\s,;|'\"<>()\[\]]{1,4}[A-Za-z][\w+.-]{0,20}://)"
# A quote before a letter is part of a word; a blank is one where what follows it has an @.
_PART = rf"(?:{_NEXT}(?:[^\s'\"]|['\"](?=\w)| (?=[^\s@:]{{0,80}}@))){{0,300}}"
# Up to the last @ of the word, because cameras' passwords are often given with @ or / as they are. Where the word has none,
# up to the next @ of the line, unless what looks like a password is a port.
_IN_ADDRESS = re.compile(
    rf"(://[^\s/:@'\"]{{0,200}}:)(?:{_PART}|(?!\d{{1,5}}(?:[/?#\s,;'\")\]}}>]|$))(?:{_NEXT}[^\n@]){{0,300}}(?:@{_PART})?)(?=@)"
)
_TOKEN_IN_ADDRESS = re.compile(r"(https?://)[^\s/:@'\"]+:?(?=@)", re.IGNORECASE)
_LOGIN_HEADER = re.compile(
    r"(authorization['\"]?[ \t]*[:=][ \t]*['\"]?(?:(?:bearer|basic|digest|token)[ \t]+)?|\bbearer[ \t]+(?=\S{8}))[^\s'\",;]+",
    re.IGNORECASE,
)
_WORDS = r"(?:password|passwd|passphrase|pwd|secret(?:[_-]\w{1,20})?|token|(?:api|account|access)[_-]?key)"
_SHORT_WORDS = r"(?<![^\W_])(?:\w{1,30}[_-])?(?:key|pass|auth|sig|signature)"
_NAMED = re.compile(
    rf"((?:{_WORDS}['\"]?[ \t]*[=:]|--{_WORDS}(?=[ \t])|{_SHORT_WORDS}=)[ \t]*)"
    r"(?:(['\"])(?:\\.|(?!\2)[^\n\\])*\2|(?:[^\s&;,'\"]|['\"](?=\w))+)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRET_ACCESS_KEY|ACCESS_KEY_ID|TOKEN|API_?KEY|ACCOUNT_?KEY|API_AUTH_STRING)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(^[\w+.-]+)?://[^\s/:@]*:(?P<secret>(?(1).+|\S+))@")
_TOKEN_ADDRESS = re.compile(r"https?://(?P<secret>[^\s/:@]+):?@", re.IGNORECASE)


def masked(text: str) -> str:
    """A text without the passwords in it.

    Hidden are the password of each address (`rtsp://user:password@camera`), a token in its place (`https://token@host`),
    values that are called password, pass, secret, token, key, auth or sig (`?password=...`, and the longer of these names
    also as `password: ...` and `{'password': '...'}`), what follows `Authorization:`, and whatever this process was given
    as a secret by its environment.

    Args:
        text: Anything that is to be printed, logged or stored.

    Returns:
        The same with `***` in their places. Rather too much is hidden than too little: an @ in the path of an address
        with a port counts as the end of a password.
    """
    for pattern in (_TOKEN_IN_ADDRESS, _IN_ADDRESS, _LOGIN_HEADER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    text = _NAMED.sub(lambda found: f"{found[1]}{found[2] or ''}{HIDDEN}{found[2] or ''}", text)
    for secret in _find_secrets():
        text = text.replace(secret, HIDDEN)
    return text


def without_login(address: str) -> str:
    """An address that a person may open: whoever may use it gives a name and a password then."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _find_secrets() -> list[str]:
    """Secrets in the environment, the longest first: one may be part of another."""
    found = set()
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            # Prefect's is user:password; each half may turn up alone.
            if not name.upper().endswith("ACCESS_KEY_ID") or len(value) >= SHORTEST_ID:
                found |= {value, value.partition(":")[2]}
        elif address := _TOKEN_ADDRESS.search(value) or _ADDRESS.search(value):
            found |= {address["secret"], unquote(address["secret"])}
    return sorted((each for each in found if len(each) >= SHORTEST and each.strip()), key=len, reverse=True)


def guard_output() -> None:
    """From now on this process logs nothing with a secret in it, warns of none, and dies without telling one."""
    make = logging.getLogRecordFactory()
    if getattr(make, "guards", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        hide(made)
        return made

    record.guards = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
    sys.excepthook = _print_without_secrets
    threading.excepthook = _print_thread_error
    format_warning = warnings.formatwarning
    warnings.formatwarning = lambda *args, **kwargs: masked(format_warning(*args, **kwargs))


def hide(record: logging.LogRecord) -> None:
    """Mask what a log record says, the traceback that comes with it included."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError):
        return  # arguments that do not fit: logging itself reports them
    if (hidden := masked(message)) != message:
        record.msg, record.args = hidden, ()
    if record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (hidden := masked(text)) != text:
            record.exc_text, record.exc_info = hidden, None


def _print_without_secrets(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _print_thread_error(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    text = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
    sys.stderr.write(masked(f"Exception in thread {args.thread.name if args.thread else 'unknown'}:\n{text}"))
