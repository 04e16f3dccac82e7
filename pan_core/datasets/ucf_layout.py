"""UCF101's way of naming clips and listing splits: `v_<Class>_gNN_cMM.avi`, `trainlist01.txt`, `testlist01.txt`."""

import re
from pathlib import Path

import pandas as pd

from pan_core.datasets.base import Catalogue, Progress
from pan_core.errors import DataError, VideoError
from pan_core.tables import empty_table
from pan_core.video import probe

NAME = re.compile(r"v_(?P<label>[A-Za-z0-9]+)_g(?P<group>\d+)_c(?P<clip>\d+)")


def read_split_list(path: Path) -> set[str]:
    """Clip ids that a split list names; a class number after the path is ignored."""
    if not path.is_file():
        raise DataError(f"{path}: no such split list; run `dvc repro --force fetch`")
    lines = path.read_text().splitlines()
    return {Path(line.split()[0]).stem for line in lines if line.strip()}


def read_splits(folder: Path) -> dict[str, dict[str, str]]:
    """Part of every clip in every official split: column -> clip id -> train or test.

    Raises:
        DataError: Where a list is missing or a clip is in training and test at once.
    """
    splits = {}
    for train_list in sorted(folder.glob("trainlist*.txt")):
        number = train_list.stem.removeprefix("trainlist")
        train, test = read_split_list(train_list), read_split_list(folder / f"testlist{number}.txt")
        if both := sorted(train & test):
            raise DataError(f"{train_list}: {len(both)} clips are in training and test at once, such as {both[0]}")
        splits[f"split{int(number)}"] = dict.fromkeys(train, "train") | dict.fromkeys(test, "test")
    if not splits:
        raise DataError(f"{folder}: no trainlist*.txt; run `dvc repro --force fetch`")
    return splits


def read_catalogue(
    videos: Path, root: Path, splits: Path, *, source: str, progress: Progress | None = None
) -> Catalogue:
    """Clip table of all videos below a folder; a video that cannot be opened goes to quarantine.

    Args:
        videos: Folder with one folder per class.
        root: Folder that the table's paths are relative to.
        splits: Folder of the split lists.
        source: Name of the dataset.
        progress: Called with (done, total).
    """
    parts = read_splits(splits)
    files = sorted(videos.rglob("v_*.avi"))
    rows, failed = [], []
    for done, path in enumerate(files, start=1):
        try:
            rows.append(
                _row(path, root, source) | {name: split.get(path.stem, "unused") for name, split in parts.items()}
            )
        except VideoError as error:
            failed.append({"clip_id": path.stem, "stage": "split", "reason": str(error)})
        if progress:
            progress(done, len(files))
    if not rows:
        raise DataError(f"{videos}: no readable v_<Class>_gNN_cMM.avi; run `dvc repro --force fetch`")
    return Catalogue(pd.DataFrame(rows), pd.DataFrame(failed) if failed else empty_table("quarantine"))


def _row(path: Path, root: Path, source: str) -> dict[str, object]:
    match = NAME.fullmatch(path.stem)
    if match is None:
        raise VideoError(f"{path}: Expected a name like v_LongJump_g03_c02.avi")
    info = probe(path)
    return {
        "clip_id": path.stem,
        "path": str(path.relative_to(root)),
        "source": source,
        "label": match["label"],
        "group": f"g{match['group']}",
        "subject": f"g{match['group']}",
        "camera": "",
        "fps": info.fps,
        "n_frames": info.n_frames,
        "width": info.width,
        "height": info.height,
    }
