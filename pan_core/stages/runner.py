"""Runs one stage: parameters in, MLflow run around it, JSON result or failure file out."""

import errno
import shutil
import time
from collections.abc import Callable
from importlib import import_module

from pan_core.errors import PanError, explain_fault
from pan_core.files import write_json
from pan_core.params.load import Params, load_params
from pan_core.stages import STAGES
from pan_core.tracking.tracker import Run, Tracker
from pan_core.workspace import paths
from pan_core.workspace.dvc_figures import write_metrics
from pan_core.workspace.failures import recorded_failure

Stage = Callable[[Params, Run], dict]
# With less than this free, a failure to write is put down to the full disk.
LITTLE_SPACE = 5_000_000


def run_stage(name: str) -> dict:
    """Run a stage and write `reports/<name>.json`; if it raises a `PanError`, write `paths.failure(name)`.

    Raises:
        PanError: Where the stage is unknown, its input is not as it must be, or the disk is full.
    """
    if name not in STAGES:
        raise PanError(f"stage {name!r} is unknown; the stages are {', '.join(STAGES)}", code="stage.unknown")
    with recorded_failure(name):
        return _run(name)


def _run(name: str) -> dict:
    params = load_params()
    try:
        return _tracked(name, params)
    except PanError:
        raise
    except Exception as error:
        # Each library says it in another way when the disk is full: OSError, RuntimeError, a database error.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full and shutil.disk_usage(".").free > LITTLE_SPACE:
            if known := explain_fault(error):
                raise known from error
            raise
        raise PanError(
            f"stage {name}: no space left on the disk ({type(error).__name__}); make space and run `dvc repro` again: "
            "finished work is kept",
            code="disk.full",
        ) from error


def _tracked(name: str, params: Params) -> dict:
    stage: Stage = import_module(f"pan_core.stages.{name}").run
    started = time.perf_counter()
    with Tracker(params.dataset).stage(name, fingerprint=params.fingerprint(), params=params.flat()) as tracked:
        figures = stage(params, tracked)
        tracked.metrics({key: value for key, value in figures.items() if isinstance(value, int | float)})
        value = {"stage": name, "dataset": params.dataset, "mlflow_run_id": tracked.run_id}
        write_json(paths.result(name), value | {"seconds": round(time.perf_counter() - started, 1)} | figures)
        write_metrics(name, figures)
        tracked.artifact(paths.result(name))
    return figures
