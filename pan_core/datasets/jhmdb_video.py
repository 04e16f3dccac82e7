"""JHMDB's videos: 928 clips of 21 of HMDB51's classes, three official splits (Jhuang et al., ICCV 2013).

The containers announce more frames than they hold, such as 48 for 40; what can be decoded counts. Beside the videos there may
be `boxes.csv.gz`: clip, frame from 0, and the box x0, y0, x1, y1 of the annotated person in it (the last two exclusive), taken
from the official puppet masks. Nothing but evaluation reads it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from pan_core.datasets.base import Catalogue, Context, Dataset, RemoteFile
from pan_core.datasets.download import obtain
from pan_core.datasets.hmdb51 import Hmdb51, read_name
from pan_core.datasets.jhmdb import CLASSES, FACTS, HOST, LISTS, read_splits
from pan_core.datasets.video_folders import (
    SPLITS,
    VIDEO_SUFFIX,
    VIDEOS,
    gather,
    read_catalogue,
    unpack_into,
)
from pan_core.errors import DataError
from pan_core.files import atomic_path

VIDEO_ARCHIVE = RemoteFile(
    "JHMDB_video.zip",
    urls=(f"https://{HOST}/JHMDB_video.zip", f"http://{HOST}/JHMDB_video.zip"),
    checksum="md5:0aca5af988892c8c2afe652a30544b8c",
    instead=("ReCompress_Videos",),
)
BOXES = RemoteFile("boxes.csv.gz")
BOX_COLUMNS = ("clip", "frame", "x0", "y0", "x1", "y1")


class JhmdbVideo(Dataset):
    """Adapter of JHMDB's videos; the group of a clip is the film that it was cut from, as in HMDB51."""

    name = "jhmdb_video"
    shares_files_of = "jhmdb"
    classes = CLASSES
    facts: ClassVar = FACTS
    files: ClassVar = (LISTS, VIDEO_ARCHIVE, BOXES)

    def fetch(self, folder: Path, context: Context) -> None:
        """Obtain and check the split lists, which are small, then the videos; both or nothing below `folder`."""
        lists, videos, boxes = self.files
        with atomic_path(folder) as partial:
            partial.mkdir()
            unpack_into(obtain(self.place, lists, context), partial / "unpacked", context)
            gather(partial / "unpacked", partial / SPLITS, ".txt")
            read_splits(partial / SPLITS, classes=CLASSES)
            unpack_into(obtain(self.place, videos, context), partial / "unpacked", context)
            gather(partial / "unpacked", partial / VIDEOS, VIDEO_SUFFIX, lambda path: path.parent.name)
            if (source := self._find_boxes(boxes, context)) is not None:
                (partial / BOXES.name).write_bytes(source.read_bytes())

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """Clips with the three official splits."""
        splits = read_splits(folder / SPLITS, classes=CLASSES)
        return read_catalogue(folder, splits, source=self.name, name_of=read_name, context=context)

    def class_of(self, clip_id: str) -> str:
        """As in HMDB51."""
        return Hmdb51().class_of(clip_id)

    def boxes(self, folder: Path) -> Mapping[str, np.ndarray] | None:
        """Boxes of `boxes.csv.gz`; None where it is not beside the videos.

        Raises:
            DataError: If it is no such table, or the frames of a clip are not 0, 1, 2 and so on.
        """
        path = folder / BOXES.name
        return read_boxes(path) if path.is_file() else None

    def _find_boxes(self, boxes: RemoteFile, context: Context) -> Path | None:
        try:
            return obtain(self.place, boxes, context)
        except DataError as error:
            if error.code == "file.not-offered":
                return None
            raise


def read_boxes(path: Path) -> dict[str, np.ndarray]:
    """Boxes by clip id, (T, 4): x0, y0, x1, y1 in pixels.

    Raises:
        DataError: If the file is no such table, a box is empty, or the frames of a clip are not 0, 1, 2 and so on.
    """
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(BOX_COLUMNS[1:], float) | {"clip": str}, keep_default_na=False)
        table = table[list(BOX_COLUMNS)]
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: Expected a table with the columns {', '.join(BOX_COLUMNS)} ({error}); fetch it again",
            code="boxes.damaged",
        ) from error
    found = {}
    for clip, own in table.sort_values(["clip", "frame"], kind="stable").groupby("clip", sort=False):
        if own["frame"].tolist() != list(range(len(own))):
            raise DataError(
                f"{path}: {clip}: Expected the frames 0 to {len(own) - 1}, each once; correct the table",
                code="boxes.frames",
            )
        boxes = own[list(BOX_COLUMNS[2:])].to_numpy(dtype=np.float64)
        if not (np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()):
            raise DataError(
                f"{path}: {clip}: Expected boxes with x0 < x1 and y0 < y1; correct the table", code="boxes.empty-box"
            )
        found[str(clip)] = boxes
    if not found:
        raise DataError(f"{path}: has no box; fetch it again", code="boxes.empty")
    return found
