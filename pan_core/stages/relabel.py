"""Stage relabel: which atomic action holds in which frames of each clip."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from pan_core.datasets.base import Dataset
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.taxonomy import Composition, whole
from pan_core.files import cache_folder
from pan_core.params.load import Params
from pan_core.pose.pose_set import PoseSet
from pan_core.progress import progress_bar
from pan_core.segments.motion import equal_split, find_boundaries
from pan_core.segments.refinement import Boundaries, RefinementSettings, Refiner, is_sequence, learning_pools
from pan_core.segments.table import BOUNDARY_METHODS, boundary_errors, cut_clips, frame_accuracy
from pan_core.tables import read_table, write_table
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths
from pan_core.workspace.context import workers
from pan_core.workspace.result_keys import BoundaryKeys

Compositions = Mapping[str, Composition]


def run(params: Params, tracked: Run) -> dict:
    """Write the segment table; where the truth is known, measure it beside change points alone and equal parts."""
    dataset = dataset_by_name(params.dataset)
    clips, poses = read_table("clips", paths.CLIPS), PoseSet(paths.POSES)
    clips = clips[[clip_id in poses for clip_id in clips["clip_id"]]]
    given = dataset.segments(paths.RAW, clips) if params.relabel.enabled else None
    if given is not None:
        return _write_segments(given, "given")
    labels = clips["label"].unique()
    made = {label: dataset.parts(label) if params.relabel.enabled else whole(label) for label in labels}
    sequences = clips[[is_sequence(made[label]) for label in clips["label"]]]
    if sequences.empty:
        return _write_segments(cut_clips(clips, made, {}), "given classes" if params.relabel.enabled else "whole clips")
    found = _boundaries(clips, sequences, poses, made, params)
    figures = _write_segments(cut_clips(clips, made, found["refined"]), "change points, then forced alignment")
    return figures | {"sequence_clips": len(sequences)} | _accuracy(dataset, sequences, made, found)


def _write_segments(table: pd.DataFrame, source: str) -> dict:
    write_table(table, "segments", paths.SEGMENTS)
    return {"segments": len(table), "actions": int(table["label"].nunique()), "source": source}


def _boundaries(
    clips: pd.DataFrame, sequences: pd.DataFrame, poses: PoseSet, made: Compositions, params: Params
) -> dict[str, Boundaries]:
    """Boundaries of every clip of a sequence, in each of `BOUNDARY_METHODS`."""
    equal, changes = {}, {}
    with progress_bar("find change points", "clip") as update:
        for done, clip in enumerate(sequences.itertuples(index=False), start=1):
            equal[clip.clip_id] = equal_split(clip.n_frames, len(made[clip.label].parts))
            changes[clip.clip_id] = find_boundaries(
                poses.clip(clip.clip_id),
                poses.layout,
                made[clip.label],
                clip.n_frames,
                min_segment_s=params.relabel.min_segment_s,
            )
            update(done, len(sequences))
    torch.set_num_threads(params.train.threads)
    people = poses.index.loc[clips["clip_id"], ["people", "frames"]].min(axis=1).to_numpy()
    with progress_bar("align segments", "epoch") as update:
        refiner = Refiner(
            clips[people > 0],
            poses,
            made,
            settings=RefinementSettings(min_segment_s=params.relabel.min_segment_s, seed=params.seed),
            folder=cache_folder() / "checkpoints" / params.dataset / "relabel",
            progress=update,
            workers=workers(params),
            threads=params.train.threads,
        )
        refined = refiner.refine(changes, learning_pools(clips, params.split.splits))
    return {"refined": refined, "change points": changes, "equal parts": equal}


def _accuracy(
    dataset: Dataset, sequences: pd.DataFrame, made: Compositions, found: Mapping[str, Boundaries]
) -> dict[str, object]:
    """Frame accuracy and boundary errors of each method, over all clips of a sequence; empty if the truth is unknown."""
    truth = dataset.truth(paths.RAW)
    if truth is None:
        return {}
    lengths = dict(zip(sequences["clip_id"], sequences["n_frames"], strict=True))
    true = truth.segments[truth.segments["clip_id"].isin(lengths)]
    fps = float(sequences["fps"].median())
    figures: dict[str, object] = {}
    for method in BOUNDARY_METHODS:
        table, keys = cut_clips(sequences, made, found[method]), BoundaryKeys(method)
        errors = boundary_errors(table, true)
        figures[keys.frame_accuracy] = frame_accuracy(table, true, lengths)
        figures[keys.error_s] = float(np.abs(errors).mean() / fps)
        figures[keys.errors_frames] = errors.tolist()
    return figures
