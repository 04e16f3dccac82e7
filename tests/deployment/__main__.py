"""docs/deployment.md, "Past one machine", with real processes: every stage, a study in PostgreSQL, and a second clone.

    python tests/deployment FOLDER

FOLDER is made; servers end with the command.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from deployment.machines import Clone, machines, told
from penn_workspace import make_mirror

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
        with first.workers() as dask:
            say("workers of Prefect and of Dask have started")
            first.run("prefect", "deployment", "run", "pan/full-pipeline", "--watch")
            trials = json.loads((first.folder / "reports" / "tune.json").read_text())["trials"]
            busy = sum(process.cpu_times().user for process in [dask, *dask.children(recursive=True)])
        say(
            f"all {len(STAGES)} stages by Prefect's worker; {trials} trials; Dask's worker was busy for {busy:.0f} CPU s"
        )
        first.run("dvc", "push")
        first.commit("parameters and dvc.lock")
        second = Clone(folder / "second", running.environment, mirror, source=first.folder)
        second.run("dvc", "remote", "add", "--local", "--default", "shared", "s3://dvc/pan")
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
