"""Two checkouts in which the same run was made: did they come to the same?

    python benchmarks/compare_checkouts.py OLD NEW

Both folders hold a finished `pan run` with the same params.yaml. Weights, poses and segments must be equal bit for bit,
the figures of reports/summary.json too, except those that are times, names of runs, or addresses. Exits with 1 if anything differs.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

TIMED = re.compile(r"(^|_)(ms|seconds|fps|rounds|frames_timed|run_id|git_commit|created)$|^latency_|_ms_|^runs$")
"""Names of figures that differ from run to run: times, names of runs, the commit."""


def weights(old: Path, new: Path) -> Iterator[tuple[str, bool]]:
    """Weights of every trained recognizer."""
    for name in _files(old, new, "models/pan", "*.safetensors"):
        first, second = old / name, new / name
        yield str(name), first.is_file() and second.is_file() and _equal(load_file(first), load_file(second))


def poses(old: Path, new: Path) -> Iterator[tuple[str, bool]]:
    """Every file of the pose set."""
    for name in _files(old, new, "data/poses", "*"):
        first, second = old / name, new / name
        yield str(name), first.is_file() and second.is_file() and _same_content(first, second)


def tables(old: Path, new: Path) -> Iterator[tuple[str, bool]]:
    """Clips, segments and quarantine."""
    for name in ("data/clips.parquet", "data/segments.parquet", "data/quarantine/split.parquet",
                 "data/quarantine/pose.parquet", "data/quarantine/validate.parquet"):  # fmt: skip
        yield name, pd.read_parquet(old / name).equals(pd.read_parquet(new / name))


def figures(old: Path, new: Path) -> Iterator[tuple[str, bool]]:
    """Figures of the summary and of the evaluation that are no times."""
    for name in ("summary", "evaluate", "relabel", "pose", "split"):
        before, after = (_figures(folder / "reports" / f"{name}.json") for folder in (old, new))
        for key in sorted(before.keys() | after.keys()):
            yield f"reports/{name}.json {key}", before.get(key) == after.get(key)


def _files(old: Path, new: Path, place: str, pattern: str) -> list[Path]:
    """Files below a place that either checkout has, relative to it."""
    return sorted(
        {path.relative_to(root) for root in (old, new) for path in (root / place).rglob(pattern) if path.is_file()}
    )


def _figures(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text())
    return {key: value for key, value in found.items() if not TIMED.search(key)}


def _equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def _same_content(first: Path, second: Path) -> bool:
    if first.suffix == ".parquet":
        return pd.read_parquet(first).equals(pd.read_parquet(second))
    return first.read_bytes() == second.read_bytes()


def main() -> int:
    """Compare and print one line a thing compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    differing = 0
    for kind in (weights, poses, tables, figures):
        rows = list(kind(arguments.old, arguments.new))
        wrong = [name for name, same in rows if not same]
        differing += len(wrong) + (not rows)
        print(f"{kind.__name__}: {len(rows) - len(wrong)} of {len(rows)} equal")
        for name in wrong:
            print(f"  differs: {name}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
