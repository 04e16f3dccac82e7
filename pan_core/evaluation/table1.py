"""Our figures beside published ones, in the form of the paper's Table 1.

The published figures are context, never a gate: Table 1 of the paper has not been reached by any skeleton-only model
published since. Each figure says whether it was measured here or cited.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MEASURED = "measured"
CITED = "cited"
RERUN = "rerun"
"""Another method's own code and recipe, run on the same data; nobody has published the figure."""

DATASET_TITLES = {
    "ucf101": "UCF101",
    "hmdb51": "HMDB51",
    "penn_action": "Penn Action",
    "jhmdb": "JHMDB",
    "jhmdb_video": "JHMDB, from video",
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
        kind: `MEASURED` here, `CITED` from a publication, or a `RERUN` of another method.
    """

    percent: float
    kind: str

    def __str__(self) -> str:
        return f"{self.percent:.1f}"


@dataclass(frozen=True)
class MethodRow:
    """One method: its figures by dataset; a dataset without one shows "-"."""

    method: str
    figures: Mapping[str, Figure]
    note: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Table1:
    """Columns are dataset names; every row's figures are keyed by them."""

    columns: tuple[str, ...]
    rows: tuple[MethodRow, ...]

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
class _PublishedRow:
    method: str
    percents: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    kind: str = CITED


PICTURES_NOTE = "sees pictures; as the paper's Table 1 cites it"
_PUBLISHED = (
    _PublishedRow(
        "Pose-Attention Network (Li and Wang, 2020)", {"ucf101": 93.5, "hmdb51": 63.3}, "the paper's Table 1"
    ),
    _PublishedRow("C3D", {"ucf101": 85.2, "hmdb51": 51.2}, PICTURES_NOTE),
    _PublishedRow("Two-Stream + LSTM", {"ucf101": 88.6, "hmdb51": 59.1}, PICTURES_NOTE),
    _PublishedRow("Transformation (VGG-16)", {"ucf101": 92.4, "hmdb51": 62.0}, PICTURES_NOTE),
    _PublishedRow(
        "Best skeleton-only since, pretrained on Kinetics skeletons", {"ucf101": 86.9, "hmdb51": 69.4}, "split 1"
    ),
    _PublishedRow("Skeleton-only, without pretraining", {"ucf101": 73.3, "hmdb51": 48.9}),
    _PublishedRow("Skeleton stream of a two-stream model", {"penn_action": 95.2}),
    _PublishedRow("Skeleton together with video", {"penn_action": 98.1}, "uses the pictures, too"),
    _PublishedRow(
        "DD-Net, 0.15 M parameters", {"penn_action": 97.2, "jhmdb14": 75.0}, "its own recipe, all splits", RERUN
    ),
    _PublishedRow("DD-Net, 0.49 M parameters", {"jhmdb14": 81.0}, "its own recipe, all splits", RERUN),
    _PublishedRow("DD-Net, 1.8 M parameters", {"jhmdb14": 84.7}, "its own recipe, split 1 only", RERUN),
)


def published(dataset: str) -> tuple[MethodRow, ...]:
    """Rows of what others have reached on a dataset; poses of a dataset count as the dataset."""
    name = COLUMN_OF.get(dataset, dataset)
    return tuple(
        MethodRow(entry.method, {dataset: Figure(entry.percents[name], entry.kind)}, entry.note)
        for entry in _PUBLISHED
        if name in entry.percents
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
    others = tuple(
        MethodRow(
            entry.method,
            {name: Figure(value, entry.kind) for name, value in entry.percents.items() if name in columns},
            entry.note,
        )
        for entry in _PUBLISHED
        if set(entry.percents) & set(columns)
    )
    ours = tuple(
        MethodRow(
            f"PAN, this run, {MODE_TITLES.get(mode, mode)}", {column: Figure(100 * value, MEASURED)}, note, ours=True
        )
        for mode, value in measured.items()
    )
    return Table1(columns, others + ours)
