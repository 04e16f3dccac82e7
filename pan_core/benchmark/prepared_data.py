"""Clips and poses of a dataset as the benchmark reads them: prepared once, the same for every run."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.code_identity import code_hash
from pan_core.datasets import registry
from pan_core.datasets.base import Context, Dataset
from pan_core.errors import DataError
from pan_core.files import read_json, write_json
from pan_core.pose.pose_set import PoseSet, write_pose_set
from pan_core.segments.motion import find_boundaries
from pan_core.segments.table import cut_clips
from pan_core.tables import read_table, splits_of, write_table
from pan_core.training.samples import Samples, build_samples

SHORTEST_ACTION_S = 0.6
"""No part of a composed action is shorter; the default of the pipeline's `relabel.min_segment_s`."""


class BenchmarkData:
    """Prepared clips of a dataset.

    Args:
        folder: Where `prepare` put them.

    Attributes:
        clips: Clip table.
        title: Name of the dataset as in the literature.
        data_hash: Hash of clips, splits, segments and poses.
    """

    def __init__(self, folder: Path) -> None:
        self.clips = read_table("clips", folder / "clips.parquet")
        self.poses = PoseSet(folder / "poses")
        self.segments = read_table("segments", folder / "segments.parquet")
        about = read_json(folder / "data.json")
        self.title: str = about["title"]
        self.data_hash: str = about["hash"]
        found = self.poses.index
        seen = set(found.loc[(found["people"] > 0) & (found["frames"] > 0), "clip_id"])
        self._usable = self.clips["clip_id"].isin(seen)

    @property
    def splits(self) -> list[int]:
        """Numbers of the official splits."""
        return splits_of(self.clips)

    @property
    def classes(self) -> list[str]:
        """Clip classes, sorted; their order is the order of the logits."""
        return sorted(self.clips["label"].unique())

    @property
    def may_leak(self) -> bool:
        """A split that ignores groups can leak: a group has several clips, or the groups are not known.

        Nobody has published those of Penn Action, but neighbours in its order often come from one film.
        """
        return bool((self.clips["group"] == "").any()) or self.clips["group"].nunique() < len(self.clips)

    def parts(self, split: int, *, shuffled: int | None = None) -> pd.Series:
        """Part of each clip in a split: train, test or unused.

        Args:
            split: Number of the official split.
            shuffled: Seed of a random split in which each class keeps the sizes of its parts, and groups are ignored:
                the broken protocol whose optimism the leakage control measures. None for the official split.
        """
        official = self.clips[f"split{split}"]
        if shuffled is None:
            return official
        rng, parts = np.random.default_rng([shuffled, split]), official.copy()
        used = official[official.isin(["train", "test"])]
        for _, members in used.groupby(self.clips["label"]):
            parts[members.index] = rng.permutation(members.to_numpy())
        return parts

    def samples(self, parts: pd.Series, part: str, *, mode: str, frames: int, rate: float) -> Samples:
        """Samples of the clips of one part of a split in which somebody was found.

        Args:
            parts: Part of each clip.
            part: "train" or "test".
            mode: "clip" or "online".
            frames: Frames of a clip in clip mode.
            rate: Frames a second in online mode.
        """
        return build_samples(
            self.clips[(parts == part) & self._usable],
            self.poses,
            self.segments,
            classes=self.classes,
            actions=sorted(self.segments["label"].unique()),
            mode=mode,
            frames=frames,
            rate=rate,
        )


def posed_dataset(name: str) -> Dataset:
    """A dataset of poses.

    Raises:
        DataError: If it is unknown or gives videos only.
    """
    dataset = registry.dataset_by_name(name)
    if dataset.has_video:
        known = [other for other in registry.REGISTRY if other.startswith(f"{name}_")]
        raise DataError(
            f"{name}: gives videos, and the benchmark compares recognizers on poses that everybody has; "
            f"{f'use {known[0]}, or ' if known else ''}run the pipeline on it: pan run --dataset {name}",
            code="benchmark.videos",
        )
    return dataset


def prepare(name: str, folder: Path, context: Context) -> BenchmarkData:
    """Fetch a dataset and lay out its clips and poses, unless that is done.

    Clips in which nobody was found stay in the table: a published protocol scores every test clip.

    Args:
        name: Name in the registry.
        folder: Where the dataset's files of the benchmark go; what is whole in it is kept.
        context: Where the dataset comes from.

    Raises:
        DataError: If the dataset is unknown, cannot be fetched, gives videos only or has no official split.
    """
    dataset = posed_dataset(name)
    if not (folder / "raw").is_dir():
        dataset.fetch(folder / "raw", context)
    made_by = code_hash(
        "datasets", "segments", "pose/main_person.py", "skeletons.py", "files.py", "benchmark/prepared_data.py"
    )
    done = read_json(folder / "data.json") if (folder / "data.json").is_file() else {}
    if done.get("made_by") != made_by:
        _lay_out(dataset, folder, replace(context, progress=None), made_by)
    return BenchmarkData(folder)


def _lay_out(dataset: Dataset, folder: Path, context: Context, made_by: str) -> None:
    """Tables and poses, with their hash last: it says that they are whole."""
    (folder / "data.json").unlink(missing_ok=True)
    clips = dataset.catalogue(folder / "raw", context).clips
    if not splits_of(clips):
        raise DataError(
            f"{dataset.name}: has no official split, so there is nothing to compare with", code="benchmark.no-split"
        )
    write_table(clips, "clips", folder / "clips.parquet")
    write_pose_set(folder / "poses", dataset.pose_layout(folder / "raw"), dataset.poses(folder / "raw", clips))
    poses = PoseSet(folder / "poses")
    write_table(_find_actions(dataset, folder / "raw", clips, poses), "segments", folder / "segments.parquet")
    digest = hashlib.sha256(np.ascontiguousarray(poses.joints).data)
    for table in (clips.drop(columns="path"), read_table("segments", folder / "segments.parquet")):
        digest.update(table.to_csv(index=False).encode())
    about = {"dataset": dataset.name, "title": dataset.facts.title, "hash": digest.hexdigest()[:16]}
    write_json(folder / "data.json", {**about, "made_by": made_by})


def _find_actions(dataset: Dataset, raw: Path, clips: pd.DataFrame, poses: PoseSet) -> pd.DataFrame:
    """Which atomic action holds when: segments of the dataset, else change points inside each clip alone."""
    given = dataset.segments(raw, clips)
    if given is not None:
        return given
    found = clips[clips["clip_id"].isin(poses.index["clip_id"])]
    made = {label: dataset.parts(label) for label in found["label"].unique()}
    boundaries = {
        clip.clip_id: find_boundaries(
            poses.clip(clip.clip_id), poses.layout, made[clip.label], clip.n_frames, min_segment_s=SHORTEST_ACTION_S
        )
        for clip in found.itertuples(index=False)
    }
    return cut_clips(found, made, boundaries)
