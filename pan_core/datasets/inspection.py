"""What lies on disk of a dataset, and whether it is what was published."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.datasets.base import Catalogue, Context, Dataset, Progress, RemoteFile
from pan_core.datasets.faults import Fault
from pan_core.datasets.registry import REGISTRY, dataset_by_name
from pan_core.datasets.splits import SHARED, check_counts, group_splits, leakage
from pan_core.datasets.transfer import announced_size
from pan_core.errors import DataError, PanError, VideoError
from pan_core.files import SCRATCH_SUFFIX
from pan_core.pose.pose_set import ClipPoses
from pan_core.pose.records import is_removed
from pan_core.tables import check_table, splits_of
from pan_core.video import read_frames, require_all_frames

SHOWN = 5
# Share of a clip's joints outside its picture beyond which they are hardly of that picture.
OUTSIDE = 0.1
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True)
class Listed:
    """A dataset as `pan data list` shows it.

    Attributes:
        name: Name in the registry and in params.yaml.
        title: Name in the literature.
        classes: Number of classes as published; None where the user's files decide.
        clips: Number of clips likewise.
        gives: "video" or "poses".
        found: Files of it that are at hand, and how much there is of those whose download is not finished.
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
    findings: tuple[Fault, ...]


def list_datasets(context_of: Callable[[str], Context]) -> list[Listed]:
    """Every dataset of the registry with what is at hand of it; `context_of` gives the context of a dataset's name."""
    rows = []
    for name in REGISTRY:
        dataset = dataset_by_name(name)
        facts = dataset.facts
        gives = "video" if dataset.has_video else "poses"
        found = tuple(_find_files(dataset, context_of(name)))
        rows.append(Listed(name, facts.title, facts.classes, facts.clips, gives, found, facts.how))
    return rows


def _find_files(dataset: Dataset, context: Context) -> list[str]:
    """Names of a dataset's files in the mirror and among the downloads."""
    downloads = context.cache / "downloads" / dataset.place
    folders = [downloads, *([context.mirror / dataset.place] if context.mirror else [])]
    names = [name for file in dataset.files for name in (file.name, *file.instead)]
    found = [name for name in names if any((folder / name).exists() for folder in folders)]
    unfinished = (_describe_download(file, downloads) for file in dataset.files if file.name not in found)
    own = dataset.configured(context)
    theirs = [str(own) if own.exists() else f"{own} is not there"] if own else []
    return [*dict.fromkeys(found), *filter(None, unfinished), *theirs]


def _describe_download(file: RemoteFile, downloads: Path) -> str:
    """How much there is of a download, as `UCF101.rar: 1.2 of 6.9 GB`; nothing where there is none."""
    partial = downloads / f"{file.name}.part"
    if not partial.is_file():
        return ""
    have, whole = partial.stat().st_size, file.size or announced_size(partial)
    unit, name = next(((unit, name) for unit, name in UNITS if max(have, whole or 0) >= unit), UNITS[-1])
    return f"{file.name}: {have / unit:.1f}" + (f" of {whole / unit:.1f} {name}" if whole else f" {name}")


def inspect(
    dataset: Dataset, folder: Path, context: Context, *, decode: int = 50, folds: int = 3, seed: int = 0
) -> Inspection:
    """Fetch a dataset into a folder, read all of its tables, and compare them with what was published.

    Args:
        dataset: The adapter.
        folder: Where its files go; what was there before is removed.
        context: Where they come from.
        decode: Videos that are decoded to their last frame, drawn by `seed`; the others are only opened.
        folds: Splits that are made by group where none is official.
        seed: Seed of the draw and of these splits.

    Raises:
        DataError: Where the files cannot be had or are not the dataset's.
    """
    try:
        found = _inspect(dataset, folder, context, decode, folds, seed)
    except PanError as error:
        raise DataError(_strip_folder(str(error), folder), code=error.code) from error
    findings = (Fault(_strip_folder(finding, folder), finding.code) for finding in found.findings)
    return Inspection(found.figures, tuple(findings))


def _strip_folder(text: str, folder: Path) -> str:
    """The text with paths relative to the dataset: its folder is a copy that the reader never sees."""
    unfinished = rf"/\.[^/]+?{re.escape(SCRATCH_SUFFIX)}(?=[/\s:]|$)"
    whole, place = (re.sub(unfinished, "", part) for part in (text, str(folder)))
    return whole.replace(f"{place}/", "").replace(place, "the dataset's folder")


def _inspect(dataset: Dataset, folder: Path, context: Context, decode: int, folds: int, seed: int) -> Inspection:
    shutil.rmtree(folder, ignore_errors=True)
    dataset.fetch(folder, context)
    catalogue = dataset.catalogue(folder, context)
    clips = check_table(catalogue.clips, "clips", dataset.name)
    figures = _count_clips(dataset, catalogue)
    findings = [Fault(text, "counts.differ") for text in check_counts(clips, dataset.facts)]
    findings += _list_left_out(catalogue)
    figures += _describe_splits(clips, folds, seed)
    seen, faults = (
        _decode_some(folder, clips, decode, seed, context.progress)
        if dataset.has_video
        else _read_poses(dataset, folder, clips, context.progress)
    )
    return Inspection(tuple(figures + seen), tuple(findings + faults))


def _count_clips(dataset: Dataset, catalogue: Catalogue) -> list[tuple[str, str]]:
    clips = catalogue.clips
    composed = [label for label in sorted(clips["label"].unique()) if len(dataset.parts(label).parts) > 1]
    known = clips.loc[clips["group"] != "", "group"].nunique()
    seconds = float((clips["n_frames"] / clips["fps"]).sum())
    return [
        ("dataset", dataset.facts.title),
        ("clips", f"{len(clips):,} of {clips['label'].nunique()} classes, {seconds / 60:.1f} minutes"),
        ("groups", f"{known:,}" if known else "not known"),
        ("left out", f"{len(catalogue.quarantine):,}"),
        ("listed, not on disk", f"{len(catalogue.missing):,}"),
        ("composed classes", f"{len(composed)}" + (f" ({_shorten(composed)})" if composed else "")),
    ]


def _describe_splits(clips: pd.DataFrame, folds: int, seed: int) -> list[tuple[str, str]]:
    """Parts and leakage of every official split, or of those that would be made where there is none."""
    made = ""
    if not splits_of(clips):
        try:
            clips = group_splits(clips, folds=folds, seed=seed)
        except DataError as error:
            return [("splits", f"none official, and none can be made by group: {error}")]
        made = f"made by group, {folds} folds, seed {seed}: "
    figures = []
    for number in splits_of(clips):
        leaks = leakage(clips, f"split{number}")
        counts = clips[f"split{number}"].value_counts()
        parts = ", ".join(f"{part} {counts[part]:,}" for part in ("train", "test", "unused") if part in counts)
        figures.append(
            (f"split {number}", f"{made}{parts}; test clips shared with training: {_describe_leakage(leaks)}")
        )
    return figures


def _describe_leakage(leaks: Mapping[str, int]) -> str:
    """Leakage in words."""
    named = [
        f"{leaks[key]:,} by {key}" + (f" ({leaks[f'{key}_same_class']:,} of the same class)" if leaks[key] else "")
        for key in SHARED
        if key in leaks
    ]
    return ", ".join(named) or "cannot be told, clips have no group"


def _list_left_out(catalogue: Catalogue) -> list[Fault]:
    rows = catalogue.quarantine.itertuples(index=False)
    found = [Fault(f"{row.clip_id}: {row.reason}", "clips.left-out") for row in rows]
    if catalogue.missing:
        text = f"{len(catalogue.missing):,} listed clips are not on disk: {_shorten(catalogue.missing)}"
        found.append(Fault(text, "clips.missing"))
    return found


def _shorten(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def _decode_some(
    folder: Path, clips: pd.DataFrame, decode: int, seed: int, progress: Progress | None
) -> tuple[list[tuple[str, str]], list[Fault]]:
    """Decode some videos to their end."""
    videos = clips["path"].drop_duplicates().to_numpy()
    drawn = np.random.default_rng(seed).permutation(videos)[:decode]
    there = [name for name in drawn if not is_removed(folder / name)]
    frames = 0
    faults: list[Fault] = []
    for done, name in enumerate(there, start=1):
        try:
            decoded = sum(1 for _ in read_frames(folder / name))
            frames += decoded
            require_all_frames(folder / name, decoded)
        except VideoError as error:
            faults.append(Fault(error, error.code))
        if progress:
            progress(done, len(there))
    figure = f"{len(there):,} of {len(videos):,} decoded to the end, {frames:,} frames, {len(faults)} with a fault"
    if gone := len(drawn) - len(there):
        figure += f"; {gone} of those drawn were removed, their skeletons are there"
    return [("videos", figure)], faults


_ODD = (
    "clips with more than a tenth of the joints outside their picture",
    "clips in which nobody moves at all",
)


def _read_poses(
    dataset: Dataset, folder: Path, clips: pd.DataFrame, progress: Progress | None
) -> tuple[list[tuple[str, str]], list[Fault]]:
    """Read the poses of every clip."""
    seen = joints = frames = people = 0
    empty: list[str] = []
    odd: dict[str, list[str]] = {what: [] for what in _ODD}
    for done, poses in enumerate(dataset.poses(folder, clips), start=1):
        found = poses.joints[..., 2] > 0
        seen, joints = seen + int(found.sum()), joints + found.size
        frames, people = frames + poses.joints.shape[1], max(people, len(poses.joints))
        if not found.any():
            empty.append(poses.clip_id)
        for what in _find_oddities(poses, found):
            odd[what].append(poses.clip_id)
        if progress:
            progress(done, len(clips))
    figure = f"{frames:,} frames, {seen / max(joints, 1):.1%} of the joints, up to {people} people ({dataset.pose_layout(folder).name})"
    found_odd = [f"{len(names)} {what}: {_shorten(names)}" for what, names in odd.items() if names]
    figures = [("poses", figure)] + ([("odd, as published", "; ".join(found_odd))] if found_odd else [])
    return figures, [Fault(f"{len(empty)} clips without any joint: {_shorten(empty)}", "poses.empty")] if empty else []


def _find_oddities(poses: ClipPoses, found: np.ndarray) -> Iterator[str]:
    """What is odd about the poses of a clip, in the words of `_ODD`; `found` says which joints are there, (M, T, V)."""
    places = poses.joints[..., :2]
    outside = (places < 0) | (places > np.array([poses.width, poses.height]))
    beyond = outside[..., 0] | outside[..., 1]
    if found.any() and beyond[found].mean() > OUTSIDE:
        yield _ODD[0]
    both = found[:, 1:] & found[:, :-1]
    if both.any() and (places[:, 1:] == places[:, :-1])[both].all():
        yield _ODD[1]
