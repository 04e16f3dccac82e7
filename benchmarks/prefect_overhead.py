"""What Prefect adds to a run: `python -m flows.pan` against `dvc repro`, in the same workspaces, in turn.

    python benchmarks/prefect_overhead.py [--repeats 1] [--targets STAGE ...] [--folder .cache/overhead]

Both run every stage on the embedded dataset reduced to three actors (tests/chaos/workspace.py), from videos and poses that are in
the cache, once before to fill it. The bound: at most 10 % and 20 s more.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from chaos.workspace import Workspace  # noqa: E402

RELATIVE, ABSOLUTE_S = 0.10, 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--targets", nargs="*", default=[])
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "overhead")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    workspace = Workspace(folder / f"run-{time.time_ns()}", folder / "pan-cache")
    commands = {
        "dvc": ("dvc", "repro", *arguments.targets),
        "prefect": (sys.executable, "-m", "flows.pan", *arguments.targets),
    }
    workspace.must(*commands["dvc"])
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(arguments.repeats):
        # Each goes first as often as the other: a machine that gets slower must not favour one.
        for name in sorted(commands, reverse=bool(number % 2)):
            workspace.forget()
            begun = time.monotonic()
            workspace.must(*commands[name])
            seconds[name].append(time.monotonic() - begun)
            print(f"{name:8} {seconds[name][-1]:7.1f} s", flush=True)
    dvc, prefect = (statistics.median(seconds[name]) for name in ("dvc", "prefect"))
    allowed = dvc * (1 + RELATIVE) + ABSOLUTE_S
    print(f"prefect / dvc = {prefect / dvc:.3f}, {prefect - dvc:+.1f} s; allowed are {allowed - dvc:+.1f} s")
    return 0 if prefect <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
