"""Clips and poses of a dataset as the benchmark reads them: prepared once, the same for every run."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.benchmark.people import FOUND, PoseRecipe, extract_people
from pan_core.code_identity import code_hash
from pan_core.datasets import registry
from pan_core.datasets.base import Catalogue, Context, Dataset
from pan_core.datasets.splits import check_counts
from pan_core.errors import DataError
from pan_core.files import read_json, write_json
from pan_core.pose.batch_extraction import Failure
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.segments.motion import find_boundaries
from pan_core.segments.table import cut_clips
from pan_core.skeletons import OPENPOSE18
from pan_core.tables import read_table, splits_of, write_table
from pan_core.training.samples import Samples, build_samples

SHORTEST_ACTION_S = 0.6
"""No part of a composed action is shorter; the default of the pipeline's `relabel.min_segment_s`."""


@dataclass(frozen=True)
class Selection:
    """Which clips of a dataset, and whose skeletons.

    Attributes:
        classes: Names of the classes, sorted; empty for all.
        people: As for `extract_people`; of videos only.
    """

    classes: tuple[str, ...] = ()
    people: str = FOUND

    @property
    def name(self) -> str:
        """Name for files and folders; empty for everything."""
        digest = hashlib.sha256(repr(self.classes).encode()).hexdigest()[:8]
        words = [f"{len(self.classes)}-classes-{digest}"] if self.classes else []
        return "-".join(words + ([self.people] if self.people != FOUND else []))


@dataclass(frozen=True)
class Lacking:
    """What a dataset should have and has not; nothing of it is in the clip table, unless nobody was found in it.

    Attributes:
        missing: Ids of clips that a list names and that are not there.
        unreadable: Clips that cannot be used, with the reason.
        without_people: Clips of the table in which nobody was found, with the reason.
        differences: What differs from the published counts, a sentence each.
    """

    missing: tuple[str, ...]
    unreadable: dict[str, str]
    without_people: dict[str, str]
    differences: tuple[str, ...]


class BenchmarkData:
    """Prepared clips of a dataset.

    Args:
        folder: Where `prepare` put them.

    Attributes:
        folder: That folder.
        clips: Clip table.
        title: Name of the dataset as in the literature.
        data_hash: Hash of clips, splits, segments and poses.
        extractors: Identities of what made the poses.
        lacking: What is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clips = read_table("clips", folder / "clips.parquet")
        self.poses = PoseSet(folder / "poses")
        self.segments = read_table("segments", folder / "segments.parquet")
        about = read_json(folder / "data.json")
        self.title: str = about["title"]
        self.data_hash: str = about["hash"]
        found = self.poses.index
        self.extractors = sorted(set(found["extractor"]))
        seen = set(found.loc[(found["people"] > 0) & (found["frames"] > 0), "clip_id"])
        self._usable = self.clips["clip_id"].isin(seen)
        nobody = {clip_id: about["reasons"].get(clip_id, "") for clip_id in self.clips.loc[~self._usable, "clip_id"]}
        self.lacking = Lacking(tuple(about["missing"]), about["unreadable"], nobody, tuple(about["differences"]))

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


def dataset_of_benchmark(name: str) -> Dataset:
    """A dataset that may have official splits.

    Raises:
        DataError: If it is unknown, or gives videos and is known to have no split.
    """
    dataset = registry.dataset_by_name(name)
    if dataset.has_video and not dataset.facts.splits:
        raise DataError(
            f"{name}: has no official split, so there is nothing to compare with; run the pipeline on it: "
            f"pan run --dataset {name}",
            code="benchmark.no-split",
        )
    return dataset


def prepare(
    name: str, folder: Path, context: Context, *, poses: PoseRecipe | None = None, selection: Selection | None = None
) -> BenchmarkData:
    """Fetch a dataset and lay out its clips and poses, unless that is done.

    Clips in which nobody was found stay in the table: a published protocol scores every test clip.

    Args:
        name: Name in the registry.
        folder: Where the dataset's files of the benchmark go; what is whole in it is kept.
        context: Where the dataset comes from.
        poses: How skeletons are extracted, if the dataset gives videos.
        selection: Which clips, and whose skeletons; all, and the main person's, if left out.

    Raises:
        DataError: If the dataset is unknown, cannot be fetched, gives videos and nothing extracts their skeletons, has no
            official split, or no clip of a class that was chosen.
    """
    dataset, selection = dataset_of_benchmark(name), selection or Selection()
    if dataset.has_video and poses is None:
        raise DataError(f"{name}: gives videos, so a pose network is needed", code="benchmark.videos")
    if not (folder / "raw").is_dir():
        dataset.fetch(folder / "raw", context)
    made_by = code_hash(
        "datasets", "segments", "pose/main_person.py", "skeletons.py", "files.py", "benchmark/prepared_data.py",
        *(["benchmark/people.py"] if dataset.has_video else []),
    )  # fmt: skip
    if dataset.has_video and poses is not None:
        made_by += f"-{poses.identity}"
    place = folder / selection.name
    done = read_json(place / "data.json") if (place / "data.json").is_file() else {}
    if done.get("made_by") != made_by:
        _Layout(dataset, folder / "raw", place, replace(context, progress=None), poses, selection).write(made_by)
    return BenchmarkData(place)


@dataclass(frozen=True)
class _Layout:
    """Tables and poses of a selection, about to be written."""

    dataset: Dataset
    raw: Path
    place: Path
    context: Context
    poses: PoseRecipe | None
    selection: Selection

    def write(self, made_by: str) -> None:
        """Write everything, the hash last: it says that the rest is whole."""
        (self.place / "data.json").unlink(missing_ok=True)
        catalogue = self._select(self.dataset.catalogue(self.raw, self.context))
        clips = catalogue.clips
        failures: list[Failure] = []
        write_table(clips, "clips", self.place / "clips.parquet")
        layout = OPENPOSE18 if self.dataset.has_video else self.dataset.pose_layout(self.raw)
        write_pose_set(self.place / "poses", layout, self._find_people(clips, failures))
        poses = PoseSet(self.place / "poses")
        write_table(_find_actions(self.dataset, self.raw, clips, poses), "segments", self.place / "segments.parquet")
        digest = hashlib.sha256(np.ascontiguousarray(poses.joints).data)
        for table in (clips.drop(columns="path"), read_table("segments", self.place / "segments.parquet")):
            digest.update(table.to_csv(index=False).encode())
        about = {
            "dataset": self.dataset.name,
            "title": self.dataset.facts.title,
            "hash": digest.hexdigest()[:16],
            "missing": list(catalogue.missing),
            "unreadable": dict(zip(catalogue.quarantine["clip_id"], catalogue.quarantine["reason"], strict=True)),
            "reasons": {failure.clip_id: failure.reason for failure in failures},
            "differences": [] if self.selection.classes else check_counts(clips, self.dataset.facts),
        }
        write_json(self.place / "data.json", {**about, "made_by": made_by})

    def _select(self, catalogue: Catalogue) -> Catalogue:
        """The clips of the chosen classes, and of what is left out that which may be theirs."""
        if not splits_of(catalogue.clips):
            raise DataError(
                f"{self.dataset.name}: has no official split, so there is nothing to compare with",
                code="benchmark.no-split",
            )
        if not (wanted := self.selection.classes):
            return catalogue
        clips = catalogue.clips[catalogue.clips["label"].isin(wanted)].reset_index(drop=True)
        if empty := sorted(set(wanted) - set(clips["label"])):
            raise DataError(
                f"{self.dataset.name}: no clip of {', '.join(empty)} is at hand; put their videos into the mirror folder, remove "
                f"{self.raw} and run again, or choose other classes",
                code="benchmark.empty-class",
            )

        def may_be_theirs(clip_id: str) -> bool:
            return self.dataset.class_of(clip_id) in ("", *wanted)

        left_out = catalogue.quarantine[catalogue.quarantine["clip_id"].map(may_be_theirs).astype(bool)]
        return replace(
            catalogue, clips=clips, quarantine=left_out, missing=tuple(filter(may_be_theirs, catalogue.missing))
        )

    def _find_people(self, clips: pd.DataFrame, failures: list[Failure]) -> Iterator[ClipPoses]:
        if not self.dataset.has_video or self.poses is None:
            return self.dataset.poses(self.raw, clips)
        people = self.selection.people
        boxes = self.dataset.boxes(self.raw) if people != FOUND else None
        if people != FOUND and boxes is None:
            raise DataError(
                f"{self.dataset.name}: has no annotated boxes at hand, which show how much a wrong person costs; see docs/datasets.md",
                code="boxes.missing",
            )
        return extract_people(clips, self.raw, self.poses, self.context, failures, people=people, boxes=boxes)


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
