"""Our figures beside published ones, in the form of the paper's Table 1.

The published figures are context, never a gate: Table 1 of the paper has not been reached by any skeleton-only model
published since. Each figure says whether it was measured here or cited.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MEASURED = "measured"
CITED = "cited"

DATASET_TITLES = {
    "ucf101": "UCF101",
    "hmdb51": "HMDB51",
    "penn_action": "Penn Action",
    "jhmdb": "JHMDB",
    "jhmdb14": "JHMDB, 14 of 21 classes",
    "gmdcsa24": "GMDCSA24",
    "surveillance": "Own footage",
    "pyskl": "Own poses",
    "actors": "Actors (embedded)",
}
# Datasets that give the poses of another: one column for both.
COLUMN_OF = {"ucf101_pose": "ucf101", "hmdb51_pose": "hmdb51"}
MODE_TITLES = {"clip": "clip mode", "online": "online mode"}


@dataclass(frozen=True)
class Figure:
    """An accuracy in percent and where it comes from.

    Attributes:
        percent: Accuracy in percent.
        kind: `MEASURED` or `CITED`.
    """

    percent: float
    kind: str

    def __str__(self) -> str:
        return f"{self.percent:.1f}"


@dataclass(frozen=True)
class Row:
    """One method: its figures by dataset; a dataset without one shows "-"."""

    method: str
    figures: Mapping[str, Figure]
    note: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Table1:
    """Columns are dataset names; every row's figures are keyed by them."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def titles(self) -> tuple[str, ...]:
        """Column titles as a reader knows the datasets."""
        return tuple(DATASET_TITLES.get(name, name) for name in self.columns)

    def as_records(self) -> list[dict[str, str]]:
        """Rows as plain text, for a table file or a log: figure and kind in one cell."""
        return [
            {"Method": row.method}
            | {
                title: f"{row.figures[name]} ({row.figures[name].kind})" if name in row.figures else "-"
                for name, title in zip(self.columns, self.titles(), strict=True)
            }
            for row in self.rows
        ]


@dataclass(frozen=True)
class _Published:
    method: str
    percents: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


_PUBLISHED = (
    _Published("Pose-Attention Network (Li and Wang, 2020)", {"ucf101": 93.5, "hmdb51": 63.3}, "the paper's Table 1"),
    _Published(
        "Best skeleton-only since, pretrained on Kinetics skeletons", {"ucf101": 86.9, "hmdb51": 69.4}, "split 1"
    ),
    _Published("Skeleton-only, without pretraining", {"ucf101": 73.3, "hmdb51": 48.9}),
    _Published("Skeleton stream of a two-stream model", {"penn_action": 95.2}),
    _Published("Skeleton together with video", {"penn_action": 98.1}, "uses the pictures, too"),
    _Published("DD-Net, 0.15 M parameters", {"penn_action": 97.2}, "a run of its own recipe, not a published figure"),
)


def build_table1(dataset: str, measured: Mapping[str, float], *, note: str = "") -> Table1:
    """Published rows, then ours.

    Args:
        dataset: Name of the dataset in use; it gets a column of its own unless it is UCF101 or HMDB51.
        measured: Our accuracy in 0..1 by input mode ("clip", "online").
        note: How ours was measured, such as "split 1" or "mean of splits 1-3".
    """
    column = COLUMN_OF.get(dataset, dataset)
    columns = tuple(dict.fromkeys(("ucf101", "hmdb51", column)))
    published = tuple(
        Row(entry.method, {name: Figure(value, CITED) for name, value in entry.percents.items()}, entry.note)
        for entry in _PUBLISHED
        if set(entry.percents) & set(columns)
    )
    ours = tuple(
        Row(f"PAN, this run, {MODE_TITLES.get(mode, mode)}", {column: Figure(100 * value, MEASURED)}, note, ours=True)
        for mode, value in measured.items()
    )
    return Table1(columns, published + ours)
