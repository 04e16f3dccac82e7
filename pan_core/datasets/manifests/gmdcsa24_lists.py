"""Read the lists of GMDCSA24 (Alam et al., 2024) into a manifest.

Every `Subject N/Fall.csv` and `Subject N/ADL.csv` names videos of the folder beside it, with a cell of classes such
as `Falling (SW)[3.4 to 6]; Sitting[0 to 1; 2.8 to 3.4]`: labels with one or several spans in seconds. The cells were
written by hand. What is malformed is read where its meaning is certain, which is said in a note; the rest goes to
quarantine with the cell's text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pan_core.datasets.manifests.csv_file import read_text, shorten, split_records
from pan_core.datasets.manifests.manifest import Entry, Manifest, assemble
from pan_core.errors import DataError

LISTS = ("ADL.csv", "Fall.csv")

# Every spelling of a label -> class and variant. A fall is one class whatever its direction: the videos of one
# direction are too few to learn and to test it, and an alarm does not depend on it. The direction (forward, backward,
# sideways) is kept as the manifest's variant.
LABELS = {
    **{
        name.lower(): (name, "")
        for name in ("Drinking", "Eating", "Exercising", "Reading", "Sitting", "Sleeping", "Standing", "Walking")
    },
    "writing": ("Writing", ""),
    "falling (fw)": ("Falling", "FW"),
    "falling (bw)": ("Falling", "BW"),
    "falling (sw)": ("Falling", "SW"),
    "fall (fw)": ("Falling", "FW"),  # twice in Subject 3/Fall.csv
    "falling (bw": ("Falling", "BW"),  # a bracket forgotten, once in Subject 2/Fall.csv
}
CLASSES = tuple(sorted({name for name, _ in LABELS.values()}))

_NUMBER = r"\d+(?:\.\d+)?"
_SPAN = re.compile(rf"({_NUMBER})\s*to\s*({_NUMBER})")
_SPAN_WITHOUT_TO = re.compile(rf"({_NUMBER})\s+({_NUMBER})")
# A label and its spans; the closing bracket may be missing, then the next label or the cell's end follows.
_PIECE = re.compile(r"(?P<label>[A-Za-z][^\[\];]*)(?P<open>\[(?P<spans>(?:[\d.\s;]|to(?![A-Za-z]))*)(?P<close>\])?)?")
_BETWEEN = re.compile(r"[^A-Za-z]*")


@dataclass(frozen=True)
class ListedSpan:
    """A label that holds for some seconds, or why a piece of a cell is none.

    Attributes:
        label: As written.
        start_s: Text of the start; empty where there is a fault.
        end_s: Text of the end.
        fault: Why it cannot be used.
        note: How it was read where it is not as the others are.
    """

    label: str
    start_s: str = ""
    end_s: str = ""
    fault: str = ""
    note: str = ""


def is_gmdcsa24(folder: Path) -> bool:
    """Whether a folder is laid out as GMDCSA24 is published."""
    return any(_find_lists(folder))


def read_gmdcsa24(folder: Path) -> Manifest:
    """Rows of all lists below a folder; the subject is the group that people share.

    Args:
        folder: With `Subject N/ADL.csv`, `Subject N/Fall.csv` and the videos in folders of the same names.

    Raises:
        DataError: Where there is no list, or no list has the header; one beside others goes to quarantine.
    """
    entries: list[Entry] = []
    notes: list[str] = []
    faults: list[DataError] = []
    lists = _find_lists(folder)
    for path in lists:
        try:
            found = list(_read_entries(path, folder))
        except DataError as error:
            faults.append(error)
            found = [(Entry(path.relative_to(folder).as_posix(), {}, str(error)), "")]
        entries += [entry for entry, _ in found]
        notes += [f"{entry.where}: {note}" for entry, note in found if note]
    if lists and len(faults) == len(lists):
        raise faults[0]
    if not entries:
        raise DataError(
            f"{folder}: no lists of GMDCSA24; expected folders such as 'Subject 1' with {' and '.join(LISTS)}",
            code="gmdcsa24.no-lists",
        )
    return assemble(entries, notes=list(dict.fromkeys(notes)))


def parse_cell(cell: str) -> Iterator[ListedSpan]:
    """Spans of a cell of classes, in their order; a piece that cannot be read is a span with a fault."""
    position = 0
    while position < len(cell):
        gap = _BETWEEN.match(cell, position)
        between = gap[0] if gap else ""
        if re.search(r"[\d\[\]]", between):
            yield ListedSpan("", fault=f"{shorten(between.strip())} belongs to no label in {shorten(cell)}")
        position += len(between)
        piece = _PIECE.match(cell, position)
        if piece is None:
            break
        position = piece.end()
        stray = ":" in between
        yield from _read_spans(piece, cell, "a stray ':' was passed over" if stray else "")


def _find_lists(folder: Path) -> list[Path]:
    return sorted(path for name in LISTS for path in folder.glob(f"Subject */{name}"))


def _read_entries(path: Path, folder: Path) -> Iterator[tuple[Entry, str]]:
    text, _ = read_text(path)
    lines = text.splitlines() or [""]
    header = [cell.strip() for cell in lines[0].split(",")]
    if header[0] != "File Name" or header[-1] != "Classes":
        raise DataError(
            f"{path}: expected the columns 'File Name' to 'Classes', but the header is {shorten(lines[0])}",
            code="gmdcsa24.header",
        )
    name = path.relative_to(folder).as_posix()
    for line, cells, fault in split_records(lines[1:], ",", len(header)):
        where = f"{name}:{line + 1}"
        if fault:
            yield Entry(where, {}, fault), ""
            continue
        given = {"video": f"{name.removesuffix('.csv')}/{cells[0].strip()}", "subject": path.parent.name}
        for span in parse_cell(cells[-1]):
            yield _make_entry(where, given, span), span.note
        if not cells[-1].strip():
            yield Entry(where, given, "Classes: empty, expected labels such as Sitting[0 to 1]"), ""


def _make_entry(where: str, given: dict[str, str], span: ListedSpan) -> Entry:
    label, variant = LABELS.get(" ".join(span.label.lower().split()), ("", ""))
    fault = span.fault or ("" if label else f"unknown label {span.label!r}; known: {', '.join(CLASSES)}")
    cells = given | {"start_s": span.start_s, "end_s": span.end_s, "label": label, "variant": variant}
    return Entry(where, cells, fault)


def _read_spans(piece: re.Match[str], cell: str, note: str) -> Iterator[ListedSpan]:
    label = piece["label"].strip()
    if piece["open"] is None:
        yield ListedSpan(label, fault=f"{label!r} has no span in {shorten(cell, 120)}")
        return
    texts = [text.strip() for text in piece["spans"].split(";")]
    if piece["close"] is None:
        # Only a label that follows proves that the last number is whole.
        if not re.match(r"[A-Za-z]", cell[piece.end() :]):
            yield ListedSpan(label, fault=f"the bracket of {label!r} is not closed in {shorten(cell, 120)}")
            return
        note = f"the bracket of {label!r} is not closed, taken to end where the next label begins"
        texts = [text for text in texts if text]
    if label.count("(") != label.count(")"):
        note = f"{label!r} is taken for {label + ')'!r}"
    for text in texts:
        if span := _SPAN.fullmatch(text):
            yield ListedSpan(label, span[1], span[2], note=note)
        elif span := _SPAN_WITHOUT_TO.fullmatch(text):
            yield ListedSpan(
                label, span[1], span[2], note=f"{label}[{text}] is taken for {label}[{span[1]} to {span[2]}]"
            )
        else:
            yield ListedSpan(label, fault=f"{label}[{text}]: expected 'start to end' in {shorten(cell, 120)}")
