"""The tables that travel between stages, with a pandera schema for each.

Every table is Parquet. `read_table` and `write_table` check it on both sides of a stage's border, so that a
broken row is found where it enters and not three stages later.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from pan_core.errors import DataError
from pan_core.files import atomic_path

PARTS = ("train", "val", "test", "unused")

CLIP_TABLE = pa.DataFrameSchema(
    {
        "clip_id": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
        "path": pa.Column(str, description="video, relative to the dataset's folder; empty where poses are given"),
        "source": pa.Column(str, description="dataset that the clip comes from"),
        "label": pa.Column(str, pa.Check.str_length(min_value=1)),
        "group": pa.Column(str, description="clips of one group never stand on both sides of a split"),
        "subject": pa.Column(str),
        "camera": pa.Column(str),
        "fps": pa.Column(float, pa.Check.gt(0)),
        "start_frame": pa.Column("int64", pa.Check.ge(0), description="where in its video the clip begins", default=0),
        "n_frames": pa.Column("int64", pa.Check.ge(1)),
        "width": pa.Column("int64", pa.Check.ge(1)),
        "height": pa.Column("int64", pa.Check.ge(1)),
        "^split[0-9]+$": pa.Column(str, pa.Check.isin(PARTS), regex=True, required=False),
    },
    strict=True,
    coerce=True,
    add_missing_columns=True,
)

SEGMENT_TABLE = pa.DataFrameSchema(
    {
        "clip_id": pa.Column(str),
        "start_frame": pa.Column("int64", pa.Check.ge(0)),
        "end_frame": pa.Column("int64", pa.Check.gt(0), description="half open"),
        "label": pa.Column(str, pa.Check.str_length(min_value=1)),
        "parent_label": pa.Column(str, description="the clip's class"),
    },
    checks=pa.Check(lambda table: table["end_frame"] > table["start_frame"], name="start_frame < end_frame"),
    strict=True,
    coerce=True,
)

POSE_INDEX = pa.DataFrameSchema(
    {
        "clip_id": pa.Column(str, unique=True),
        "offset": pa.Column("int64", pa.Check.ge(0), description="first row of the clip in the joint array"),
        "people": pa.Column("int64", pa.Check.ge(0)),
        "frames": pa.Column("int64", pa.Check.ge(0)),
        "fps": pa.Column(float, pa.Check.gt(0), description="poses a second, after skipping frames"),
        "width": pa.Column("int64", pa.Check.ge(1)),
        "height": pa.Column("int64", pa.Check.ge(1)),
        "extractor": pa.Column(str, description="identity of network and settings, or 'annotated'"),
        "video_sha256": pa.Column(str),
    },
    strict=True,
    coerce=True,
)

QUARANTINE_TABLE = pa.DataFrameSchema(
    {"clip_id": pa.Column(str), "stage": pa.Column(str), "reason": pa.Column(str)}, strict=True, coerce=True
)

PROFILE = pa.DataFrameSchema(
    {
        "clip_id": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
        "label": pa.Column(str, pa.Check.str_length(min_value=1)),
        "person_share": pa.Column(float, pa.Check.in_range(0, 1), description="of frames, in which anybody is seen"),
        "mean_score": pa.Column(float, pa.Check.ge(0), nullable=True, description="of found joints"),
        "missing_share": pa.Column(float, pa.Check.in_range(0, 1), description="of the joints of all people"),
        "height": pa.Column(float, pa.Check.ge(0), nullable=True, description="of a skeleton, in picture heights"),
        "aspect": pa.Column(float, pa.Check.ge(0), nullable=True, description="width of a skeleton over its height"),
        "motion": pa.Column(float, pa.Check.ge(0), nullable=True, description="of a joint, person sizes a second"),
        "people": pa.Column("int64", pa.Check.ge(0)),
        "duration_s": pa.Column(float, pa.Check.ge(0)),
        "fps": pa.Column(float, pa.Check.gt(0), description="poses a second"),
    },
    strict=True,
    coerce=True,
)

SCHEMAS = {
    "clips": CLIP_TABLE,
    "segments": SEGMENT_TABLE,
    "pose index": POSE_INDEX,
    "quarantine": QUARANTINE_TABLE,
    "profile": PROFILE,
}


def check_table(table: pd.DataFrame, kind: str, where: str) -> pd.DataFrame:
    """Return the table with its column types coerced.

    Args:
        table: The rows to check.
        kind: A key of `SCHEMAS`.
        where: File or stage to name in the message.

    Raises:
        DataError: With every fault, its column and the first values that show it.
    """
    try:
        return SCHEMAS[kind].validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        faults = []
        for (column, check), rows in cases.groupby(["column", "check"], dropna=False):
            values = ", ".join(repr(v) for v in rows["failure_case"].head(3))
            faults.append(f"  - column {column}: expected {check}, but got {values} ({len(rows)} in all)")
        raise DataError(f"{where}: not a valid table of {kind}:\n" + "\n".join(faults), code="table.invalid") from error


def empty_table(kind: str) -> pd.DataFrame:
    """A table without rows that satisfies the schema."""
    columns = [name for name in SCHEMAS[kind].columns if not name.startswith("^")]
    return check_table(pd.DataFrame({name: [] for name in columns}), kind, kind)


def quarantine_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Quarantine table of rows with clip_id, stage and reason; there may be none."""
    return check_table(pd.DataFrame(rows), "quarantine", "quarantine") if rows else empty_table("quarantine")


def write_table(table: pd.DataFrame, kind: str, path: Path) -> None:
    """Check and write a table; the file appears whole or not at all."""
    checked = check_table(table, kind, str(path))
    with atomic_path(path) as partial:
        checked.to_parquet(partial, index=False)


def read_table(kind: str, path: Path) -> pd.DataFrame:
    """Read and check a table.

    Raises:
        DataError: Where the file is missing, is not Parquet, or breaks its schema.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such table of {kind}; run `dvc repro` to make it", code="table.missing")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable Parquet file ({error}); delete it and run `dvc repro`", code="table.unreadable"
        ) from error
    return check_table(table, kind, str(path))


def splits_of(clips: pd.DataFrame) -> list[int]:
    """Numbers of the official splits that a clip table carries."""
    return sorted(int(name.removeprefix("split")) for name in clips.columns if name.startswith("split"))
