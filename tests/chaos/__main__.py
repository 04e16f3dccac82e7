"""Every fault in turn, and the table of what became of it: `make chaos`.

    python tests/chaos [--only FAULT ...] [--kills 20] [--in-a-row 1] [--seed 0] [--folder .cache/chaos]

What has run is kept in the folder, so that faults can be run one by one; the table has all of them, each with the commit that
it was run on. Faults that need root, or libfaketime, say so where they cannot run.
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

from pan_core.files import write_json
from pan_core.tracking import git_commit

TABLE = ROOT / "docs" / "results" / "chaos.md"
HEAD = """# Faults

What `make chaos` did to running pipelines, and what became of them. Written by it; every figure is measured. The pipeline runs on the
embedded dataset reduced to three actors and two epochs (`tests/chaos/workspace.py`), so that it has every stage and ends in minutes.
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
                record(folder, name, {"skipped": reason})
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
            record(folder, name, row | {"seconds": round(time.monotonic() - begun)})
    write_table(folder)
    return 1 if failed else 0


def _cache(folder: Path) -> Path:
    """PAN_CACHE of the workspaces: drawn and extracted once, also across calls."""
    cache = folder / "pan-cache"
    archives = ROOT / ".cache" / "downloads"
    if archives.is_dir() and not (cache / "downloads").exists():
        shutil.copytree(archives, cache / "downloads")
    return cache


def _killed(workspace, expected, arguments):
    # Evenly over the run, each at random within its part: so that early and late stages are met.
    draw = random.Random(arguments.seed)
    moments = [(number + draw.random()) / arguments.kills for number in range(arguments.kills)]
    draw.shuffle(moments)
    row = arguments.in_a_row
    runs = [moments[start : start + row] for start in range(0, len(moments), row)]
    more = ([draw.random()] for _ in count())  # in the place of those whose run was over before
    for outcome in faults.killed(workspace, expected, chain(runs, more), arguments.kills):
        say(f"{outcome.times} of {arguments.kills} kills: {outcome.notes}; lost: {outcome.lost}")
        record(arguments.folder, "killed", asdict(outcome) | {"seconds": 0})
    return outcome


FAULTS: dict[str, Callable] = {
    "mlflow_away": lambda workspace, *_: faults.mlflow_away(workspace, 30, 60),
    "prefect_away": lambda workspace, expected, _: faults.prefect_away(workspace, expected),
    "disk_full": lambda workspace, *_: faults.disk_full(workspace, 12),
    "clock_jumps": lambda workspace, expected, _: faults.clock_jumps(workspace, expected),
    "damaged_files": lambda workspace, *_: faults.damaged_files(workspace),
    "worker_killed": lambda workspace, *_: faults.worker_killed(workspace, 12),
    "without_network": lambda workspace, expected, _: faults.without_network(workspace, expected),
    "two_at_once": lambda workspace, *_: faults.two_at_once(workspace),
    "killed": _killed,
}


def _impossible(name: str) -> str:
    """Why a fault cannot be made here; empty where it can."""
    if name in ("disk_full", "without_network") and os.geteuid() != 0:
        return "needs root, for a disk or a network of its own"
    if name == "clock_jumps" and not faults.FAKETIME:
        return "needs libfaketime (on Debian: apt-get install faketime)"
    return ""


def record(folder: Path, name: str, row: dict) -> None:
    write_json(folder / f"{name}.json", {"name": name, "commit": git_commit(ROOT)[:7]} | row)
    say(f"{name}: {row}")


def write_table(folder: Path) -> None:
    rows = []
    for name in FAULTS:
        if not (folder / f"{name}.json").is_file():
            rows.append(f"| {name} | 0 | | | not run yet |")
            continue
        row = json.loads((folder / f"{name}.json").read_text())
        if "skipped" in row:
            rows.append(f"| {name} | 0 | | | not run: {row['skipped']} |")
        elif "error" in row:
            rows.append(f"| {row['fault']} | 1 | | **failed** | {' '.join(row['error'].split())} |")
        else:
            lost = "; ".join(row["lost"]) or "nothing"
            rows.append(
                f"| {row['fault']} | {row['times']} | {row['compared']} | {lost} | {row['notes']}; {row['seconds']} s, commit {row['commit']} |"
            )
    TABLE.write_text(HEAD + "\n".join(rows) + "\n")
    say(f"written: {TABLE}")


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
