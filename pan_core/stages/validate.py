"""Stage validate: clips that keep their contract go on, the rest to quarantine; Great Expectations on the whole."""

import numpy as np
import pandas as pd

from pan_core.datasets.pyskl import Pyskl
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.surveillance import Surveillance
from pan_core.errors import DataError, GateError
from pan_core.evaluation.class_parts import require_classes
from pan_core.params.load import Params
from pan_core.pose.main_person import main_person
from pan_core.pose.pose_set import PoseSet
from pan_core.progress import progress_bar
from pan_core.quality import Kind, QualityResult, check_agreement, check_dataset, summarise
from pan_core.quality.docs import write_data_docs
from pan_core.tables import QUARANTINE_TABLE, read_table, splits_of, write_table
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths

SHOWN = 3


def run(params: Params, tracked: Run) -> dict:
    """Write the valid clips and segments, the quarantine table and Data Docs.

    Raises:
        DataError: If the tables do not belong together, or what is left of a part shows one class only.
        GateError: If more than the share in params.yaml is in quarantine, a class is left without clips, or the
            dataset as a whole does not meet what is expected and params.yaml says to stop there.
    """
    clips, poses = read_table("clips", paths.CLIPS), PoseSet(paths.POSES)
    segments = read_table("segments", paths.SEGMENTS)
    quarantine = pd.concat(
        [read_table("quarantine", paths.QUARANTINE / f"{stage}.parquet") for stage in ("split", "pose")],
        ignore_index=True,
    )
    quarantine = _add_faults(quarantine, _faults(clips, segments, poses, quarantine, params))
    quality = _check_quality(_without_quarantined(clips, quarantine), poses, clips, params, tracked)
    quarantine = _add_faults(quarantine, quality.unusable())
    write_table(quarantine, "quarantine", paths.QUARANTINE / "validate.parquet")
    valid = _without_quarantined(clips, quarantine)
    _require_enough(len(valid), quarantine, params)
    if lost := sorted(set(clips["label"]) - set(valid["label"])):
        raise GateError(
            f"no clip of {', '.join(lost)} can be used; see {paths.QUARANTINE}/validate.parquet for the reasons",
            code="validate.lost-class",
        )
    _require_classes(valid)
    write_table(valid, "clips", paths.VALID / "clips.parquet")
    write_table(segments[segments["clip_id"].isin(valid["clip_id"])], "segments", paths.VALID / "segments.parquet")
    _report(quality, params)
    return {
        "clips": len(valid),
        "quarantined": len(quarantine),
        "reasons": quarantine["reason"].value_counts().to_dict(),
        "kind": kind_of(params.dataset, poses),
        "expectations": quality.checked,
        "expectations_failed": [str(fault) for fault in quality.failed],
    }


def _require_classes(valid: pd.DataFrame) -> None:
    """Refuse clips of which nothing can be learnt any more; the split had classes enough."""
    try:
        for number in splits_of(valid):
            require_classes(valid, f"split{number}")
    except DataError as error:
        reasons = f"some clips are in quarantine, see {paths.QUARANTINE}/validate.parquet for the reasons"
        raise DataError(f"{error}; {reasons}", code=error.code) from error


def kind_of(dataset: str, poses: PoseSet) -> Kind:
    """Which expectations a dataset must meet, by its adapter and by who found its joints."""
    if isinstance(dataset_by_name(dataset), Surveillance):
        return "surveillance"
    extractors = set(poses.index["extractor"])
    if extractors == {"annotated"}:
        return "annotated"
    return "supplied" if Pyskl.extractor in extractors else "extracted"


def _faults(
    clips: pd.DataFrame, segments: pd.DataFrame, poses: PoseSet, quarantine: pd.DataFrame, params: Params
) -> dict[str, str]:
    """Clips that cannot be used, each with the reason, those in quarantine left out."""
    faults = {}
    for clip_id in clips.loc[~clips["clip_id"].isin(quarantine["clip_id"]), "clip_id"]:
        if reason := _fault(poses, clip_id, params):
            faults[clip_id] = reason
    disagreeing = check_agreement(clips, segments, poses.index)
    for clip_id, reason in disagreeing.itertuples(index=False):
        faults[clip_id] = f"{faults[clip_id]}; {reason}" if clip_id in faults else reason
    return faults


def _fault(poses: PoseSet, clip_id: str, params: Params) -> str:
    """Why a clip's poses cannot be used; empty where they can."""
    if clip_id not in poses:
        return "no poses, and no reason for it; run `dvc repro --force pose`"
    limits, joints = params.validation, poses.clip(clip_id).joints
    if joints.shape[0] == 0:
        return "no person found"
    if joints.shape[1] < limits.min_frames:
        return f"{joints.shape[1]} frames, expected at least {limits.min_frames}"
    person = main_person(joints) if len(joints) > 1 else 0
    visible = float(np.mean(joints[person, ..., 2] > 0))
    if visible < limits.min_visible_joints:
        return f"{visible:.0%} of the joints visible, expected at least {limits.min_visible_joints:.0%}"
    return ""


def _add_faults(quarantine: pd.DataFrame, faults: dict[str, str]) -> pd.DataFrame:
    known = set(quarantine["clip_id"])
    rows = [(clip_id, "validate", reason) for clip_id, reason in faults.items() if clip_id not in known]
    return pd.concat([quarantine, pd.DataFrame(rows, columns=list(QUARANTINE_TABLE.columns))], ignore_index=True)


def _without_quarantined(clips: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    return clips[~clips["clip_id"].isin(quarantine["clip_id"])]


def _check_quality(
    clips: pd.DataFrame, poses: PoseSet, every_clip: pd.DataFrame, params: Params, tracked: Run
) -> QualityResult:
    """Great Expectations on the clips that are whole one by one, with Data Docs."""
    if clips.empty:
        raise GateError(
            f"no clip can be used; see {paths.QUARANTINE} for the reasons of each stage", code="validate.nothing-left"
        )
    with progress_bar("Great Expectations", "step") as update:
        table = summarise(clips, poses, split=f"split{splits_of(clips)[0]}")
        labels, kind = sorted(every_clip["label"].unique()), kind_of(params.dataset, poses)
        quality = check_dataset(table, labels=labels, kind=kind, clips=clips)
        update(1, 3)
        write_data_docs(quality, paths.DATA_DOCS)
        update(2, 3)
        tracked.artifact(paths.DATA_DOCS, "data_docs")
        update(3, 3)
    return quality


def _report(quality: QualityResult, params: Params) -> None:
    for fault in quality.failed:
        print(f"expectation not met: {fault}")
    dataset_wide = [fault for fault in quality.failed if not fault.fatal]
    if dataset_wide and params.validation.on_failure == "stop":
        listed = "".join(f"\n  - {fault}" for fault in dataset_wide)
        raise GateError(
            f"the dataset does not meet {len(dataset_wide)} of {quality.checked} expectations, and "
            f"validate.on_failure is stop; see {paths.DATA_DOCS}/index.html:{listed}",
            code="validate.expectations",
        )


def _require_enough(valid: int, quarantine: pd.DataFrame, params: Params) -> None:
    """Every row of the quarantine counts, be it a clip or a row of a list that could not become one."""
    share = len(quarantine) / max(1, valid + len(quarantine))
    if share > params.validation.max_quarantined:
        common = quarantine["reason"].value_counts().head(SHOWN)
        listed = "".join(f"\n  - {count} x {reason}" for reason, count in common.items())
        raise GateError(
            f"{len(quarantine)} of {valid + len(quarantine)} clips and rows ({share:.0%}) are in quarantine, validate."
            f"max_quarantined allows {params.validation.max_quarantined:.0%}; see {paths.QUARANTINE}. Most often:{listed}",
            code="validate.quarantine-share",
        )
