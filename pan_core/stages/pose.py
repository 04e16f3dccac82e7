"""Stage pose: 2D skeletons of every clip, from the dataset's own annotation or from its videos."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from pan_core.datasets.base import Dataset
from pan_core.datasets.registry import dataset_by_name
from pan_core.files import cache_folder
from pan_core.params.load import Params
from pan_core.pose.accuracy import accuracy_of
from pan_core.pose.batch_extraction import Failure, clip_of, extract_clips
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.pose.provenance import require_pinned
from pan_core.progress import progress_bar
from pan_core.skeletons import OPENPOSE18
from pan_core.tables import quarantine_table, read_table, write_table
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths
from pan_core.workspace.context import workers


def run(params: Params, tracked: Run) -> dict:
    """Write the pose set; where the true joints are known, measure PCK@0.1 on all clips."""
    dataset = dataset_by_name(params.dataset)
    clips = read_table("clips", paths.CLIPS)
    failures: list[Failure] = []
    if dataset.has_video:
        layout, source = OPENPOSE18, extract_poses(params, clips, failures)
    else:
        layout, source = dataset.pose_layout(paths.RAW), dataset.poses(paths.RAW, clips)
    write_pose_set(paths.POSES, layout, source)
    rows = [{"clip_id": failure.clip_id, "stage": "pose", "reason": failure.reason} for failure in failures]
    write_table(quarantine_table(rows), "quarantine", paths.QUARANTINE / "pose.parquet")
    poses = PoseSet(paths.POSES)
    return {
        "clips": len(poses),
        "frames": int(poses.index["frames"].sum()),
        "without_poses": len(failures),
        "layout": layout.name,
        "joints_found": float((poses.joints[..., 2] > 0).mean()),
        "extractor": "annotated joints" if not dataset.has_video else ", ".join(sorted(set(poses.index["extractor"]))),
    } | _accuracy(dataset, poses)


def extract_poses(params: Params, clips: pd.DataFrame, failures: list[Failure]) -> Iterator[ClipPoses]:
    """Poses of every clip; a video is extracted once, however many clips are parts of it."""
    network = network_file(params.pose.network, quality=params.pose.quality)
    require_pinned(network)
    parts: dict[str, list[Any]] = {}
    for clip in clips.itertuples(index=False):
        parts.setdefault(clip.path, []).append(clip)
    with progress_bar("extract poses", "video") as update:
        results = extract_clips(
            {path: paths.RAW / path for path in parts},
            model_path=network,
            settings=ExtractionSettings(**params.pose.extraction()),
            cache=cache_folder() / "poses",
            workers=workers(params),
            device=params.pose.device,
            progress=update,
        )
    for path, result in zip(parts, results, strict=True):
        for clip in parts[path]:
            poses = clip_of(result, clip)
            if isinstance(poses, Failure):
                failures.append(poses)
            else:
                yield poses


def _accuracy(dataset: Dataset, poses: PoseSet) -> dict:
    truth = dataset.truth(paths.RAW)
    if truth is None:
        return {"pck": None}
    found = accuracy_of(poses, truth.poses, truth.poses.index["clip_id"])
    return {"pck": found.pop("pck_0_1"), **found}
