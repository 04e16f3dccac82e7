"""UCF101's way of naming clips and listing splits: `v_<Class>_gNN_cMM.avi`, `trainlist01.txt`, `testlist01.txt`."""

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pan_core.datasets.base import Catalogue, Context
from pan_core.datasets.faults import Fault, FaultsError
from pan_core.datasets.video_folders import SHOWN, SPLITS, ClipName, SplitLists, read_catalogue, require_folder
from pan_core.errors import DataError

NAME = re.compile(r"v_(?P<label>[A-Za-z0-9]+)_g(?P<group>\d+)_c(?P<clip>\d+)")
_LISTED = re.compile(r"(?P<label>[^/\s]+)/(?P<clip_id>[^/]+?)\.avi(?:\s+(?P<number>\d+))?\s*")
_LIST = re.compile(r"(?P<part>train|test)list(?P<number>[0-9]+)\.txt")
_CLASS = re.compile(r"(?P<number>\d+)\s+(?P<label>\S+)\s*")


def catalogue_of(folder: Path, *, source: str, one_numbering: bool, context: Context) -> Catalogue:
    """Clip table of `folder/videos` with the splits of `folder/splits`.

    Args:
        folder: Folder of the dataset.
        source: Name of the dataset.
        one_numbering: Whether group 3 is the same person in every class, as in the actors dataset; then the group is
            `g03`, and the subject likewise. Otherwise groups count within a class and the group is `Archery_g03`.
        context: Where from and through.

    Raises:
        DataError: Where a list is missing or contradicts itself, or no video can be used.
    """
    lists = folder / SPLITS
    classes = read_classes(lists / "classInd.txt")
    splits = read_splits(lists, classes)
    name_of = name_reader(classes, splits, one_numbering=one_numbering)
    return read_catalogue(folder, splits, source=source, name_of=name_of, context=context)


def name_reader(
    classes: Sequence[str], splits: SplitLists, *, one_numbering: bool = False
) -> Callable[[Path], ClipName]:
    """A function that reads a video's path and raises `DataError` where it is against the rule.

    Capitals do not count: the rar archive has `HandstandPushups/v_HandStandPushups_g01_c01.avi`, the zip archive
    `v_HandstandPushups_g01_c01.avi`, and both are the clip that the lists name in the first way.
    """
    known = {label.casefold(): label for label in classes}
    listed = {clip_id.casefold(): clip_id for parts in splits.values() for clip_id in parts}

    def name_of(path: Path) -> ClipName:
        match = NAME.fullmatch(path.stem)
        if match is None:
            raise DataError(
                f"{path}: Expected a name like v_LongJump_g03_c02.avi; rename or remove it", code="clip.name"
            )
        label = known.get(match["label"].casefold())
        if label is None:
            near = difflib.get_close_matches(match["label"], classes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{path}: class {match['label']!r} is not in classInd.txt{hint}", code="clip.unknown-class")
        require_folder(path, label, known)
        clip_id = listed.get(path.stem.casefold(), path.stem)
        number = f"g{match['group']}"
        return ClipName(
            clip_id, label, number if one_numbering else f"{label}_{number}", number if one_numbering else ""
        )

    return name_of


def read_classes(path: Path) -> tuple[str, ...]:
    """Classes of `classInd.txt`, in the order of their numbers from 1.

    Raises:
        DataError: Where the file is missing, or its lines are not `1 ApplyEyeMakeup` with numbers from 1 upwards.
    """
    matches = [(line, _CLASS.fullmatch(line)) for line in _read_lines(path)]
    numbers = [int(match["number"]) for _, match in matches if match]
    labels = tuple(match["label"] for _, match in matches if match)
    if wrong := [line for line, match in matches if match is None]:
        raise DataError(
            f"{path}: Expected lines like `1 ApplyEyeMakeup`, but got {wrong[0]!r}", code="splits.class-line"
        )
    if not labels or numbers != list(range(1, len(labels) + 1)) or len(set(labels)) < len(labels):
        raise DataError(
            f"{path}: Expected every class once, numbered from 1 upwards; fetch the list again",
            code="splits.class-numbers",
        )
    return labels


def read_splits(folder: Path, classes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Part of every clip in every official split: column -> clip id -> train or test.

    Raises:
        DataError: Where a list is missing, or the lists contradict each other: a clip in training and test at once or
            twice in a list, a class that classInd.txt lacks or numbers otherwise, two lists of one number.
    """
    splits: dict[str, dict[str, str]] = {}
    pairs, faults = _pair_lists(folder)
    for number, (train_list, test_list) in pairs.items():
        train, wrong = _read_list(train_list, classes)
        test, wrong_too = _read_list(test_list, classes)
        tested = {clip_id.casefold() for clip_id in test}
        both = [
            Fault(f"{name}: in training and test of split {number}", "splits.both-parts")
            for name in train
            if name.casefold() in tested
        ]
        faults += [*wrong, *wrong_too, *both]
        splits[f"split{number}"] = dict.fromkeys(train, "train") | dict.fromkeys(test, "test")
    if faults:
        shown = "".join(f"\n  - {fault}" for fault in faults[:SHOWN])
        raise FaultsError(
            f"{folder}: the split lists contradict themselves in {len(faults)} places; fetch them again:{shown}",
            faults,
            code="splits.faults",
        )
    return splits


def _pair_lists(folder: Path) -> tuple[dict[int, tuple[Path, Path]], list[Fault]]:
    """Training and test list of each split, and what is wrong with the names of the lists.

    Raises:
        DataError: Where there is no training list.
    """
    found: dict[str, dict[int, Path]] = {"train": {}, "test": {}}
    faults: list[Fault] = []
    for path in sorted(folder.glob("*list*.txt")):
        match = _LIST.fullmatch(path.name)
        if match is None:
            text = f"{path.name}: Expected a name like trainlist01.txt or testlist01.txt"
            faults.append(Fault(text, "splits.list-name"))
            continue
        first = found[match["part"]].setdefault(int(match["number"]), path)
        if first != path:
            faults.append(Fault(f"{path.name}: a second list of the number of {first.name}", "splits.second-list"))
    if not found["train"] and not faults:
        raise DataError(f"{folder}: no trainlist*.txt; run `dvc repro --force fetch`", code="splits.no-lists")
    for number, path in found["test"].items():
        if number not in found["train"]:
            faults.append(Fault(f"{path.name}: there is no trainlist{number:02d}.txt to it", "splits.missing-list"))
    pairs = {
        number: (path, found["test"].get(number, folder / path.name.replace("train", "test")))
        for number, path in found["train"].items()
    }
    return pairs, faults


def _read_list(path: Path, classes: Sequence[str]) -> tuple[dict[str, None], list[Fault]]:
    """Clip ids of a list in its order, and what is wrong with its lines."""
    numbers = {label: number for number, label in enumerate(classes, start=1)}
    ids: dict[str, str] = {}
    faults: list[Fault] = []
    for line in _read_lines(path):
        match = _LISTED.fullmatch(line)
        if match is None:
            text = f"{path.name}: Expected a line like `Archery/v_Archery_g01_c01.avi 3`, but got {line!r}"
            faults.append(Fault(text, "splits.line"))
            continue
        number = numbers.get(match["label"])
        if number is None or int(match["number"] or number) != number:
            text = f"{path.name}: {line!r} names a class that classInd.txt lacks or numbers otherwise"
            faults.append(Fault(text, "splits.unknown-class"))
        elif not match["clip_id"].casefold().startswith(f"v_{match['label'].casefold()}_"):
            text = f"{path.name}: {line!r} has a clip of another class than its folder"
            faults.append(Fault(text, "splits.other-class"))
        if match["clip_id"].casefold() in ids:
            faults.append(Fault(f"{path.name}: {match['clip_id']} is named twice", "splits.named-twice"))
        ids[match["clip_id"].casefold()] = match["clip_id"]
    if not ids and not faults:
        faults.append(Fault(f"{path.name}: names no clip", "splits.empty-list"))
    return dict.fromkeys(ids.values()), faults


def _read_lines(path: Path) -> list[str]:
    """Lines that are not blank."""
    if not path.is_file():
        raise DataError(f"{path}: no such list; run `dvc repro --force fetch`", code="splits.missing-list")
    return [line for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line.strip()]
