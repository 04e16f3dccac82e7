"""A run of the pipeline in the working directory: `dvc repro` with a clear answer if it cannot start."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pan_core.datasets.registry import dataset_by_name
from pan_core.errors import PanError
from pan_core.params.load import PARAMS_FILE, Params, load_params, set_dataset, set_options
from pan_core.pose.clusters import scheduler_address
from pan_core.runtimes.cuda import require_device
from pan_core.workers.pool import die_with_parent
from pan_core.workspace.lock import workspace_lock
from pan_core.workspace.watched_source import watch_source
from pan_core.workspace.without_git import go_without_git


def run_pipeline(
    dataset: str | None = None, *, options: Mapping[str, str] = MappingProxyType({}), target: str | None = None
) -> None:
    """Run every stage that is out of date.

    Args:
        dataset: Written into params.yaml first, as `dvc exp run --set-param` would.
        options: Likewise, of the dataset's section: name -> value.
        target: Only this stage and those that it depends on.

    Raises:
        PanError: If parameters are wrong, another run is going on, or a stage failed.
    """
    params = load_params()
    if dataset_by_name(dataset or params.dataset).has_video and not scheduler_address():
        require_device(params.pose.device)
    with workspace_lock(Path.cwd()):
        _choose(dataset, options, params)
        params = load_params()
        go_without_git(Path())
        watch_source(params)
        status = _run_dvc(target)

        from pan_core.tracking.tracker import deliver_waiting  # late: start-up

        deliver_waiting()
        if status:
            raise PanError(
                "the run stopped, see the message above; finished work is kept, run again to go on from there",
                code="run.stopped",
            )
        if params.removes_videos and (now := load_params()).removes_videos and not target:
            from pan_core.workspace.footage_removal import remove_videos  # late: start-up

            print(remove_videos(now).describe(), flush=True)


def _choose(dataset: str | None, options: Mapping[str, str], params: Params) -> None:
    """Write a dataset and its options into params.yaml."""
    section = dataset or params.dataset
    if options:
        known = type(getattr(params, section, None))
        if unread := sorted(set(options) - set(getattr(known, "model_fields", ()))):
            raise PanError(
                f"--{unread[0].replace('_', '-')}: the dataset {section} has no such option; choose folders with --dataset, or leave it out",
                code="cli.folder-not-read",
            )
        if set_options(section, options):
            print(
                f"{PARAMS_FILE}: {section}: {', '.join(f'{name} is now {value}' for name, value in options.items())}",
                flush=True,
            )
    if dataset and set_dataset(dataset):
        print(f"{PARAMS_FILE}: dataset is now {dataset}", flush=True)


def _run_dvc(target: str | None) -> int:
    """Exit status of `dvc repro`."""
    # The stages are called by name, also if the environment was not activated.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *([target] if target else [])],
        check=False,
        env=environment,
        preexec_fn=die_with_parent,
    ).returncode
