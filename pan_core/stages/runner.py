"""Runs one stage: parameters in, MLflow run around it, JSON result out."""

import os
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pan_core.config import Params, load_params
from pan_core.errors import PanError
from pan_core.files import read_json, write_json
from pan_core.stages import STAGES, paths
from pan_core.tracking import Run, Tracker

Stage = Callable[[Params, Run], dict]


def run_stage(name: str) -> dict:
    """Run a stage and write `reports/<name>.json`.

    Raises:
        PanError: Where the stage is unknown, or its input is not as it must be.
    """
    if name not in STAGES:
        raise PanError(f"stage {name!r} is unknown; the stages are {', '.join(STAGES)}")
    params = load_params()
    stage: Stage = import_module(f"pan_core.stages.{name}").run
    started = time.perf_counter()
    with Tracker(params.dataset).stage(name, fingerprint=params.fingerprint(), params=params.flat()) as tracked:
        try:
            figures = stage(params, tracked)
        except OSError as error:
            if error.errno != 28:
                raise
            raise PanError(
                f"stage {name}: no space left on the disk ({error.filename or 'a file'}); make space and run "
                "`dvc repro` again: finished work is kept"
            ) from error
        tracked.metrics({key: value for key, value in figures.items() if isinstance(value, int | float)})
        value = {"stage": name, "dataset": params.dataset, "mlflow_run_id": tracked.run_id}
        write_json(paths.result(name), value | {"seconds": round(time.perf_counter() - started, 1)} | figures)
        tracked.artifact(paths.result(name))
    return figures


def workers(params: Params) -> int:
    """Processes to use: `workers` from params.yaml, or every core that this process may run on."""
    return params.workers or len(os.sched_getaffinity(0))


def result_of(stage: str) -> dict:
    """Figures of a stage that has run."""
    return read_json(paths.result(stage))


def replace_folder(path: Path) -> Path:
    """An empty folder in the place of whatever was there."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
