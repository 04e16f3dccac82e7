"""Videos sorted into a folder for each class, the form that torchvision and Hugging Face read, too.

`PATH/<class>/**/*.mp4`, or `PATH/train/<class>/...` with `test` or `val` beside `train`, which become the one official split.
The names of files and folders say everything, so `fetch` decides on them and writes `videos.parquet`; `catalogue` only opens the videos.
"""

import logging
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import ClassVar

import pandas as pd

from pan_core.datasets.base import Catalogue, Context, Dataset, Facts
from pan_core.datasets.group_pattern import compile_pattern
from pan_core.datasets.probing import probe_all
from pan_core.datasets.surveillance import QUARANTINE, VIDEOS, place
from pan_core.errors import DataError
from pan_core.files import atomic_path, list_files, require_space, sha256_of
from pan_core.tables import quarantine_table, read_table, write_table
from pan_core.video import VIDEO_SUFFIXES, VideoInfo

_log = logging.getLogger(__name__)

LISTING = "videos.parquet"
SPLIT = "split1"
PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Names of the folders above the classes, in small letters -> part; those that Hugging Face's loaders know."""
SHOWN = 3


@dataclass(frozen=True)
class SortedVideo:
    """A video and what its place says.

    Attributes:
        path: Below the folder, with slashes and composed characters.
        label: Its class.
        part: train, val or test; empty if the folder has no parts.
        group: What the pattern found; empty without one.
    """

    path: str
    label: str
    part: str
    group: str = ""


class Folders(Dataset):
    """Adapter of a folder of videos with a folder for each class.

    Options: `folder`, and `group_pattern`, a regular expression with one group that is searched in each video's path below the
    folder; empty: each video is a group of its own.
    """

    name = "folders"
    facts: ClassVar = Facts("Videos in a folder for each class", how="make run DATA=folders FOLDER=path")

    def configured(self, context: Context) -> Path:
        """The folder."""
        return Path(context.options.get("folder", "data/videos"))

    def fetch(self, folder: Path, context: Context) -> None:
        """Link the videos below `folder`, with a table of what their places say."""
        source = self.configured(context)
        if not source.is_dir():
            got = f"{source} is {'a file' if source.is_file() else 'not there'}"
            raise DataError(
                f"folders.folder: expected a folder with a folder of videos for each class, but {got}; name it in params.yaml, "
                "or write `make run DATA=folders FOLDER=path`",
                code="folders.folder",
            )
        videos, files, left_out = sort_videos(source)
        if pattern := context.options.get("group_pattern", ""):
            videos = with_groups(videos, pattern)
        require_space(folder.parent, sum(files[video.path].stat().st_size for video in videos), f"videos from {source}")
        with atomic_path(folder) as partial:
            for done, video in enumerate(videos, start=1):
                place(files[video.path], partial / VIDEOS / video.path)
                if context.progress:
                    context.progress(done, len(videos))
            pd.DataFrame([asdict(video) for video in videos]).to_parquet(partial / LISTING)
            rows = [{"clip_id": name, "stage": "split", "reason": reason} for name, reason in left_out.items()]
            write_table(quarantine_table(rows), "quarantine", partial / QUARANTINE)

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """One clip a video; a clip's id is its path. The split is that of the folders, if they have one."""
        listed = pd.read_parquet(folder / LISTING)
        probed = probe_all(
            [folder / VIDEOS / name for name in listed["path"]],
            cache=context.cache / "probes" / f"{self.name}.jsonl",
            remember=context.remember,
            workers=context.workers,
            progress=context.progress,
        )
        rows, failed = [], []
        for (path, info), video in zip(probed.items(), listed.itertuples(index=False), strict=True):
            if not isinstance(info, VideoInfo):
                failed.append({"clip_id": video.path, "stage": "split", "reason": str(info)})
                continue
            row = {"clip_id": video.path, "path": str(path.relative_to(folder)), "source": self.name}
            row |= {"label": video.label, "group": video.group, "subject": "", "camera": ""}
            rows.append(row | asdict(info) | {"start_frame": 0} | ({SPLIT: video.part} if video.part else {}))
        if not rows:
            raise DataError(
                f"none of the {len(failed)} videos can be decoded, such as {failed[0]['reason']}",
                code="folders.no-usable-video",
            )
        stored = read_table("quarantine", folder / QUARANTINE)
        return Catalogue(pd.DataFrame(rows), pd.concat([stored, quarantine_table(failed)], ignore_index=True))


def sort_videos(source: Path) -> tuple[list[SortedVideo], dict[str, Path], dict[str, str]]:
    """Videos below a folder by what their places say.

    Returns:
        The videos; path -> file; and path -> reason of what is left out.

    Raises:
        DataError: If nothing can be learnt from the folder as it is, with what to do.
    """
    found = list_files(source)
    left_out = dict(entry.split(": ", 1) for entry in found.passed_over)
    files: dict[str, Path] = {}
    for file in found.ending_in(VIDEO_SUFFIXES):
        name = unicodedata.normalize("NFC", file.relative_to(source).as_posix())
        if files.setdefault(name, file) != file:
            left_out[f"{name} (2)"] = "a second file of this name, spelt with other characters; rename or remove it"
    if not files:
        reasons = "".join(f"; passed over: {name}: {reason}" for name, reason in list(left_out.items())[:SHOWN])
        raise DataError(
            f"{source}: no video in it or below it; expected {source}/<class>/<video>.mp4, or .avi, .mkv, .mov, .webm and "
            f"others{reasons}",
            code="folders.no-video",
        )
    depth, parts = _find_parts(source, files)
    videos = []
    for name in files:
        above = PurePosixPath(name).parts[:-1]
        if len(above) > depth:
            videos.append(SortedVideo(name, above[depth], parts[above[0]] if depth else ""))
        else:
            left_out[name] = (
                "lies beside the folders of the classes; move it into the folder of its class, or remove it"
            )
    if not videos:
        raise DataError(
            f"{source}: its {len(files)} videos, such as {next(iter(files))}, are in no folder of a class; expected "
            f"{source}/{'train/' * depth}<class>/<video>.mp4: move each into a folder with the name of its class",
            code="folders.no-class",
        )
    videos, again = _without_copies(videos, files)
    _check_classes(source, videos)
    return videos, files, left_out | again


def with_groups(videos: Iterable[SortedVideo], pattern: str) -> list[SortedVideo]:
    """Videos with the group that a pattern finds in their paths.

    Raises:
        DataError: If it finds none in some, or is no pattern.
    """
    search = compile_pattern(pattern).search
    grouped = [replace(video, group=(match[1] or "") if (match := search(video.path)) else "") for video in videos]
    if lacking := [video.path for video in grouped if not video.group.strip()]:
        raise DataError(
            f"folders.group_pattern: {pattern!r} finds no group in {len(lacking)} of {len(grouped)} paths, such as "
            f"{', '.join(map(repr, lacking[:SHOWN]))}; expected one in each: change the pattern, rename these videos or remove them",
            code="folders.group-lacking",
        )
    return grouped


def _find_parts(source: Path, files: Iterable[str]) -> tuple[int, Mapping[str, str]]:
    """How many folders stand above those of the classes, 0 or 1, and the part that each means."""
    tops = sorted({name.split("/", 1)[0] for name in files if "/" in name})
    parts = {top: PARTS[top.casefold()] for top in tops if top.casefold() in PARTS}
    kinds, others = set(parts.values()), [top for top in tops if top not in parts]
    if "train" in kinds and len(kinds) > 1:
        if others:
            raise DataError(
                f"{source}: has {', '.join(parts)} and beside them {', '.join(others[:SHOWN])}; expected train and test (or val) "
                "above the classes and no other folder with videos, or classes alone: move or rename the others",
                code="folders.mixed",
            )
        if "test" not in kinds:  # as Kinetics' and PYSKL's lists are used: results are published on val
            parts = {top: "test" if part == "val" else part for top, part in parts.items()}
        return 1, parts
    if parts and not others:
        raise DataError(
            f"{source}: has the part {', '.join(parts)} alone; expected train and test (or val): add the other, or name "
            f"{source / next(iter(parts))} as the folder, and splits are made",
            code="folders.one-part",
        )
    return 0, {}


def _without_copies(videos: list[SortedVideo], files: Mapping[str, Path]) -> tuple[list[SortedVideo], dict[str, str]]:
    """Videos of which no other has the same bytes, and path -> reason of the copies: they would stand in training and test."""

    def size(video: SortedVideo) -> int:
        return files[video.path].stat().st_size

    again: dict[str, str] = {}
    for _, same_size in groupby(sorted(videos, key=size), size):
        alike = list(same_size)
        first: dict[str, str] = {}
        for video in alike if len(alike) > 1 else []:
            original = first.setdefault(sha256_of(files[video.path]), video.path)
            if original != video.path:
                again[video.path] = f"the same bytes as {original}, which is kept; remove one of them"
    return [video for video in videos if video.path not in again], again


def _check_classes(source: Path, videos: list[SortedVideo]) -> None:
    """Refuse one class only, two spellings of a class, and classes that are tested but not trained."""
    first: dict[str, SortedVideo] = {}
    for video in videos:
        known = first.setdefault(video.label.strip().casefold(), video)
        if known.label != video.label:
            raise DataError(
                f"{source}: {known.label!r} ({known.path}) and {video.label!r} ({video.path}) differ in capitals or spaces alone; "
                "expected one spelling of each class: rename one of the folders",
                code="folders.spelling",
            )
    if len(first) < 2:
        raise DataError(
            f"{source}: its {len(videos)} videos are of one class, {videos[0].label!r}, expected two or more; if the classes are "
            f"folders below that one, name {source / PurePosixPath(videos[0].path).parts[0]} as the folder",
            code="folders.one-class",
        )
    trained = {video.label for video in videos if video.part in ("", "train")}
    if lost := [video for video in videos if video.label not in trained]:
        labels = sorted({video.label for video in lost})
        raise DataError(
            f"{source}: no video of {', '.join(map(repr, labels[:SHOWN]))} in train, but {lost[0].path} is in {lost[0].part}; "
            "expected each class of test and val in train, too: add videos of it there, or correct the folder's name",
            code="folders.class-not-trained",
        )
