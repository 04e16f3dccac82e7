"""Stage relabel: which atomic action holds in which frames of each clip."""

import numpy as np
import pandas as pd

from pan_core import segments
from pan_core.config import Params
from pan_core.datasets import dataset_by_name
from pan_core.datasets.base import Dataset
from pan_core.datasets.taxonomy import whole
from pan_core.pose.store import PoseSet
from pan_core.progress import progress_bar
from pan_core.stages import paths
from pan_core.tables import read_table, write_table
from pan_core.tracking import Run


def run(params: Params, tracked: Run) -> dict:
    """Write the segment table; where the truth is known, measure it beside the equal split."""
    dataset = dataset_by_name(params.dataset)
    clips = read_table("clips", paths.CLIPS)
    poses = PoseSet(paths.POSES)
    clips = clips[[clip_id in poses for clip_id in clips["clip_id"]]]
    given = dataset.segments(paths.RAW, clips) if params.relabel.enabled else None
    table = given if given is not None else _relabel(dataset, clips, poses, params)
    write_table(table, "segments", paths.SEGMENTS)
    return {
        "segments": len(table),
        "actions": int(table["label"].nunique()),
        "source": "given" if given is not None else "change points" if params.relabel.enabled else "whole clips",
    } | _accuracy(dataset, clips, table)


def _relabel(dataset: Dataset, clips: pd.DataFrame, poses: PoseSet, params: Params) -> pd.DataFrame:
    rows = []
    with progress_bar("find segments", "clip") as update:
        for done, clip in enumerate(clips.itertuples(index=False), start=1):
            composition = dataset.parts(clip.label) if params.relabel.enabled else whole(clip.label)
            boundaries = segments.find_boundaries(
                poses.clip(clip.clip_id),
                poses.layout,
                composition,
                clip.n_frames,
                min_segment_s=params.relabel.min_segment_s,
            )
            rows += segments.segment_rows(clip.clip_id, clip.label, composition, clip.n_frames, boundaries)
            update(done, len(clips))
    return pd.DataFrame(rows)


def _accuracy(dataset: Dataset, clips: pd.DataFrame, found: pd.DataFrame) -> dict:
    truth = dataset.truth(paths.RAW)
    sequences = clips[[len(dataset.parts(x).parts) > 1 and dataset.parts(x).kind == "sequence" for x in clips["label"]]]
    if truth is None or sequences.empty or found["label"].nunique() == clips["label"].nunique():
        return {}
    lengths = dict(zip(sequences["clip_id"], sequences["n_frames"], strict=True))
    naive = pd.DataFrame(
        [
            row
            for clip in sequences.itertuples(index=False)
            for row in segments.segment_rows(
                clip.clip_id,
                clip.label,
                dataset.parts(clip.label),
                clip.n_frames,
                segments.equal_split(clip.n_frames, len(dataset.parts(clip.label).parts)),
            )
        ]
    )
    fps = float(sequences["fps"].median())
    true = truth.segments[truth.segments["clip_id"].isin(lengths)]
    errors, naive_errors = (segments.boundary_errors(table, true) for table in (found, naive))
    return {
        "sequence_clips": len(sequences),
        "frame_accuracy": segments.frame_accuracy(found, true, lengths),
        "frame_accuracy_equal_split": segments.frame_accuracy(naive, true, lengths),
        "boundary_error_s": float(np.abs(errors).mean() / fps),
        "boundary_error_s_equal_split": float(np.abs(naive_errors).mean() / fps),
        "boundary_errors_frames": errors.tolist(),
        "boundary_errors_frames_equal_split": naive_errors.tolist(),
    }
