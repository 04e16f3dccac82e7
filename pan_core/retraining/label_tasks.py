"""Tasks for Label Studio with the champion's suggestions, written by `pan data label` in the workspace of the champion."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from pan_core.datasets.manifests import unlabelled_videos
from pan_core.errors import PanError
from pan_core.retraining.dvc_versions import last_lines
from pan_core.retraining.run_parameters import DATASET

LABELLING = Path("data/labelling")


class LabelsError(PanError):
    """The command that suggests labels failed."""

    code = "labels.failed"


def write_label_tasks(folder: Path, workspace: Path, environment: Mapping[str, str]) -> str:
    """Write tasks for the videos of a delivery that have no labels; returns what the command printed, empty if none has to be written.

    Args:
        folder: The delivery.
        workspace: Folder whose parameters and code are used.
        environment: Variables of the command.

    Raises:
        LabelsError: If the command fails.
        DataError: If the delivery cannot be read.
    """
    out = (LABELLING / f"{folder.name}.json").absolute()
    if out.is_file() or not unlabelled_videos(folder):
        return ""
    done = subprocess.run(
        ["pan", "data", "label", str(folder.absolute()), "--out", str(out), "--dataset", DATASET],
        cwd=workspace, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise LabelsError(f"{folder}: no labels could be suggested:\n{last_lines(done.stderr)}")
    return done.stdout.strip()
