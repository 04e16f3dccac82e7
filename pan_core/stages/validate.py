"""Stage validate: clips that keep their contract go on, the rest to quarantine; Great Expectations on the whole."""

import numpy as np
import pandas as pd

from pan_core.config import Params
from pan_core.errors import GateError
from pan_core.pose.store import PoseSet
from pan_core.progress import progress_bar
from pan_core.quality import check_dataset, summarise
from pan_core.stages import paths
from pan_core.tables import QUARANTINE_TABLE, read_table, splits_of, write_table
from pan_core.tracking import Run
from pan_core.training.samples import main_person


def run(params: Params, tracked: Run) -> dict:
    """Write the valid clips and segments, the quarantine table and Data Docs.

    Raises:
        GateError: Where more than the share in params.yaml is in quarantine, or a class is left without clips.
    """
    clips, poses = read_table("clips", paths.CLIPS), PoseSet(paths.POSES)
    segments = read_table("segments", paths.SEGMENTS)
    earlier = pd.concat(
        [read_table("quarantine", paths.QUARANTINE / f"{stage}.parquet") for stage in ("split", "pose")]
    )
    reasons = {clip_id: _fault(poses, clip_id, params) for clip_id in clips["clip_id"] if clip_id in poses}
    failed = [{"clip_id": key, "stage": "validate", "reason": reason} for key, reason in reasons.items() if reason]
    quarantine = pd.concat([earlier, pd.DataFrame(failed, columns=list(QUARANTINE_TABLE.columns))], ignore_index=True)
    write_table(quarantine, "quarantine", paths.QUARANTINE / "validate.parquet")
    valid = clips[~clips["clip_id"].isin(quarantine["clip_id"]) & clips["clip_id"].isin(list(reasons))]
    _require_enough(len(valid), quarantine, params)
    if lost := sorted(set(clips["label"]) - set(valid["label"])):
        raise GateError(
            f"no clip of {', '.join(lost)} can be used; see {paths.QUARANTINE}/validate.parquet for the reasons"
        )
    write_table(valid, "clips", paths.VALID / "clips.parquet")
    write_table(segments[segments["clip_id"].isin(valid["clip_id"])], "segments", paths.VALID / "segments.parquet")
    split = f"split{splits_of(valid)[0]}"
    with progress_bar("Great Expectations", "step") as update:
        quality = check_dataset(summarise(valid, poses, split=split), labels=sorted(clips["label"].unique()))
        update(1, 3)
        quality.write_data_docs(paths.DATA_DOCS)
        update(2, 3)
        tracked.artifact(paths.DATA_DOCS, "data_docs")
        update(3, 3)
    for fault in quality.failed:
        print(f"expectation not met: {fault}")
    return {
        "clips": len(valid),
        "quarantined": len(quarantine),
        "reasons": quarantine["reason"].value_counts().to_dict(),
        "expectations": quality.checked,
        "expectations_failed": [str(fault) for fault in quality.failed],
    }


def _fault(poses: PoseSet, clip_id: str, params: Params) -> str:
    """Why a clip's poses cannot be used; empty where they can."""
    limits, joints = params.validation, poses.clip(clip_id).joints
    if joints.shape[0] == 0:
        return "no person found"
    if joints.shape[1] < limits.min_frames:
        return f"{joints.shape[1]} frames, expected at least {limits.min_frames}"
    visible = float(np.mean(joints[main_person(joints), ..., 2] > 0))
    if visible < limits.min_visible_joints:
        return f"{visible:.0%} of the joints visible, expected at least {limits.min_visible_joints:.0%}"
    return ""


def _require_enough(valid: int, quarantine: pd.DataFrame, params: Params) -> None:
    share = len(quarantine) / max(1, valid + len(quarantine))
    if share > params.validation.max_quarantined:
        common = quarantine["reason"].value_counts().head(3)
        listed = "".join(f"\n  - {count} x {reason}" for reason, count in common.items())
        raise GateError(
            f"{len(quarantine)} of {valid + len(quarantine)} clips ({share:.0%}) are in quarantine, validate."
            f"max_quarantined allows {params.validation.max_quarantined:.0%}; see {paths.QUARANTINE}. Most often:{listed}"
        )
