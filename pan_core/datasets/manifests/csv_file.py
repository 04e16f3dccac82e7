"""Read a manifest CSV as people and spreadsheets really write it.

Separator (comma, semicolon, tab), encoding, line ends, spaces round cells, the case of the header, Excel's line `sep=;`,
comments, and other forms of times, dates and paths are found out; what was assumed is said in the manifest's notes.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from pan_core.datasets.manifests.label_studio_regions import is_export_header
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
from pan_core.datasets.manifests.written_forms import Assumptions, plain_date, plain_seconds, proves_decimal_comma
from pan_core.errors import DataError

SEPARATORS = (",", ";", "\t")
# A quoted cell may run over so many lines; a quote that is still open then was never meant to be one.
MAX_LINES_PER_CELL = 20
TIMES = ("start_s", "end_s")


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
    start, separators = _find_header(path, lines)
    header, separator = _read_header(
        path, lines[start].lstrip("# ") if _is_comment(lines[start]) else lines[start], separators
    )
    if ignored := [column for column in header if column and column not in COLUMNS]:
        notes.append(f"columns ignored: {', '.join(ignored)}")
    comments = [number for number in range(len(lines)) if number != start and _is_comment(lines[number])]
    comments = [
        number
        for number in comments
        if number < start or not _names_file(lines[number], header, separator, path.parent)
    ]
    if comments:
        notes.append(f"{len(comments)} lines that begin with # are taken for comments")
        lines = ["" if number in comments else line for number, line in enumerate(lines)]
    records = list(split_records(lines[start + 1 :], separator, len(header)))
    form = _Form(path.parent, "" if prefix == "." else prefix, header, _has_decimal_comma(header, separator, records))
    entries = [form.entry(f"{name}:{line + start + 1}", cells, fault) for line, cells, fault in records]
    notes += form.assumed.notes()
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
    if b"\0" in data[:2]:  # every text here begins with a letter of ASCII
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace"), ["read as UTF-16"]
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


def csv_columns(path: Path) -> list[str]:
    """Names in the first line of a CSV or TSV file, in one spelling; an empty list if it cannot be read."""
    try:
        line = next((line for line in read_text(path)[0].splitlines() if line.strip()), "")
    except DataError:
        return []
    return max((_column_names(line, separator) for separator in SEPARATORS), key=len)


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


def _is_comment(line: str) -> bool:
    return line.lstrip(' "\t').startswith("#")


def _names_file(line: str, header: list[str], separator: str, folder: Path) -> bool:
    """Whether a line that begins with # is a row of a video whose name does."""
    cells, _ = _read_record([line], 0, separator)
    named = dict(zip(header, cells or [], strict=False)).get("video", "").strip()
    try:
        return bool(named) and (folder / named).is_file()
    except (OSError, ValueError):  # nothing that could be a name
        return False


def _find_header(path: Path, lines: Sequence[str]) -> tuple[int, Sequence[str]]:
    """Place of the header, and the separators that it may have.

    Excel writes `sep=;` into a first line of its own. A line that begins with # is the header if it has all columns, as
    NumPy writes it, and the first line after it does not.
    """
    separators: Sequence[str] = SEPARATORS
    marked: int | None = None
    for number, line in enumerate(lines):
        if said := re.fullmatch(r"\"?sep=(\\t|.)\"?[,;\t ]*", line.strip(" "), re.IGNORECASE):
            separators = ["\t" if said[1] == "\\t" else said[1]]
        elif _is_comment(line):
            marked = number if marked is None and _has_columns(line.lstrip("# "), separators) else marked
        elif line.strip(" ,;\t"):
            return number if marked is None or _has_columns(line, separators) else marked, separators
    if marked is not None:
        return marked, separators
    raise DataError(f"{path}: empty, expected a header with the columns {', '.join(REQUIRED)}", code="manifest.empty")


def _has_columns(line: str, separators: Iterable[str]) -> bool:
    """Whether a line names every required column."""
    return set(REQUIRED) <= {name for separator in separators for name in _column_names(line, separator)}


def _column_names(line: str, separator: str) -> list[str]:
    """Names of columns in one spelling; none where the line cannot be read."""
    cells, _ = _read_record([line], 0, separator)
    names = [re.sub(r"[\s\-()\[\]]+", "_", cell.strip().lower()).strip("_") for cell in cells or []]
    return [re.sub(r"^(start|end)_sec(ond)?s?$", r"\1_s", name) for name in names]


def _has_decimal_comma(header: list[str], separator: str, records: Iterable[tuple[int, list[str], str]]) -> bool:
    """Whether the times of a file have decimal commas: spreadsheets separate with semicolons because of them.

    A point in any of them shows that the semicolons have another cause.
    """
    times = [cell for _, cells, _ in records for name, cell in zip(header, cells, strict=False) if name in TIMES]
    return (separator == ";" and not any("." in time for time in times)) or proves_decimal_comma(times)


def _read_header(path: Path, line: str, separators: Sequence[str]) -> tuple[list[str], str]:
    readings = []
    for separator in separators:
        if names := _column_names(line, separator):
            readings.append((sum(name in COLUMNS for name in names), names, separator))
    if not readings:
        raise DataError(
            f"{path}: the header cannot be read: {shorten(line)}; expected {', '.join(COLUMNS)}", code="manifest.header"
        )
    _, names, separator = max(readings, key=lambda reading: (reading[0], len(reading[1])))
    while names and not names[-1]:
        names.pop()
    if is_export_header(names):
        raise DataError(
            f"{path}: a CSV export of Label Studio; export the project as JSON, or write a manifest with the columns {', '.join(REQUIRED)}",
            code="label-studio.csv",
        )
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


@dataclass(frozen=True)
class _Form:
    """How a manifest writes its rows.

    Attributes:
        folder: In which it lies.
        prefix: Path to it from the folder that the rows' videos shall be relative to; empty if they are the same.
        header: Names of the columns.
        decimal_comma: Whether its times have decimal commas.
        assumed: What was read in another way than written.
    """

    folder: Path
    prefix: str
    header: list[str]
    decimal_comma: bool
    assumed: Assumptions = field(default_factory=Assumptions)

    def entry(self, where: str, cells: list[str], fault: str) -> Entry:
        """A row in the form of the manifest, or why it has none."""
        values = dict(zip(self.header, cells, strict=False))
        try:
            if not fault:
                for column in TIMES:
                    values[column] = self._seconds(column, values[column])
                if values.get("recorded_at"):
                    values["recorded_at"] = plain_date(values["recorded_at"], self.assumed.add)
                values["video"] = self._video(values["video"])
        except RowFault as error:
            fault = str(error)
        return Entry(where, values, fault)

    def _seconds(self, column: str, text: str) -> str:
        try:
            return plain_seconds(text, self.assumed.add, decimal_comma=self.decimal_comma)
        except RowFault as error:
            raise RowFault(f"{column}: {error}", code=error.code) from None

    def _video(self, text: str) -> str:
        """The video's path below root; a row cannot reach out of its manifest's own folder, whatever it writes."""
        given = text.strip()
        if given.startswith("/"):
            for folder in (self.folder.absolute(), self.folder.resolve()):
                if PurePosixPath(os.path.normpath(given)).is_relative_to(folder.as_posix()):
                    self.assumed.add(f"paths below {self.prefix or 'the folder'}", given)
                    text = PurePosixPath(os.path.normpath(given)).relative_to(folder.as_posix()).as_posix()
                    break
        return f"{self.prefix}/{video_path(text)}" if self.prefix else text
