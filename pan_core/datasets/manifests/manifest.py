"""The manifest of a folder of footage: one row for each span of a video in which a label holds.

Spans of one video may overlap: labels at once. Every source of spans is turned into the same rows by `assemble`,
which checks each of them; a row that says nothing sensible goes to a quarantine table with the reason.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pandas as pd
import pandera.pandas as pa

from pan_core.datasets.faults import CodedError
from pan_core.errors import DataError
from pan_core.files import atomic_path, list_files
from pan_core.pose.records import SUFFIX
from pan_core.tables import quarantine_table
from pan_core.video import is_video_name

REQUIRED = ("video", "start_s", "end_s", "label")
OPTIONAL = ("camera", "recorded_at", "subject", "variant")
COLUMNS = REQUIRED + OPTIONAL
MANIFEST_NAME = "manifest.csv"

FIRST_YEAR = 1970
# No video is longer than some months; a later time is a slip of the pen.
LATEST_S = 1e7
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

MANIFEST_TABLE = pa.DataFrameSchema(
    {
        "video": pa.Column(str, pa.Check.str_length(min_value=1), description="relative to the folder, with slashes"),
        "start_s": pa.Column(float, pa.Check.ge(0), description="seconds from the video's first frame"),
        "end_s": pa.Column(float, pa.Check.gt(0), description="seconds, the end is not part of the span"),
        "label": pa.Column(str, pa.Check.str_length(min_value=1)),
        "camera": pa.Column(str, default=""),
        "recorded_at": pa.Column(str, default="", description="ISO 8601, with or without a time zone"),
        "subject": pa.Column(str, default=""),
        "variant": pa.Column(str, default="", description="a finer kind of the label; never a class"),
    },
    checks=pa.Check(lambda table: table["end_s"] > table["start_s"], name="start_s < end_s"),
    strict=True,
    coerce=True,
    add_missing_columns=True,
)


@dataclass(frozen=True)
class Manifest:
    """What is known about a folder of footage.

    Attributes:
        rows: Table that satisfies `MANIFEST_TABLE`; videos on disk and absent ones.
        quarantine: Quarantine table; clip_id is "<file>:<line number>" of a row that cannot be used.
        missing: Videos that are listed and not on disk.
        unlisted: Videos on disk that no usable row names.
        notes: What was assumed, read in another way than written, or ignored.
    """

    rows: pd.DataFrame
    quarantine: pd.DataFrame
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A span as its source states it, unchecked.

    Attributes:
        where: "<file>:<line number>" or the like; the row's name in the quarantine table.
        cells: Column -> text; a column that is left out is empty.
        fault: Why the source itself could not be read there; empty where it could.
    """

    where: str
    cells: Mapping[str, str]
    fault: str = ""


class RowFault(CodedError, ValueError):
    """Why a row cannot be used."""


def assemble(entries: Iterable[Entry], *, notes: Sequence[str] = (), now: datetime | None = None) -> Manifest:
    """Check every entry; the good ones become rows, in their order.

    Args:
        entries: Spans of one source.
        notes: What the source's reader has to say.
        now: No recording is later than a day after it; the present where not given.
    """
    latest = (now or datetime.now(UTC)) + timedelta(days=1)
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    seen: dict[tuple[object, ...], str] = {}
    for entry in entries:
        try:
            if entry.fault:
                raise RowFault(entry.fault)
            row = _check_row(entry.cells, latest)
            key = span_key(row["video"], row["start_s"], row["end_s"], row["label"])
            if key in seen:
                raise RowFault(f"the same span with the same label as {seen[key]}", code="row.duplicate")
            seen[key] = entry.where
            rows.append(row)
        except RowFault as fault:
            failed.append({"clip_id": printable(entry.where), "stage": "fetch", "reason": str(fault)})
    table = check_manifest(pd.DataFrame(rows, columns=list(COLUMNS)), "manifest")
    return Manifest(
        table, quarantine_table(failed), notes=(*map(printable, notes), *_compare_spellings(table["label"]))
    )


def span_key(video: str, start_s: float, end_s: float, label: str) -> tuple[str, int, int, str]:
    """What makes a span itself: two spans that differ by less than a millisecond are the same."""
    return video, round(start_s * 1000), round(end_s * 1000), label


def check_manifest(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The table with its column types coerced.

    Raises:
        DataError: Where it breaks `MANIFEST_TABLE`.
    """
    try:
        return MANIFEST_TABLE.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        faults = [
            f"  - {case.column}: {case.check}: {case.failure_case!r}" for case in error.failure_cases.itertuples()
        ]
        raise DataError(
            f"{where}: not a valid manifest table:\n" + "\n".join(faults[:20]), code="manifest.table"
        ) from error


def write_manifest(table: pd.DataFrame, path: Path) -> None:
    """Write rows as a manifest that `read_manifest` reads back equal; the file appears whole or not at all.

    Raises:
        DataError: Where the table breaks `MANIFEST_TABLE`.
    """
    checked = check_manifest(table, str(path))
    # A line that begins with # would be read as a comment.
    checked = checked.assign(video=checked["video"].str.replace(r"^#", "./#", regex=True))
    with atomic_path(path) as partial:
        checked[list(COLUMNS)].to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def combine(parts: Sequence[Manifest]) -> Manifest:
    """Several sources of one folder as one manifest; a span that several of them have is taken once, with a note."""
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    keys = zip(rows["video"], rows["start_s"], rows["end_s"], rows["label"], strict=True)
    again = pd.Series([span_key(*key) for key in keys], index=rows.index, dtype=object).duplicated()
    notes = [note for part in parts for note in part.notes]
    if again.any():
        first = rows[again].iloc[0]
        notes.append(
            f"{again.sum()} spans stand in several files and are taken once, such as {first['label']!r} in "
            f"{first['video']} from {first['start_s']:g} s to {first['end_s']:g} s"
        )
    return Manifest(
        rows[~again].reset_index(drop=True),
        pd.concat([part.quarantine for part in parts], ignore_index=True),
        missing=tuple(name for part in parts for name in part.missing),
        unlisted=tuple(name for part in parts for name in part.unlisted),
        notes=tuple(notes),
    )


def footage_files(folder: Path, *, removed: bool = False) -> dict[str, Path]:
    """Files below a folder of footage: path relative to it, with slashes and composed characters -> file.

    Files of macOS may spell their accents decomposed while a manifest does not.

    Args:
        folder: Where to look.
        removed: Whether videos of which only the record is left count, too; their path is where they lay.
    """
    files = list(list_files(folder).files)
    if removed:
        files += [path.with_name(path.name.removesuffix(SUFFIX)) for path in files if path.name.endswith(SUFFIX)]
    return {unicodedata.normalize("NFC", path.relative_to(folder).as_posix()): path for path in files}


def video_files(folder: Path, *, removed: bool = False) -> dict[str, Path]:
    """Those of `footage_files` that are named as videos; a manifest may list others."""
    return {name: path for name, path in footage_files(folder, removed=removed).items() if is_video_name(path)}


def video_path(text: str) -> str:
    """A video's path inside its folder, with slashes; one from Windows is taken too.

    Raises:
        RowFault: Where it is empty, absolute, or leads out of the folder.
    """
    given = unicodedata.normalize("NFC", " ".join(text.split()) if "\n" in text else text.strip())
    if not given or any(ord(letter) < 32 for letter in given):
        raise RowFault(f"video: expected a path relative to the folder, but got {text!r}", code="row.video")
    path = PurePosixPath(given.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(given).drive or ".." in path.parts or not path.name:
        raise RowFault(
            f"video: {given!r} leads out of the folder; expected a path relative to it", code="row.video-outside"
        )
    return path.as_posix()


def unwritable(text: str) -> bool:
    """Whether a text has what no file of text can hold: control characters, or halves of a character."""
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def printable(text: str) -> str:
    """The text with halves of characters spelt out, so that it can be written to a file."""
    return text.encode("utf-8", "backslashreplace").decode()


def _check_row(cells: Mapping[str, str], latest: datetime) -> dict[str, Any]:
    start, end = _parse_seconds(cells, "start_s"), _parse_seconds(cells, "end_s")
    if end <= start or round(end * 1000) <= round(start * 1000):
        raise RowFault(f"end_s: expected more than start_s={start:g}, but got {end:g}", code="row.end-before-start")
    label = _normalise(cells.get("label", ""))
    if not label:
        raise RowFault("label: empty, expected the name of an action", code="row.no-label")
    video = video_path(cells.get("video", ""))
    texts = {name: _normalise(cells.get(name, "")) for name in OPTIONAL}
    for name, text in {"video": video, "label": label, **texts}.items():
        if unwritable(text):
            raise RowFault(
                f"{name}: has control characters or halves of characters in {text[:80]!r}; expected text",
                code="row.characters",
            )
    _check_date(texts["recorded_at"], latest)
    return {"video": video, "start_s": start, "end_s": end, "label": label, **texts}


def _normalise(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _parse_seconds(cells: Mapping[str, str], column: str) -> float:
    text = cells.get(column, "").strip()
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise RowFault(
            f"{column}: expected seconds as a number such as 12.5, or H:MM:SS, but got {text!r}", code="row.seconds"
        )
    if value < 0:
        raise RowFault(f"{column}: expected 0 or more seconds, but got {text}", code="row.seconds")
    if value > LATEST_S:
        raise RowFault(f"{column}: expected at most {LATEST_S:g} seconds, but got {value:g}", code="row.seconds")
    return value


def _check_date(text: str, latest: datetime) -> None:
    if not text:
        return
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise RowFault(
            f"recorded_at: expected a date such as 2026-05-31 or 2026-05-31T14:30:00, but got {text!r}", code="row.date"
        ) from None
    if not (stamp.year >= FIRST_YEAR and stamp.date() <= latest.date()):
        raise RowFault(
            f"recorded_at: expected a date from {FIRST_YEAR} to now, but got {text!r}; see the camera's clock",
            code="row.date",
        )


def _compare_spellings(labels: pd.Series) -> list[str]:
    """Labels that differ in upper and lower case only: most likely one class that was meant twice."""
    spelt: dict[str, list[str]] = {}
    for label in sorted(labels.unique()):
        spelt.setdefault(label.casefold(), []).append(label)
    return [
        f"labels {' and '.join(map(repr, names))} differ in case only and are taken as {len(names)} classes"
        for names in spelt.values()
        if len(names) > 1
    ]
