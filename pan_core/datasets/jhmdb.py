"""JHMDB: 928 clips of 21 of HMDB51's classes with 15 joints annotated in every frame (Jhuang et al., ICCV 2013).

Read from the two official archives: `joint_positions/<class>/<clip>/joint_positions.mat`, whose `pos_img` (2, 15, T)
counts pixels of a 320 x 240 picture from 1, and `splits/<class>_test_split<k>.txt` with lines `<clip>.avi <part>`, where
the part is 1 for training and 2 for test. Every joint of every frame is annotated, those out of the picture too.
"""

import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from pan_core.datasets.archives import unpack
from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, RemoteFile
from pan_core.datasets.download import obtain, reading
from pan_core.datasets.hmdb51 import clip_name
from pan_core.errors import DataError
from pan_core.files import atomic_path
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import JHMDB15
from pan_core.tables import quarantine_table

HOST = "files.is.tue.mpg.de/jhmdb"
POSITIONS, SPLITS = "joint_positions", "splits"
FPS, WIDTH, HEIGHT = 30.0, 320, 240
PART = {"0": "unused", "1": "train", "2": "test"}
CLASSES = (
    "brush_hair", "catch", "clap", "climb_stairs", "golf", "jump", "kick_ball", "pick", "pour", "pullup", "push", "run",
    "shoot_ball", "shoot_bow", "shoot_gun", "sit", "stand", "swing_baseball", "throw", "walk", "wave",
)  # fmt: skip
FACTS = Facts(
    "JHMDB",
    classes=21,
    clips=928,
    splits={1: {"train": 660, "test": 268}, 2: {"train": 658, "test": 270}, 3: {"train": 663, "test": 265}},
    licence="none stated: research use; HMDB51: CC BY 4.0",
    reference="Jhuang et al., ICCV 2013",
)
LISTS = RemoteFile(
    "splits.zip",
    urls=(f"https://{HOST}/splits.zip", f"http://{HOST}/splits.zip"),
    checksum="md5:15b9f2f7a99d63c07f3be0c9ecde43b5",
)
_LIST = re.compile(r"(?P<label>.+)_test_split(?P<number>[0-9]+)\.txt")
_DAMAGED = (MatReadError, OSError, ValueError, TypeError, KeyError, NotImplementedError, zlib.error)


class Jhmdb(Dataset):
    """Adapter of JHMDB; the group of a clip is the film that it was cut from, as in HMDB51."""

    name = "jhmdb"
    classes = CLASSES
    facts: ClassVar = FACTS
    files: ClassVar = (
        RemoteFile(
            "joint_positions.zip",
            urls=(f"https://{HOST}/joint_positions.zip", f"http://{HOST}/joint_positions.zip"),
            checksum="md5:3d1ac91bcb8544ddfdd9547997db239f",
        ),
        LISTS,
    )
    has_video = False
    layout = JHMDB15

    def fetch(self, folder: Path, context: Context) -> None:
        """Unpack both archives, without what a Macintosh left in them."""
        positions, splits = (obtain(self.name, file, context) for file in self.files)
        with atomic_path(folder) as partial:
            with reading(positions, context):
                unpack(positions, partial / POSITIONS, members=_is_positions, progress=context.progress)
            with reading(splits, context):
                unpack(splits, partial / SPLITS, members=_is_split_list)

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """Clip table with the three official splits; a clip whose joints cannot be read goes to quarantine."""
        files = sorted((folder / POSITIONS).rglob("joint_positions.mat"))
        parts = read_splits(folder / SPLITS, classes={path.parent.parent.name for path in files})
        rows, failed = [], []
        for done, path in enumerate(files, start=1):
            clip_id = path.parent.name
            try:
                row = _make_row(path, frames=read_joints(path).shape[1])
                rows.append(row | {column: split.get(clip_id, "unused") for column, split in parts.items()})
            except DataError as error:
                failed.append({"clip_id": clip_id, "stage": "split", "reason": str(error)})
            if context.progress:
                context.progress(done, len(files))
        if not rows:
            raise DataError(
                f"{folder / POSITIONS}: no readable <class>/<clip>/joint_positions.mat; run `dvc repro --force fetch`",
                code="jhmdb.no-clip",
            )
        listed = {clip for split in parts.values() for clip in split}
        missing = sorted(listed - {path.parent.name for path in files})
        return Catalogue(pd.DataFrame(rows), quarantine_table(failed), tuple(missing))

    def poses(self, folder: Path, clips: pd.DataFrame) -> Iterator[ClipPoses]:
        """Annotated joints, all with score 1."""
        files = {path.parent.name: path for path in (folder / POSITIONS).rglob("joint_positions.mat")}
        for clip in clips.itertuples(index=False):
            joints = read_joints(files[clip.clip_id])
            yield ClipPoses(clip.clip_id, joints, clip.fps, clip.width, clip.height, extractor="annotated")


def read_joints(path: Path) -> np.ndarray:
    """Joints of one clip, (1, T, 15, 3): x, y in pixels from 0, score 1.

    Raises:
        DataError: Where the file is no MATLAB file, or its `pos_img` is not (2, 15, T) finite numbers.
    """
    try:
        places = np.asarray(loadmat(path)["pos_img"])
    except _DAMAGED as error:
        raise DataError(
            f"{path}: no readable MATLAB file with pos_img ({error}); fetch it again", code="jhmdb.damaged"
        ) from error
    if places.dtype.kind not in "fiu" or places.ndim < 2 or places.shape[:2] != (2, JHMDB15.size):
        raise DataError(
            f"{path}: Expected pos_img to have shape (2, {JHMDB15.size}, T), but got {places.shape}", code="jhmdb.shape"
        )
    # MATLAB drops a last axis of length 1: a clip of one frame.
    places = places.reshape(2, JHMDB15.size, -1).transpose(2, 1, 0)
    if places.size == 0 or not np.isfinite(places).all():
        raise DataError(f"{path}: pos_img has no frames, or places that are not finite", code="jhmdb.not-finite")
    return np.concatenate([places - 1, np.ones_like(places[..., :1])], axis=-1, dtype=np.float32)[None]


def read_splits(folder: Path, *, classes: Collection[str] = ()) -> dict[str, dict[str, str]]:
    """Part of every clip in every official split: column -> clip id -> train, test or unused.

    Args:
        folder: With a list a class and split: `wave_test_split1.txt`.
        classes: Classes that must have lists, besides those that have one.

    Raises:
        DataError: Where there are no lists, a class lacks the list of a split, or a list is not of their form.
    """
    lists: dict[tuple[int, str], Path] = {}
    for path in sorted(folder.rglob("*_test_split*.txt")):
        match = _LIST.fullmatch(path.name)
        if match is None:
            raise DataError(
                f"{path}: Expected a name like wave_test_split1.txt; rename or remove it", code="splits.list-name"
            )
        key = int(match["number"]), match["label"]
        if key in lists:
            raise DataError(
                f"{path}: a second list of the class and number of {lists[key].name}; remove one of them",
                code="splits.second-list",
            )
        lists[key] = path
    if not lists:
        raise DataError(
            f"{folder}: no <class>_test_split<k>.txt; run `dvc repro --force fetch`", code="splits.no-lists"
        )
    labels = {label for _, label in lists} | set(classes)
    numbers = range(1, max(number for number, _ in lists) + 1)
    if missing := sorted({(number, label) for number in numbers for label in labels} - lists.keys()):
        number, label = missing[0]
        raise DataError(
            f"{folder}: {len(missing)} split lists are missing, such as {label}_test_split{number}.txt; fetch them again",
            code="splits.missing-list",
        )
    splits: dict[str, dict[str, str]] = {f"split{number}": {} for number in numbers}
    for (number, _), path in sorted(lists.items()):
        _read_list(path, splits[f"split{number}"])
    return splits


def _read_list(path: Path, split: dict[str, str]) -> None:
    """Add the clips of a list to its split."""
    before = len(split)
    named = {clip_id.casefold() for clip_id in split}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, code = line.strip().rpartition(" ")
        clip_id = name.strip().removesuffix(".avi")
        if not clip_id or code not in PART:
            raise DataError(
                f"{path}, line {number}: Expected `<clip>.avi 1` or `2`, but got {line[:80]!r}", code="splits.line"
            )
        if split.setdefault(clip_id, PART[code]) != PART[code]:
            raise DataError(
                f"{path}, line {number}: {clip_id} is in training and test at once", code="splits.both-parts"
            )
        if clip_id.casefold() in named:
            raise DataError(
                f"{path}, line {number}: {clip_id} is named twice; fetch the lists again", code="splits.named-twice"
            )
        named.add(clip_id.casefold())
    if len(split) == before:
        raise DataError(f"{path}: names no clip; fetch the lists again", code="splits.empty-list")


def _make_row(path: Path, *, frames: int) -> dict[str, object]:
    clip_id = path.parent.name
    try:
        film = clip_name(clip_id).group
    except DataError:
        film = ""
    return {
        "clip_id": clip_id,
        "path": "",
        "source": Jhmdb.name,
        "label": path.parent.parent.name,
        "group": film,
        "subject": "",
        "camera": "",
        "fps": FPS,
        "n_frames": frames,
        "width": WIDTH,
        "height": HEIGHT,
    }


def _is_positions(name: str) -> bool:
    return name.endswith("/joint_positions.mat") and not _is_hidden(name)


def _is_split_list(name: str) -> bool:
    return name.endswith(".txt") and "_test_split" in name and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
