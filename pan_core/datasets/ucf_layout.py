"""UCF101's way of naming clips and listing splits: `v_<Class>_gNN_cMM.avi`, `trainlist01.txt`, `testlist01.txt`."""

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pan_core.datasets.base import Catalogue, Context
from pan_core.datasets.video_folders import SHOWN, SPLITS, ClipName, SplitLists, read_catalogue, require_folder
from pan_core.errors import DataError

NAME = re.compile(r"v_(?P<label>[A-Za-z0-9]+)_g(?P<group>\d+)_c(?P<clip>\d+)")
_LISTED = re.compile(r"(?P<label>[^/\s]+)/(?P<clip_id>[^/]+?)\.avi(?:\s+(?P<number>\d+))?\s*")
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
            raise DataError(f"{path}: Expected a name like v_LongJump_g03_c02.avi; rename or remove it")
        label = known.get(match["label"].casefold())
        if label is None:
            near = difflib.get_close_matches(match["label"], classes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{path}: class {match['label']!r} is not in classInd.txt{hint}")
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
    matches = [(line, _CLASS.fullmatch(line)) for line in _lines(path)]
    numbers = [int(match["number"]) for _, match in matches if match]
    labels = tuple(match["label"] for _, match in matches if match)
    if wrong := [line for line, match in matches if match is None]:
        raise DataError(f"{path}: Expected lines like `1 ApplyEyeMakeup`, but got {wrong[0]!r}")
    if not labels or numbers != list(range(1, len(labels) + 1)) or len(set(labels)) < len(labels):
        raise DataError(f"{path}: Expected every class once, numbered from 1 upwards; fetch the list again")
    return labels


def read_splits(folder: Path, classes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Part of every clip in every official split: column -> clip id -> train or test.

    Raises:
        DataError: Where a list is missing, or the lists contradict each other: a clip in training and test at once, a
            class that classInd.txt lacks or numbers otherwise.
    """
    splits: dict[str, dict[str, str]] = {}
    faults = []
    for train_list in sorted(folder.glob("trainlist*.txt")):
        number = train_list.stem.removeprefix("trainlist")
        train, wrong = _read_list(train_list, classes)
        test, wrong_too = _read_list(folder / f"testlist{number}.txt", classes)
        both = [f"{clip_id}: in training and test of split {int(number)}" for clip_id in train if clip_id in test]
        faults += [*wrong, *wrong_too, *both]
        splits[f"split{int(number)}"] = dict.fromkeys(train, "train") | dict.fromkeys(test, "test")
    if not splits:
        raise DataError(f"{folder}: no trainlist*.txt; run `dvc repro --force fetch`")
    if faults:
        shown = "".join(f"\n  - {fault}" for fault in faults[:SHOWN])
        raise DataError(
            f"{folder}: the split lists contradict themselves in {len(faults)} places; fetch them again:{shown}"
        )
    return splits


def _read_list(path: Path, classes: Sequence[str]) -> tuple[dict[str, None], list[str]]:
    """Clip ids of a list in its order, and what is wrong with its lines."""
    numbers = {label: number for number, label in enumerate(classes, start=1)}
    ids: dict[str, None] = {}
    faults = []
    for line in _lines(path):
        match = _LISTED.fullmatch(line)
        if match is None:
            faults.append(f"{path.name}: Expected a line like `Archery/v_Archery_g01_c01.avi 3`, but got {line!r}")
            continue
        number = numbers.get(match["label"])
        if number is None or int(match["number"] or number) != number:
            faults.append(f"{path.name}: {line!r} names a class that classInd.txt lacks or numbers otherwise")
        ids[match["clip_id"]] = None
    return ids, faults


def _lines(path: Path) -> list[str]:
    """Lines that are not blank."""
    if not path.is_file():
        raise DataError(f"{path}: no such list; run `dvc repro --force fetch`")
    return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
