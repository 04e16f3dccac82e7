"""Times and dates as people and spreadsheets write them, in the form that a manifest has: seconds, and ISO 8601.

What has one meaning only is read, with a note of what was assumed; what may mean two things is refused.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from pan_core.datasets.manifests.manifest import NUMBER, RowFault

_COMMA = re.compile(r"[+-]?\d*,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_UNIT = re.compile(r"([^:]*[\d.])\s*(?:s|sec|secs|second|seconds)", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2}(?:\.\d*)?)")
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})")
_SLASHED = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})")
_TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")

Note = Callable[[str, str], None]


class Assumptions:
    """What was read in another way than written: how often, and one example each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, meaning: str, text: str) -> None:
        """Note that a cell was taken to mean that."""
        count, first = self._found.get(meaning, (0, text))
        self._found[meaning] = count + 1, first

    def notes(self) -> list[str]:
        """One sentence for each meaning."""
        return [
            f"{count} cells such as {first!r} are read as {meaning}" for meaning, (count, first) in self._found.items()
        ]


def proves_decimal_comma(texts: Iterable[str]) -> bool:
    """Whether one of these times can only have a comma for its decimal point, so that all of the file have."""
    return any(_COMMA.fullmatch(text.strip()) and not _THOUSANDS.fullmatch(text.strip()) for text in texts)


def plain_seconds(text: str, note: Note, *, decimal_comma: bool) -> str:
    """A time as a number of seconds; unchanged if it is no time.

    Args:
        text: Such as "62.5", "62,5", "62.5 s", "1:02.5" or "0:01:02.5".
        note: Told what was assumed.
        decimal_comma: Whether the file is known to write decimal commas.

    Raises:
        RowFault: Where it may mean two things.
    """
    given = " ".join(text.split())
    if NUMBER.fullmatch(given):
        return given
    if unit := _UNIT.fullmatch(given):
        note("seconds", text)
        return plain_seconds(unit[1], note, decimal_comma=decimal_comma)
    if _THOUSANDS.fullmatch(given) and not decimal_comma:
        raise RowFault(
            f"{text!r} may be {given.replace(',', '.')} or {given.replace(',', '')} seconds; write it with a point and without any comma",
            code="row.seconds-ambiguous",
        )
    if _COMMA.fullmatch(given):
        note("numbers with a decimal comma", text)
        return given.replace(",", ".")
    if given.count(":") == 3:
        raise RowFault(
            f"{text!r} is a time code with a number of frames; write seconds such as 12.5, or H:MM:SS.f",
            code="row.seconds-timecode",
        )
    if clock := _CLOCK.fullmatch(given.replace(",", ".")):
        return _clock_seconds(clock, text, note)
    return text


def _clock_seconds(clock: re.Match[str], text: str, note: Note) -> str:
    hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), float(clock[3])
    if seconds >= 60 or (clock[1] and minutes >= 60):
        raise RowFault(
            f"{text!r}: expected minutes and seconds below 60, or a number of seconds such as 12.5", code="row.seconds"
        )
    note("hours, minutes and seconds" if clock[1] else "minutes and seconds", text)
    return f"{hours * 3600 + minutes * 60 + seconds:.6f}".rstrip("0").rstrip(".")


def plain_date(text: str, note: Note) -> str:
    """A date, perhaps with a time of day, in ISO 8601; unchanged if it is no date.

    Args:
        text: Such as "2026-11-20T08:00", "20.11.2026 08:00", "11/20/2026 8:00 AM", "2026/11/20" or "2026-11-20 8:00".
        note: Told what was assumed.

    Raises:
        RowFault: Where day and month cannot be told apart.
    """
    given = " ".join(text.split())
    with suppress(ValueError):
        datetime.fromisoformat(given)
        return text
    for pattern, order in ((_YEAR_FIRST, "ymd"), (_DOTTED, "dmy"), (_SLASHED, "")):
        if (found := pattern.match(given)) and (rest := _time_of_day(given[found.end() :])) is not None:
            parts = dict(zip(order or _order_of(found, text), map(int, found.groups()), strict=True))
            try:
                day = datetime(parts["y"], parts["m"], parts["d"]).date().isoformat()
            except ValueError:
                return text
            note(f"dates written {_IN_WORDS[order or ''.join(parts)]}", text)
            return day + rest
    return text


_IN_WORDS = {"ymd": "year, month, day", "dmy": "day, month, year", "mdy": "month, day, year"}


def _order_of(found: re.Match[str], text: str) -> str:
    first, second = int(found[1]), int(found[2])
    if first <= 12 and second <= 12 and first != second:
        raise RowFault(
            f"recorded_at: {text!r} may be {found[3]}-{first:02}-{second:02} or {found[3]}-{second:02}-{first:02}; write the one that is meant",
            code="row.date-ambiguous",
        )
    return "mdy" if second > 12 else "dmy"


def _time_of_day(text: str) -> str | None:
    """The time of day after a date, in ISO 8601; empty if nothing follows, None if it is no time of day."""
    given = text.strip().removeprefix(",").removeprefix("T").strip().upper()
    if not given:
        return ""
    for form in _TIMES:
        try:
            return datetime.strptime(given, form).strftime("T%H:%M:%S")
        except ValueError:
            continue
    return None
