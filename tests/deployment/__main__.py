"""docs/deployment.md, "Past one machine", with real processes: every stage, a study in PostgreSQL, and a second clone.

    python tests/deployment FOLDER

FOLDER is made; servers end with the command.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "stages"))

from conftest import make_mirror
from deployment.machines import Clone, machines, told

from pan_core.stages import STAGES

QUICK = {
    "dataset": "penn_action", "train.epochs": 2, "split.validation_share": 0.2, "latency.frames": 100, "latency.pose_frames": 10,
    "latency.budget_frame_ms": 5000, "latency.budget_step_ms": 500, "tune.trials": 2, "tune.epochs": 2, "tune.leaders": 1,
    "tune.repeats": 1, "tune.pruner": "none",
}  # fmt: skip


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    (folder / "servers").mkdir(parents=True)
    mirror = make_mirror(folder)
    with machines(folder / "servers") as running:
        say("PostgreSQL, S3, MLflow and Prefect answer")
        first = Clone(folder / "first", running.environment, mirror)
        first.set(QUICK)
        first.run(sys.executable, "-m", "flows.pan")
        say(
            f"all {len(STAGES)} stages by Prefect's server; {json.loads((first.folder / 'reports/tune.json').read_text())['trials']} trials"
        )
        first.run("dvc", "push")
        second = Clone(folder / "second", running.environment, mirror, lock=first.folder / "dvc.lock")
        second.run("dvc", "pull")
        printed = second.run("dvc", "repro")
        skipped = printed.count("didn't change, skipping")
        say(f"second clone: {skipped} of {len(STAGES)} stages have nothing to do, {printed.count('Running stage')} ran")
        found = told([folder, running.database_log])
    say(f"files with a password or key in them: {[str(path) for path in found] or 'none'}")
    return 0 if skipped == len(STAGES) and not found else 1


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
