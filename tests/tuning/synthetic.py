"""An objective whose best values are known: accuracy peaks at rate 0.01 and grows with the width, as the step time does."""

import json
import math
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from pan_core.params.space import Choice, Range, Space
from pan_core.tuning.plan import Plan
from pan_core.tuning.search import Tools, search
from pan_core.tuning.storage import open_storage
from pan_core.tuning.study import Study
from pan_core.tuning.workers import Worker

SPACE = Space({"net.width": Choice((8, 16, 32)), "train.rate": Range(1e-4, 1.0, log=True)})
EPOCHS = 4


def plan(**changes):
    values = {
        "name": "hill", "space": SPACE, "defaults": {"net.width": 8, "train.rate": 0.5}, "trials": 6,
        "objectives": ("accuracy", "step_ms"), "budget_ms": 10.0, "sampler": "tpe", "pruner": "none", "leaders": 2,
        "repeats": 2, "epochs": EPOCHS, "seed": 0, "rests_on": {"data": "d1"},
    }  # fmt: skip
    return Plan(**{**values, **changes})


def truth(values, seed=0):
    away = abs(math.log10(values["train.rate"]) + 2)
    luck = 0.02 * math.sin(37 * seed + values["net.width"])
    return 0.9 - 0.1 * away - 1 / values["net.width"] + luck


class Hill:
    """Accuracy comes up to its end in equal parts; every call is kept."""

    def __init__(self, pause=0.0, pace=0.1):
        self.pause, self.pace, self.trained, self.measured = pause, pace, [], []

    def widths(self, values):
        return str(values["net.width"])

    def step_times(self, values, others):
        """On a machine that takes `pace` ms a unit."""
        self.measured.append(values)
        return self.pace * values["net.width"], self.pace * others["net.width"]

    def accuracy(self, values, seed, report):
        self.trained.append((values, seed))
        end = truth(values, seed)
        for epoch in range(EPOCHS):
            time.sleep(self.pause)
            report(epoch, {"val_accuracy": end * (epoch + 1) / EPOCHS})
        return end


class Rows:
    """Rows as MLflow would have them."""

    def __init__(self):
        self.rows, self.closed = [], []

    @contextmanager
    def open(self, name, values):
        row = Row(name, values)
        self.rows.append(row)
        yield row


class Row:
    def __init__(self, name, values):
        self.name, self.values, self.logged, self.tags = name, values, [], {}

    def metrics(self, values, step=0):
        self.logged.append((step, dict(values)))

    def tag(self, name, value):
        self.tags[name] = value


def work(study, folder, objective=None, rows=None):
    rows = rows or Rows()
    with Worker(folder / "workers") as worker:
        search(study, worker, Tools(objective or Hill(), rows.open, rows.closed.append))
    return rows


def wait_for_others(folder, count):
    """Begin together: on a busy machine one process may be done before another has started."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.01)


def main():
    """One worker as a process of its own: journal, changes of the plan as JSON, pause."""
    journal, changes, pause = Path(sys.argv[1]), json.loads(sys.argv[2]), float(sys.argv[3])
    study = Study(plan(**changes), open_storage(journal))
    wait_for_others(journal.parent / "ready", int(os.environ.get("BEGIN_TOGETHER", "1")))
    work(study, journal.parent, Hill(pause))


if __name__ == "__main__":
    main()
