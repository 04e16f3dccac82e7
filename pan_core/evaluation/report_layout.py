"""What a section of the report is made of: text, pictures and tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pan_core.viewer.canvas import Picture


@dataclass(frozen=True)
class Cell:
    """Text of a table cell, with a mark such as "measured", right-aligned where it is a number."""

    text: str
    mark: str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table; `folded` hides it behind its caption until it is opened."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: bool = False
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class ReportSection:
    """A heading with a sentence on how to read what follows."""

    key: str
    title: str
    intro: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


def percent(share: float) -> str:
    """A share of 0..1 as a reader wants it; number and sign stay on one line."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def number_cells(values: Iterable[str]) -> list[Cell]:
    """Cells of numbers, aligned to the right."""
    return [Cell(value, number=True) for value in values]
