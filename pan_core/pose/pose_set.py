"""Poses of a whole dataset in one memory-mapped array.

A pose set is a folder: `joints.npy` (R, V, 3) float32 with x, y in pixels and a score in 0..1, `index.parquet`
which says where each clip's rows lie, and `layout.json`. A clip's rows are people x frames, so a clip is one
contiguous block and reading it copies nothing. A joint that was not found has score 0 and NaN for x and y:
zeros would be a place in the picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.files import atomic_path, read_json, write_json
from pan_core.skeletons import SkeletonLayout
from pan_core.tables import read_table, write_table


@dataclass(frozen=True)
class ClipPoses:
    """Poses of one clip.

    Attributes:
        clip_id: The clip.
        joints: Shape (M, T, V, 3): x, y in pixels, score; M may be 0.
        fps: Poses a second.
        width: Picture width in pixels.
        height: Picture height in pixels.
        extractor: Identity of what made them.
        video_sha256: Hash of the video, empty where there is none.
    """

    clip_id: str
    joints: np.ndarray
    fps: float
    width: int
    height: int
    extractor: str
    video_sha256: str = ""


class PoseSet:
    """Read access to a stored pose set; clips are memory-mapped views.

    Raises:
        DataError: If the folder is not a whole pose set.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "layout.json").is_file():
            raise DataError(
                f"{folder}: not a pose set, layout.json is missing; run `dvc repro pose`", code="poses.missing"
            )
        self.layout = SkeletonLayout.from_dict(read_json(folder / "layout.json"))
        self.index = read_table("pose index", folder / "index.parquet").set_index("clip_id", drop=False)
        self.joints = np.load(folder / "joints.npy", mmap_mode="r")
        expected = (int((self.index["people"] * self.index["frames"]).sum()), self.layout.size, 3)
        if self.joints.shape != expected:
            raise DataError(
                f"{folder}: Expected joints.npy to have shape {expected}, but got {self.joints.shape}",
                code="poses.joints-shape",
            )
        self._rows = {row.clip_id: row for row in self.index.itertuples(index=False)}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._rows

    def clip(self, clip_id: str) -> ClipPoses:
        """Poses of one clip, as a view."""
        if clip_id not in self._rows:
            raise DataError(f"no poses of clip {clip_id!r} in the pose set", code="poses.no-clip")
        row = self._rows[clip_id]
        block = self.joints[row.offset : row.offset + row.people * row.frames]
        return ClipPoses(
            clip_id=clip_id,
            joints=block.reshape(row.people, row.frames, self.layout.size, 3),
            fps=row.fps,
            width=row.width,
            height=row.height,
            extractor=row.extractor,
            video_sha256=row.video_sha256,
        )


def write_pose_set(folder: Path, layout: SkeletonLayout, clips: Iterable[ClipPoses]) -> None:
    """Write a pose set clip by clip; the folder appears whole or not at all.

    Only one clip is held at a time, so `clips` may be a generator over more than fits into memory.

    Raises:
        DataError: If a clip's joints have the wrong shape, or a found joint has no finite place.
    """
    with atomic_path(folder) as partial:
        partial.mkdir()
        rows = _write_joints(partial / "joints.npy", layout, clips)
        if not rows:
            raise DataError(f"{folder}: no clip has poses, so there is nothing to store", code="poses.empty")
        write_table(pd.DataFrame(rows), "pose index", partial / "index.parquet")
        write_json(partial / "layout.json", layout.as_dict())


def _write_joints(path: Path, layout: SkeletonLayout, clips: Iterable[ClipPoses]) -> list[dict[str, object]]:
    """Append the joints of every clip to one array file; the rows of the index."""
    rows: list[dict[str, object]] = []
    offset = 0
    with path.open("wb") as file:
        _write_header(file, offset, layout.size)
        for clip in clips:
            people, frames = clip.joints.shape[:2]
            _check_joints(clip, layout).tofile(file)
            rows.append({"clip_id": clip.clip_id, "offset": offset, "people": people, "frames": frames,
                         "fps": clip.fps, "width": clip.width, "height": clip.height, "extractor": clip.extractor,
                         "video_sha256": clip.video_sha256})  # fmt: skip
            offset += people * frames
        _write_header(file, offset, layout.size)
    return rows


def _write_header(file: BinaryIO, rows: int, joints: int) -> None:
    """Write the header of an .npy file; NumPy pads it so that its length does not depend on the number of rows."""
    file.seek(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, joints, 3)}
    np.lib.format.write_array_header_1_0(file, header)


def _check_joints(clip: ClipPoses, layout: SkeletonLayout) -> np.ndarray:
    """Joints of a clip as they are stored.

    Raises:
        DataError: If they are against the contract.
    """
    shape = clip.joints.shape
    if len(shape) != 4 or shape[2:] != (layout.size, 3):
        raise DataError(
            f"{clip.clip_id}: Expected joints to have shape (M, T, {layout.size}, 3), but got {shape}",
            code="poses.clip-shape",
        )
    joints = np.ascontiguousarray(clip.joints, dtype="<f4")
    if not np.isfinite(joints[joints[..., 2] > 0]).all():
        raise DataError(f"{clip.clip_id}: a joint with a score above 0 has no finite place", code="poses.no-place")
    return joints
