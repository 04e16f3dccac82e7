"""What lies on disk of a dataset, and whether it is what was published."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.datasets import REGISTRY, dataset_by_name
from pan_core.datasets.base import Catalogue, Context, Dataset, Progress
from pan_core.datasets.splits import SHARED, check_counts, leakage
from pan_core.errors import VideoError
from pan_core.tables import check_table, splits_of

SHOWN = 5


@dataclass(frozen=True)
class Listed:
    """A dataset as `pan data list` shows it.

    Attributes:
        name: Name in the registry and in params.yaml.
        title: Name in the literature.
        classes: Number of classes as published; None where the user's files decide.
        clips: Number of clips likewise.
        gives: "video" or "poses".
        found: Files of it that are at hand.
        how: How to get it.
    """

    name: str
    title: str
    classes: int | None
    clips: int | None
    gives: str
    found: tuple[str, ...]
    how: str


@dataclass(frozen=True)
class Inspection:
    """What is on disk of a dataset.

    Attributes:
        figures: What was counted, in words, in the order of reading.
        findings: What is not as it should be; empty where all is well.
    """

    figures: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]


def list_datasets(context: Context) -> list[Listed]:
    """Every dataset of the registry with what is at hand of it."""
    rows = []
    for name in REGISTRY:
        dataset = dataset_by_name(name)
        facts = dataset.facts
        gives = "video" if dataset.has_video else "poses"
        found = tuple(_at_hand(dataset, context))
        rows.append(Listed(name, facts.title, facts.classes, facts.clips, gives, found, facts.how))
    return rows


def _at_hand(dataset: Dataset, context: Context) -> list[str]:
    """Names of a dataset's files in the mirror and among the downloads."""
    folders = [context.mirror / dataset.name if context.mirror else None, context.cache / "downloads" / dataset.name]
    names = [name for file in dataset.files for name in (file.name, *file.instead)]
    found = [name for name in names for folder in folders if folder and (folder / name).exists()]
    return list(dict.fromkeys(found))


def inspect(dataset: Dataset, folder: Path, context: Context, *, decode: int = 50, seed: int = 0) -> Inspection:
    """Fetch a dataset into a folder, read all of its tables, and compare them with what was published.

    Args:
        dataset: The adapter.
        folder: Where its files go; what was there before is removed.
        context: Where they come from.
        decode: Videos that are decoded to their last frame, drawn by `seed`; the others are only opened.
        seed: Seed of the draw.

    Raises:
        DataError: Where the files cannot be had or are not the dataset's.
    """
    shutil.rmtree(folder, ignore_errors=True)
    dataset.fetch(folder, context)
    catalogue = dataset.catalogue(folder, context)
    clips = check_table(catalogue.clips, "clips", dataset.name)
    figures = _counted(dataset, catalogue)
    findings = check_counts(clips, dataset.facts) + _left_out(catalogue)
    for number in splits_of(clips):
        leaks = leakage(clips, f"split{number}")
        counts = clips[f"split{number}"].value_counts()
        parts = ", ".join(f"{part} {counts[part]:,}" for part in ("train", "test", "unused") if part in counts)
        figures.append((f"split {number}", f"{parts}; test clips shared with training: {_shared(leaks)}"))
    seen, faults = (
        _decoded(folder, clips, decode, seed, context.progress)
        if dataset.has_video
        else _posed(dataset, folder, clips, context.progress)
    )
    return Inspection(tuple(figures + seen), tuple(findings + faults))


def _counted(dataset: Dataset, catalogue: Catalogue) -> list[tuple[str, str]]:
    clips = catalogue.clips
    composed = [label for label in sorted(clips["label"].unique()) if len(dataset.parts(label).parts) > 1]
    seconds = float((clips["n_frames"] / clips["fps"]).sum())
    return [
        ("dataset", dataset.facts.title),
        ("clips", f"{len(clips):,} of {clips['label'].nunique()} classes, {seconds / 60:.1f} minutes"),
        ("groups", f"{clips['group'].nunique():,}"),
        ("left out", f"{len(catalogue.quarantine):,}"),
        ("listed, not on disk", f"{len(catalogue.missing):,}"),
        ("composed classes", f"{len(composed)}" + (f" ({_some(composed)})" if composed else "")),
    ]


def _shared(leaks: Mapping[str, int]) -> str:
    """Leakage in words."""
    named = [
        f"{leaks[key]:,} by {key}" + (f" ({leaks[f'{key}_same_class']:,} of the same class)" if leaks[key] else "")
        for key in SHARED
        if key in leaks
    ]
    return ", ".join(named) or "cannot be told, clips have no group"


def _left_out(catalogue: Catalogue) -> list[str]:
    found = [f"{row.clip_id}: {row.reason}" for row in catalogue.quarantine.itertuples(index=False)]
    if catalogue.missing:
        found.append(f"{len(catalogue.missing):,} listed clips are not on disk: {_some(catalogue.missing)}")
    return found


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def _decoded(
    folder: Path, clips: pd.DataFrame, decode: int, seed: int, progress: Progress | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Decode some videos to their end."""
    from pan_core.video import read_frames

    videos = clips["path"].drop_duplicates().to_numpy()
    drawn = np.random.default_rng(seed).permutation(videos)[:decode]
    faults, frames = [], 0
    for done, name in enumerate(drawn, start=1):
        try:
            frames += sum(1 for _ in read_frames(folder / name))
        except VideoError as error:
            faults.append(str(error))
        if progress:
            progress(done, len(drawn))
    figure = f"{len(drawn):,} of {len(videos):,} decoded to the end, {frames:,} frames, {len(faults)} with a fault"
    return [("videos", figure)], faults


def _posed(
    dataset: Dataset, folder: Path, clips: pd.DataFrame, progress: Progress | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Read the poses of every clip."""
    seen = joints = frames = people = 0
    empty = []
    for done, poses in enumerate(dataset.poses(folder, clips), start=1):
        found = poses.joints[..., 2] > 0
        seen, joints = seen + int(found.sum()), joints + found.size
        frames, people = frames + poses.joints.shape[1], max(people, len(poses.joints))
        if not found.any():
            empty.append(poses.clip_id)
        if progress:
            progress(done, len(clips))
    figure = f"{frames:,} frames, {seen / max(joints, 1):.1%} of the joints, up to {people} people ({dataset.pose_layout(folder).name})"
    return [("poses", figure)], [f"{len(empty)} clips without any joint: {_some(empty)}"] if empty else []
