"""What Prefect adds to a run: `python -m flows.pan` against `dvc repro`, in the same workspaces, in turn.

    python benchmarks/prefect_overhead.py [--repeats 1] [--folder .cache/overhead]
    python benchmarks/prefect_overhead.py --empty

Both run every stage on the embedded dataset reduced to three actors (tests/chaos/workspace.py), from videos and poses that are in
the cache, once before to fill it. The bound: at most 10 % and 20 s more. With --empty as many stages do nothing at all, so that what is
left is Prefect's and DVC's own; CPU seconds say it on a machine that is busy with other things.
"""

import argparse
import resource
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from chaos.workspace import Workspace  # noqa: E402

from pan_core.stages import STAGES  # noqa: E402

RELATIVE, ABSOLUTE_S = 0.10, 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--empty", action="store_true", help="stages that do nothing")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "overhead")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    workspace = Workspace(folder / f"run-{time.time_ns()}", folder / "pan-cache")
    commands = {
        "dvc": ("dvc", "repro"),
        "prefect": (sys.executable, "-m", "flows.pan"),
    }
    if arguments.empty:
        (workspace.folder / "dvc.yaml").write_text(empty_stages(len(STAGES)))
    workspace.must(*commands["dvc"])
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(arguments.repeats):
        # Each goes first as often as the other: a machine that gets slower must not favour one.
        for name in sorted(commands, reverse=bool(number % 2)):
            workspace.forget()
            begun, busy = time.monotonic(), cpu_seconds()
            workspace.must(*commands[name])
            seconds[name].append(time.monotonic() - begun)
            print(f"{name:8} {seconds[name][-1]:7.1f} s, {cpu_seconds() - busy:6.1f} CPU s", flush=True)
    dvc, prefect = (statistics.median(seconds[name]) for name in ("dvc", "prefect"))
    allowed = dvc * (1 + RELATIVE) + ABSOLUTE_S
    print(f"prefect / dvc = {prefect / dvc:.3f}, {prefect - dvc:+.1f} s; allowed are {allowed - dvc:+.1f} s")
    return 0 if prefect <= allowed else 1


def empty_stages(count: int) -> str:
    """A dvc.yaml of stages in a row, each of which writes one word."""
    stages = []
    for number in range(count):
        needs = f", deps: [reports/{number - 1}]" if number else ""
        stages.append(
            f'  s{number:02d}: {{cmd: "mkdir -p reports && echo {number} > reports/{number}", outs: [reports/{number}]{needs}}}'
        )
    return "stages:\n" + "\n".join(stages) + "\n"


def cpu_seconds() -> float:
    """Of all commands that have ended, with whatever they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
