"""Every fault in turn, and the table of what became of it: `make chaos`.

    python tests/chaos [--only FAULT ...] [--kills 20] [--in-a-row 1] [--seed 0] [--folder .cache/chaos]

The rows are kept beside the table, as JSON, so that faults can be run one by one: the others stay as they were, each with the
commit that it was run on. Faults that need root, or libfaketime, say so where they cannot run.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos import faults
from chaos.workspace import ROOT, Workspace

from pan_core.files import atomic_path, write_json
from pan_core.tracking.tracker import git_commit

TABLE = ROOT / "docs" / "results" / "chaos.md"
ROWS = TABLE.with_suffix(".json")
HEAD = """# Faults

What `make chaos` did to running pipelines, and what became of them. Written by it; every figure is measured. The pipeline runs on the
embedded dataset reduced to three actors, two trials of tuning and two epochs (`tests/chaos/workspace.py`), so that every stage works
and a run ends in minutes.
After each fault the results are compared with those of a run that nobody disturbed.

| fault | times | compared | lost | seen |
| --- | --- | --- | --- | --- |
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--in-a-row", type=int, default=1, help="kills of a run before it may end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "chaos")
    arguments = parser.parse_args()
    folder = arguments.folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as scratch:
        workspace = Workspace(Path(scratch) / "workspace", _cache(folder))
        expected = faults.undisturbed(workspace)
        say(f"undisturbed: {expected.seconds:.0f} s; {expected.compared()}")
        for name in arguments.only:
            if reason := _impossible(name):
                record(name, {"skipped": reason})
                continue
            begun = time.monotonic()
            try:
                row = asdict(FAULTS[name](workspace, expected, arguments))
            except Exception as error:
                say(f"{name}: {type(error).__name__}: {error}")
                row = {"fault": name, "error": f"{type(error).__name__}: {str(error)[:300]}"}
                workspace = Workspace(Path(scratch) / f"after-{name}", _cache(folder))
                workspace.must(*faults.RUN)
            failed += bool(row.get("error") or row.get("lost"))
            record(name, row | {"seconds": round(time.monotonic() - begun)})
    say(f"written: {TABLE}")
    return 1 if failed else 0


def _cache(folder: Path) -> Path:
    """PAN_CACHE of the workspaces: drawn and extracted once, also across calls."""
    cache = folder / "pan-cache"
    archives = ROOT / ".cache" / "downloads"
    if archives.is_dir() and not (cache / "downloads").exists():
        shutil.copytree(archives, cache / "downloads")
    return cache


def _killed(workspace, expected, arguments):
    begun = time.monotonic()
    # Evenly over the run, each at random within its part: so that early and late stages are met.
    draw = random.Random(arguments.seed)
    moments = [(number + draw.random()) / arguments.kills for number in range(arguments.kills)]
    draw.shuffle(moments)
    row = arguments.in_a_row
    runs = [moments[start : start + row] for start in range(0, len(moments), row)]
    more = ([draw.random()] for _ in count())  # in the place of those whose run was over before
    for outcome in faults.killed(workspace, expected, chain(runs, more), arguments.kills):
        say(f"{outcome.times} of {arguments.kills} kills: {outcome.notes}; lost: {outcome.lost}")
        record("killed", asdict(outcome) | {"seconds": round(time.monotonic() - begun)})
    return outcome


FAULTS: dict[str, Callable] = {
    "mlflow_away": lambda workspace, *_: faults.mlflow_away(workspace, 30, 60),
    "prefect_away": lambda workspace, expected, _: faults.prefect_away(workspace, expected),
    "disk_full": lambda workspace, *_: faults.disk_full(workspace, 12),
    "project_disk_full": lambda workspace, expected, _: faults.project_disk_full(workspace, expected),
    "clock_jumps": lambda workspace, expected, _: faults.clock_jumps(workspace, expected),
    "damaged_files": lambda workspace, *_: faults.damaged_files(workspace),
    "worker_killed": lambda workspace, *_: faults.worker_killed(workspace, 48),
    "without_network": lambda workspace, expected, _: faults.without_network(workspace, expected),
    "two_at_once": lambda workspace, *_: faults.two_at_once(workspace),
    "killed": _killed,
}


def _impossible(name: str) -> str:
    """Why a fault cannot be made here; empty where it can."""
    if name in ("disk_full", "project_disk_full", "without_network") and os.geteuid() != 0:
        return "needs root, for a disk or a network of its own"
    if name == "clock_jumps" and not faults.FAKETIME:
        return "needs libfaketime (on Debian: apt-get install faketime)"
    return ""


def record(name: str, row: dict) -> None:
    """Keep a row, and write the table anew."""
    rows = json.loads(ROWS.read_text()) if ROWS.is_file() else {}
    write_json(ROWS, rows | {name: {"commit": git_commit(ROOT)[:7]} | row})
    write_table()
    say(f"{name}: {row}")


def write_table() -> None:
    """The table of all rows that are kept."""
    kept = json.loads(ROWS.read_text())
    lines = []
    for name in FAULTS:
        row = kept.get(name)
        if row is None:
            lines.append(f"| {name} | 0 | | | not run yet |")
        elif "skipped" in row:
            lines.append(f"| {name} | 0 | | | not run: {row['skipped']} |")
        elif "error" in row:
            lines.append(f"| {row['fault']} | 1 | | **failed** | {' '.join(row['error'].split())} |")
        else:
            lost = "; ".join(row["lost"]) or "nothing"
            lines.append(
                f"| {row['fault']} | {row['times']} | {row['compared']} | {lost} | {row['notes']}; {row['seconds']} s, commit {row['commit']} |"
            )
    with atomic_path(TABLE) as partial:
        partial.write_text(HEAD + "\n".join(lines) + "\n")


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
