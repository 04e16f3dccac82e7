"""How well boundaries of sequences are found: equal parts, change points of the motion, forced alignment.

    PAN_TEST_DATA=<real data> python benchmarks/relabelling.py [--workspace .] [--json out.json]

Two sets of clips whose true boundaries are known and hidden: the composed clips of the embedded dataset, from a
workspace in which `pan run --dataset actors` has finished, and, where PAN_TEST_DATA is set, the videos of GMDCSA24
through the real extractor. Of a GMDCSA24 video the sequence is made of its labelled spans in their order; a span that
lies within another one holds at the same time and is left out. Only labelled frames count; the true boundary is the
middle between the end of one span and the start of the next. Networks never learn from the group (actor, subject) that
they are asked about.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pan_core.datasets.manifests import read_any
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.taxonomy import Composition
from pan_core.pose.batch_extraction import extract_clips
from pan_core.pose.clip_slices import slice_clip
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import ClipPoses, PoseSet
from pan_core.pose.tracks import VideoPoses
from pan_core.segments.motion import equal_split, find_boundaries
from pan_core.segments.refinement import Pool, RefinementSettings, Refiner, is_sequence, learning_pools
from pan_core.skeletons import OPENPOSE18
from pan_core.tables import read_table
from pan_core.training.samples import Poses
from pan_core.video import probe


@dataclass(frozen=True)
class Case:
    """Clips with known boundaries.

    `spans` holds, for every clip of a sequence, the true (start, end) of each part in frames; frames between parts
    have no label.
    """

    name: str
    clips: pd.DataFrame
    poses: Poses
    made: dict[str, Composition]
    spans: dict[str, list[tuple[int, int]]]
    pools: list[Pool]


class MemoryPoses:
    """Extracted poses by clip."""

    layout = OPENPOSE18

    def __init__(self, clips: dict[str, ClipPoses]) -> None:
        self._clips = clips

    def clip(self, clip_id: str) -> ClipPoses:
        return self._clips[clip_id]


def actors(workspace: Path) -> Case:
    dataset = dataset_by_name("actors")
    clips, poses = read_table("clips", workspace / "data/clips.parquet"), PoseSet(workspace / "data/poses")
    clips = clips[[clip_id in poses for clip_id in clips["clip_id"]]]
    truth = dataset.truth(workspace / "data/raw")
    assert truth is not None
    made = {label: dataset.parts(label) for label in clips["label"].unique()}
    sequences = set(clips.loc[[is_sequence(made[label]) for label in clips["label"]], "clip_id"])
    true = truth.segments[truth.segments["clip_id"].isin(sequences)].sort_values("start_frame")
    spans = {key: list(zip(own["start_frame"], own["end_frame"], strict=True)) for key, own in true.groupby("clip_id")}
    return Case("actors", clips, poses, made, spans, learning_pools(clips, [1]))


def gmdcsa24(folder: Path, model: Path, cache: Path) -> Case:
    rows = read_any(folder).rows
    rows = rows[[(folder / video).is_file() for video in rows["video"]]]
    found = list(
        extract_clips(
            {video: folder / video for video in rows["video"].unique()},
            model_path=model,
            settings=ExtractionSettings(),
            cache=cache,
            workers=1,
        )
    )
    poses = {
        video.video_id: slice_clip(video, video.video_id, start_s=0.0, end_s=video.tracks.frames / video.fps)
        for video in found
        if isinstance(video, VideoPoses)
    }
    poses = {name: clip for name, clip in poses.items() if len(clip.joints)}
    clips, made, spans = [], {}, {}
    for video, own in rows[rows["video"].isin(poses)].groupby("video"):
        info = probe(folder / video)
        parts = sequence_of(own)
        label = ", then ".join(part for _, _, part in parts)
        made[label] = Composition("sequence", tuple(part for _, _, part in parts))
        clips.append({"clip_id": video, "label": label, "group": own["subject"].iloc[0], "fps": info.fps,
                      "n_frames": info.n_frames})  # fmt: skip
        if len(parts) > 1:
            spans[video] = [(round(a * info.fps), min(info.n_frames, round(b * info.fps))) for a, b, _ in parts]
    everything = frozenset(poses)
    return Case("gmdcsa24", pd.DataFrame(clips), MemoryPoses(poses), made, spans, [Pool(everything, everything)])


def sequence_of(rows: pd.DataFrame) -> list[tuple[float, float, str]]:
    """Labelled spans one after the other; one that begins before the last has ended holds at the same time."""
    kept: list[tuple[float, float, str]] = []
    for start, end, label in rows.sort_values(["start_s", "end_s"], ascending=[True, False])[
        ["start_s", "end_s", "label"]
    ].itertuples(index=False):
        if not kept or start >= kept[-1][1] - 0.25:
            kept.append((start, end, label))
    return kept


def measure(case: Case, settings: RefinementSettings) -> dict[str, dict[str, float]]:
    clips = case.clips[case.clips["clip_id"].isin(case.spans)]
    equal = {c.clip_id: equal_split(c.n_frames, len(case.spans[c.clip_id])) for c in clips.itertuples()}
    started = time.perf_counter()
    changes = {
        c.clip_id: find_boundaries(
            case.poses.clip(c.clip_id),
            case.poses.layout,
            case.made[c.label],
            c.n_frames,
            min_segment_s=settings.min_segment_s,
        )
        for c in clips.itertuples()
    }
    changes_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        refiner = Refiner(case.clips, case.poses, case.made, settings=settings, folder=Path(folder))
        refined = refiner.refine(changes, case.pools)
    ways = {"equal parts": (equal, 0.0), "change points": (changes, changes_s)}
    ways["forced alignment"] = refined, time.perf_counter() - started
    return {way: scores(clips, case.spans, found) | {"seconds": round(took, 1)} for way, (found, took) in ways.items()}


def scores(clips: pd.DataFrame, spans: dict, found: dict) -> dict[str, float]:
    right = counted = 0
    errors: list[float] = []
    for clip in clips.itertuples():
        true = np.full(clip.n_frames, -1)
        for part, (start, end) in enumerate(spans[clip.clip_id]):
            true[start:end] = part
        said = np.searchsorted(found[clip.clip_id], np.arange(clip.n_frames), side="right")
        right += int((said == true)[true >= 0].sum())
        counted += int((true >= 0).sum())
        borders = [(one[1] + other[0]) / 2 for one, other in pairwise(spans[clip.clip_id])]
        errors += [abs(a - b) / clip.fps for a, b in zip(found[clip.clip_id], borders, strict=True)]
    return {
        "clips": len(clips),
        "boundaries": len(errors),
        "frame_accuracy": right / counted,
        "boundary_error_s": float(np.mean(errors)),
        "boundary_error_median_s": float(np.median(errors)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(), help="folder of a finished run on actors")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = [actors(given.workspace)]
    if data := os.environ.get("PAN_TEST_DATA"):
        model, cache = given.workspace / "models/pose/pose.onnx", given.workspace / ".cache/poses"
        cases.append(gmdcsa24(Path(data) / "gmdcsa24", model, cache))
    results = {case.name: measure(case, RefinementSettings()) for case in cases}
    print(
        "| clips | boundaries from | frames right | boundary error, mean | median | time |\n| --- " + "| --- " * 5 + "|"
    )
    for name, ways in results.items():
        for way, row in ways.items():
            print(
                f"| {name}, {row['clips']} clips, {row['boundaries']} boundaries | {way} "
                f"| {100 * row['frame_accuracy']:.1f} % | {row['boundary_error_s']:.2f} s "
                f"| {row['boundary_error_median_s']:.2f} s | {row['seconds']:.0f} s |"
            )
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
