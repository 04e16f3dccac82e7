"""HMDB51: 6,766 videos of 51 actions, mostly from films, three official splits (Kuehne et al., ICCV 2011).

A clip is named `<film>_<class>_<visible part>_<camera motion>_np<people>_<view>_<quality>_<number>.avi`, and its film
is its group. Each class has a list a split, made so that clips of one film do not stand on both sides of it; the
lists of different classes were not matched with each other, so a film may be in training with one class and in test
with another.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, RemoteFile
from pan_core.datasets.faults import Fault, FaultsError
from pan_core.datasets.video_folders import (
    SHOWN,
    SPLITS,
    VIDEO_SUFFIX,
    VIDEOS,
    ClipName,
    gather,
    obtain_any,
    read_catalogue,
    require_folder,
    unpack_into,
)
from pan_core.errors import DataError
from pan_core.files import atomic_path

CLASSES = (
    "brush_hair", "cartwheel", "catch", "chew", "clap", "climb", "climb_stairs", "dive", "draw_sword",
    "dribble", "drink", "eat", "fall_floor", "fencing", "flic_flac", "golf", "handstand", "hit", "hug", "jump",
    "kick", "kick_ball", "kiss", "laugh", "pick", "pour", "pullup", "punch", "push", "pushup", "ride_bike",
    "ride_horse", "run", "shake_hands", "shoot_ball", "shoot_bow", "shoot_gun", "sit", "situp", "smile",
    "smoke", "somersault", "stand", "swing_baseball", "sword", "sword_exercise", "talk", "throw", "turn",
    "walk", "wave",
)  # fmt: skip

FACTS = Facts(
    "HMDB51",
    classes=51,
    clips=6766,
    splits={number: {"train": 3570, "test": 1530, "unused": 1666} for number in (1, 2, 3)},
    how="downloaded: 2 GB of video in a rar archive of rar archives, which needs the Debian package libarchive-tools",
    licence="CC BY 4.0",
    reference="Kuehne et al., ICCV 2011",
)
LISTS = RemoteFile(
    "test_train_splits.rar",
    urls=("https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/test_train_splits.rar",),
    checksum="md5:15e67781e70dcfbdce2d7dbb9b3344b5",
    instead=("testTrainMulti_7030_splits",),
)
VIDEO_ARCHIVE = RemoteFile(
    "hmdb51_org.rar",
    urls=("https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/hmdb51_org.rar",),
    instead=("hmdb51_org",),
)

PARTS = {"0": "unused", "1": "train", "2": "test"}

# The film is as short as can be, so that the class is as long as can be: `draw_sword`, not `sword`.
_NAME = re.compile(
    rf"(?P<film>.+?)_(?P<label>{'|'.join(CLASSES)})_[hulf]_[cn]m_np\d+_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+"
)
_PART = re.compile(r"([\W_]*_\d+)+$")
_LIST = re.compile(r"(?P<label>.+)_test_split(?P<number>[0-9]+)")
_FOLDERS = {label: label for label in CLASSES}


class Hmdb51(Dataset):
    """Adapter of HMDB51's videos."""

    name = "hmdb51"
    classes = CLASSES
    facts: ClassVar = FACTS
    files: ClassVar = (LISTS, VIDEO_ARCHIVE)

    def fetch(self, folder: Path, context: Context) -> None:
        """Obtain and check the split lists, which are small, then the videos; both or nothing below `folder`."""
        lists, videos = self.files
        with atomic_path(folder) as partial:
            partial.mkdir()
            unpack_into(obtain_any(self.name, [lists], context), partial / "unpacked", context)
            gather(partial / "unpacked", partial / SPLITS, ".txt")
            read_splits(partial / SPLITS)
            unpack_into(obtain_any(self.name, [videos], context), partial / "unpacked", context, nested=True)
            gather(partial / "unpacked", partial / VIDEOS, VIDEO_SUFFIX, lambda path: path.parent.name)

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """Clips with the three official splits."""
        splits = read_splits(folder / SPLITS)
        return read_catalogue(folder, splits, source=self.name, name_of=read_name, context=context)

    def class_of(self, clip_id: str) -> str:
        """The class in the middle of the name."""
        match = _NAME.fullmatch(clip_id)
        return match["label"] if match else ""


def clip_name(name: str) -> ClipName:
    """What a clip's name says; its group is the film that it was cut from, in small letters, without numbers at its end.

    `Return_of_the_King_1` and `Return_of_the_King_11` are of one film, as are `Final_Battle_1_3` and `Final_Battle_2_3`.
    The official lists keep such names apart as different films, so they share films between training and test even
    within a class. Some numbers may tell the videos of a series apart; then a group is larger than it need be, which
    costs little and leaks nothing.

    Args:
        name: Name of the clip, with or without `.avi`.

    Raises:
        DataError: Where the name is against HMDB51's rule.
    """
    match = _match_name(name)
    film = _PART.sub("", match["film"]).casefold()
    return ClipName(clip_id=name.removesuffix(".avi"), label=match["label"], group=film)


def read_name(path: Path) -> ClipName:
    """What a video's path says.

    Raises:
        DataError: Where the name is against HMDB51's rule, or the folder is that of another class.
    """
    said = clip_name(path.name)
    require_folder(path, said.label, _FOLDERS)
    return said


def read_splits(folder: Path, classes: Sequence[str] = CLASSES) -> dict[str, dict[str, str]]:
    """Part of every clip in every official split: column -> clip id -> train, test or unused.

    Args:
        folder: Folder with a list a class and split: `wave_test_split1.txt`, its lines `<name>.avi 1`.
        classes: Classes, each of which must have a list in each split.

    Raises:
        DataError: Where lists are missing or contradict themselves, with the first faults.
    """
    files = sorted(folder.glob("*_test_split*.txt"))
    lists = {path: match for path in files if (match := _LIST.fullmatch(path.stem))}
    if not lists:
        raise DataError(
            f"{folder}: no <class>_test_split<number>.txt; run `dvc repro --force fetch`", code="splits.no-lists"
        )
    faults = [
        Fault(f"{path.name}: Expected a name like wave_test_split1.txt", "splits.list-name")
        for path in files
        if path not in lists
    ]
    faults += _find_missing({(match["label"], int(match["number"])) for match in lists.values()}, classes)
    splits: dict[str, dict[str, str]] = {f"split{int(match['number'])}": {} for match in lists.values()}
    first: dict[tuple[str, int], Path] = {}
    for path, match in lists.items():
        label, number = match["label"], int(match["number"])
        other = first.setdefault((label, number), path)
        if label not in classes:
            faults.append(Fault(f"{path.name}: no such class", "splits.unknown-class"))
        elif other != path:
            text = f"{path.name}: a second list of the class and number of {other.name}"
            faults.append(Fault(text, "splits.second-list"))
        else:
            faults += _read_list(path, label, splits[f"split{number}"])
    if faults:
        shown = "".join(f"\n  - {fault}" for fault in faults[:SHOWN])
        raise FaultsError(
            f"{folder}: {len(faults)} faults in the split lists; fetch them again:{shown}", faults, code="splits.faults"
        )
    return dict(sorted(splits.items(), key=lambda item: int(item[0].removeprefix("split"))))


def _find_missing(present: set[tuple[str, int]], classes: Sequence[str]) -> list[Fault]:
    """Splits without any list, and classes without the list of a split."""
    numbers = sorted({number for _, number in present})
    absent = [number for number in range(1, max(numbers)) if number not in numbers]
    lists = [(label, number) for number in numbers for label in classes if (label, number) not in present]
    return [Fault(f"split {number}: no list at all", "splits.missing-split") for number in absent] + [
        Fault(f"{label}_test_split{number}.txt: missing", "splits.missing-list") for label, number in lists
    ]


def _read_list(path: Path, label: str, parts: dict[str, str]) -> list[Fault]:
    """Add one list's clips to the parts of its split; returns what is wrong with its lines."""
    faults: list[Fault] = []
    named: set[str] = set()
    for line in filter(None, map(str.strip, path.read_text(encoding="utf-8-sig", errors="replace").splitlines())):
        name, _, flag = line.rpartition(" ")
        clip_id, part = name.strip().removesuffix(".avi"), PARTS.get(flag)
        match = _NAME.fullmatch(clip_id)
        if part is None or not clip_id:
            text = f"{path.name}: Expected `<name>.avi` and 0, 1 or 2, but got {line!r}"
            faults.append(Fault(text, "splits.line"))
        elif match is None or match["label"] != label:
            faults.append(Fault(f"{path.name}: {clip_id!r} is no name of a clip of {label}", "splits.other-class"))
        elif parts.setdefault(clip_id, part) != part:
            faults.append(Fault(f"{path.name}: {clip_id!r} is both {parts[clip_id]} and {part}", "splits.both-parts"))
        elif clip_id.casefold() in named:
            faults.append(Fault(f"{path.name}: {clip_id!r} is named twice", "splits.named-twice"))
        named.add(clip_id.casefold())
    return faults if named or faults else [Fault(f"{path.name}: names no clip", "splits.empty-list")]


def _match_name(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name.removesuffix(".avi"))
    if match is None:
        raise DataError(
            f"{name}: Expected a name like RATRACE_wave_f_nm_np1_fr_goo_37.avi: <film>_<class>_<visible part>_"
            "<camera motion>_np<people>_<view>_<quality>_<number>; rename or remove it",
            code="clip.name",
        )
    return match
