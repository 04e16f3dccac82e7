"""Read a manifest CSV as people and spreadsheets really write it.

Separator (comma, semicolon, tab), encoding, line ends, spaces round cells and the case of the header are found out;
what was assumed is said in the manifest's notes.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pan_core.datasets.manifests.manifest import (
    COLUMNS,
    OPTIONAL,
    REQUIRED,
    Entry,
    Manifest,
    RowFault,
    assemble,
    video_path,
)
from pan_core.errors import DataError

SEPARATORS = (",", ";", "\t")
# A quoted cell may run over so many lines; a quote that is still open then was never meant to be one.
MAX_LINES_PER_CELL = 20
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


def read_manifest(path: Path, *, root: Path | None = None, now: datetime | None = None) -> Manifest:
    """Rows of a manifest CSV; a malformed row goes to quarantine and the rest goes on.

    Args:
        path: The file; its videos are relative to the folder in which it lies.
        root: Folder that the rows' videos shall be relative to; the manifest's own folder where not given.
        now: See `assemble`.

    Raises:
        DataError: Where the file cannot be read, a required column is missing, or no row is valid.
    """
    root = root or path.parent
    name = path.relative_to(root).as_posix()
    prefix = path.parent.relative_to(root).as_posix()
    text, notes = read_text(path)
    lines = re.split(r"\r\n|\r|\n", text)
    start = next((number for number, line in enumerate(lines) if line.strip(" ,;\t")), None)
    if start is None:
        raise DataError(
            f"{path}: empty, expected a header with the columns {', '.join(REQUIRED)}", code="manifest.empty"
        )
    header, separator = _read_header(path, lines[start])
    if ignored := [column for column in header if column and column not in COLUMNS]:
        notes.append(f"columns ignored: {', '.join(ignored)}")
    records = split_records(lines[start + 1 :], separator, len(header))
    entries = [
        _make_entry(f"{name}:{line + start + 1}", header, cells, fault, separator, "" if prefix == "." else prefix)
        for line, cells, fault in records
    ]
    manifest = assemble(entries, notes=[f"{name}: {note}" for note in notes], now=now)
    if manifest.rows.empty:
        first = f", such as {manifest.quarantine.iloc[0]['reason']}" if entries else ""
        raise DataError(
            f"{path}: none of {len(entries)} rows is valid{first}; expected {', '.join(REQUIRED)} in each",
            code="manifest.no-row",
        )
    return manifest


def read_text(path: Path) -> tuple[str, list[str]]:
    """Text of a file in UTF-8, UTF-16 with its mark, or Western European; the last is said in a note.

    Raises:
        DataError: Where the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected a text file", code="manifest.unreadable"
        ) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        # Latin-1 reads every byte, so it is the last resort; Windows' own variant gives a few bytes more sense.
        for encoding in ("cp1252", "latin-1"):
            try:
                return data.decode(encoding), [
                    f"not UTF-8, read as {encoding}; save it as UTF-8 where letters are wrong"
                ]
            except UnicodeDecodeError:
                continue
    raise AssertionError("Latin-1 reads every byte")


def split_records(lines: Sequence[str], separator: str, width: int) -> Iterator[tuple[int, list[str], str]]:
    """Cells of every record, blank ones passed over: (number of its first line from 1, cells, fault).

    A quote that is never closed costs its own line only, not the rest of the file.

    Args:
        lines: Lines of the file without their ends.
        separator: Between cells.
        width: Number of cells in the header; empty cells beyond it are dropped.
    """
    number = 0
    while number < len(lines):
        cells, used = _read_record(lines, number, separator)
        if cells is None:
            limit = csv.field_size_limit()
            what = "a quotation mark is out of place" if len(lines[number]) <= limit else f"a cell is over {limit} long"
            yield number + 1, [], f"{what} in {shorten(lines[number])}"
        elif any(cell.strip() for cell in cells):
            extra = cells[width:]
            fault = len(cells) < width or any(cell.strip() for cell in extra)
            message = f"expected {width} cells, but got {len(cells)}: {shorten(lines[number])}" if fault else ""
            yield number + 1, cells[:width], message
        number += used


def shorten(text: str, length: int = 80) -> str:
    """A text in quotes, cut where it is long."""
    return repr(text if len(text) <= length else text[: length - 3] + "...")


def _read_record(lines: Sequence[str], number: int, separator: str) -> tuple[list[str] | None, int]:
    """Cells of the record that begins at a line and how many lines it takes; None where a quote stays open."""
    for used in range(1, min(MAX_LINES_PER_CELL, len(lines) - number) + 1):
        joined = "\n".join(lines[number : number + used])
        try:
            return _split_cells(joined, separator), used
        except csv.Error:
            continue
    # Quotes in pairs with something after the second, such as a space, are no danger to other lines.
    paired = lines[number].count('"') % 2 == 0
    try:
        return (_split_cells(lines[number], separator, strict=False) if paired else None), 1
    except csv.Error:  # a cell that is longer than the reader takes
        return None, 1


def _split_cells(text: str, separator: str, *, strict: bool = True) -> list[str]:
    rows = list(csv.reader([text], delimiter=separator, skipinitialspace=separator != "\t", strict=strict))
    return rows[0] if rows else []


def _read_header(path: Path, line: str) -> tuple[list[str], str]:
    readings = []
    for separator in SEPARATORS:
        cells, _ = _read_record([line], 0, separator)
        if cells is not None:
            names = [re.sub(r"[\s\-]+", "_", cell.strip().lower()) for cell in cells]
            readings.append((sum(name in COLUMNS for name in names), names, separator))
    if not readings:
        raise DataError(
            f"{path}: the header cannot be read: {shorten(line)}; expected {', '.join(COLUMNS)}", code="manifest.header"
        )
    _, names, separator = max(readings, key=lambda reading: (reading[0], len(reading[1])))
    while names and not names[-1]:
        names.pop()
    if missing := [name for name in REQUIRED if name not in names]:
        raise DataError(
            f"{path}: column{'s' * (len(missing) > 1)} {', '.join(missing)} missing; expected {', '.join(REQUIRED)} and "
            f"perhaps {', '.join(OPTIONAL)}, but the header has {', '.join(map(repr, names))}",
            code="manifest.missing-column",
        )
    if twice := sorted({name for name in names if name in COLUMNS and names.count(name) > 1}):
        raise DataError(
            f"{path}: column {', '.join(twice)} stands twice in the header, expected once", code="manifest.column-twice"
        )
    return names, separator


def _make_entry(where: str, header: list[str], cells: list[str], fault: str, separator: str, prefix: str) -> Entry:
    values = dict(zip(header, cells, strict=False))
    if separator != ",":
        for column in ("start_s", "end_s"):
            if DECIMAL_COMMA.fullmatch(values.get(column, "")):
                values[column] = values[column].replace(",", ".")
    if prefix and not fault:
        try:
            values["video"] = f"{prefix}/{video_path(values['video'])}"
        except RowFault as error:
            fault = str(error)
    return Entry(where, values, fault)
