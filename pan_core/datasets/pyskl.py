"""2D poses published as pickles of the PYSKL project, and any pickle of that format that a user has.

The pickle is read once, at fetch: what can be used becomes a pose set and a clip table below the dataset's folder,
from where clips are memory-mapped; what cannot goes to quarantine with its reasons.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, Progress
from pan_core.datasets.download import obtain, reading
from pan_core.datasets.manifests.manifest import printable
from pan_core.datasets.pyskl_format import PysklFile, annotation_faults, joints_of, read_pyskl, require_pixels
from pan_core.errors import DataError
from pan_core.files import atomic_path, read_json, read_user_text, require_space, write_json
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.skeletons import COCO17, SkeletonLayout, layout_by_name
from pan_core.tables import quarantine_table, read_table, write_table

POSES, CLIPS, QUARANTINE, MISSING = "poses", "clips.parquet", "quarantine.parquet", "missing.json"


@dataclass(frozen=True)
class PysklSettings:
    """What a file does not say about itself.

    Attributes:
        layout: Order of the joints.
        classes: Name of each label; None where they have none.
        fps: Frames a second of all clips.
    """

    layout: SkeletonLayout
    classes: tuple[str, ...] | None
    fps: float

    def label(self, number: int) -> str:
        """Name of a class."""
        return self.classes[number] if self.classes else f"class {number}"


class PysklDataset(Dataset):
    """A dataset whose poses are one pickle of the PYSKL format.

    A concrete one gives `name`, `facts`, `files`, `classes` and, where it differs, `layout`, `fps` and the two hooks.
    """

    has_video = False
    layout = COCO17
    classes: ClassVar[tuple[str, ...]] = ()
    fps: ClassVar[float] = 30.0
    extractor: ClassVar[str] = "HRNet-w32, as published by PYSKL"

    def group(self, clip_id: str, label: str) -> str:
        """Group of a clip: clips of one group must not be on both sides of a split; empty where none is known.

        Raises:
            DataError: Where the name contradicts the label or the dataset's way of naming.
        """
        return ""

    def pixels(self, joints: np.ndarray, width: int, height: int) -> np.ndarray:
        """Joints (M, T, V, 3) in pixels; the file has pixels unless its dataset says otherwise."""
        return joints

    def source(self, context: Context) -> Path:
        """The pickle."""
        return obtain(self.name, self.files[0], context)

    def settings(self, context: Context) -> PysklSettings:
        """What the file does not say about itself."""
        return PysklSettings(self.layout, self.classes or None, self.fps)

    def fetch(self, folder: Path, context: Context) -> None:
        """Check the pickle whole and store what can be used.

        Raises:
            DataError: Where the file cannot be had or read, or nothing in it can be used.
            PanError: Where the disk cannot hold the poses.
        """
        settings, path = self.settings(context), self.source(context)
        with reading(path, context), atomic_path(folder) as partial:
            conversion = _Conversion(self, settings, read_pyskl(path), path)
            require_space(folder.parent, conversion.size(), f"converting {path.name}")
            write_pose_set(partial / POSES, settings.layout, conversion.poses(context.progress))
            write_table(pd.DataFrame(conversion.rows), "clips", partial / CLIPS)
            write_table(quarantine_table(conversion.failed), "quarantine", partial / QUARANTINE)
            write_json(partial / MISSING, {"missing": conversion.missing()})

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """The stored clip table, quarantine, and the clips that a split names and the file does not hold."""
        missing = read_json(folder / MISSING)["missing"]
        clips, quarantine = read_table("clips", folder / CLIPS), read_table("quarantine", folder / QUARANTINE)
        return Catalogue(clips, quarantine, tuple(missing))

    def poses(self, folder: Path, clips: pd.DataFrame) -> Iterator[ClipPoses]:
        """Stored poses, memory-mapped."""
        stored = PoseSet(folder / POSES)
        return (stored.clip(clip_id) for clip_id in clips["clip_id"])


class Pyskl(PysklDataset):
    """A pickle of the user's, described in the section `pyskl` of params.yaml.

    Options: `path` of the pickle; `layout`, the name of its skeleton layout; `classes`, a text file with a class a
    line in the order of the labels, or none; `fps`.
    """

    name = "pyskl"
    facts: ClassVar = Facts("a PYSKL-format pickle", how="a file of yours: set `path` in the section pyskl")
    extractor = "unknown, from a PYSKL-format pickle"

    def configured(self, context: Context) -> Path | None:
        """The pickle, where the options name one."""
        path = context.options.get("path")
        return Path(str(path)) if path else None

    def source(self, context: Context) -> Path:
        """The file that `path` names."""
        path = self.configured(context)
        if path is None or not path.is_file():
            raise DataError(
                f"params.yaml: pyskl.path: Expected the path of a PYSKL-format pickle, but got {str(path or '')!r}, which "
                "is not a file; set it relative to the project's folder, or absolute",
                code="pyskl.path",
            )
        return path

    def settings(self, context: Context) -> PysklSettings:
        """The options, checked."""
        options = context.options
        layout = layout_by_name(str(options.get("layout", COCO17.name)))
        classes = read_classes(Path(str(options["classes"]))) if options.get("classes") else None
        fps = float(options.get("fps", self.fps))
        if not 1 <= fps <= 1000:
            raise DataError(
                f"params.yaml: pyskl.fps: Expected 1 to 1000 frames a second, but got {fps:g}", code="pyskl.fps"
            )
        return PysklSettings(layout, classes, fps)

    def pose_layout(self, folder: Path) -> SkeletonLayout:
        """The layout that the stored poses have."""
        return SkeletonLayout.from_dict(read_json(folder / POSES / "layout.json"))


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names, one a line.

    Raises:
        DataError: Where the file is missing or empty, is no text, or names a class twice.
    """
    try:
        names = tuple(line.strip() for line in read_user_text(path).splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: no readable list of classes ({error}); Expected a text file, a class a line",
            code="pyskl.classes-unreadable",
        ) from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        raise DataError(
            f"{path}: Expected a class a line, each once, but got {', '.join(twice) or 'an empty file'}",
            code="pyskl.classes",
        )
    return names


@dataclass
class _Conversion:
    """One pass over a file: poses are handed on, rows of the tables stay behind."""

    dataset: PysklDataset
    settings: PysklSettings
    file: PysklFile
    path: Path
    rows: list[dict[str, object]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def poses(self, progress: Progress | None) -> Iterator[ClipPoses]:
        """Poses of the annotations that can be used.

        Raises:
            DataError: At the end, where there were none.
        """
        total = len(self.file.annotations)
        for number in range(total):
            clip = self._take_annotation(self.file.annotations.popleft(), number)
            if clip is not None:
                yield clip
            if progress:
                progress(number + 1, total)
        if not self.rows:
            reasons = "".join(f"\n  - {row['clip_id']}: {row['reason']}" for row in self.failed[:3])
            raise DataError(
                f"{self.path}: none of its {total} annotations can be used, such as:{reasons}", code="pyskl.no-clip"
            )

    def size(self) -> int:
        """Bytes of the joints as they are stored: three numbers of 4 bytes each, whatever the file has."""
        shapes = (np.shape(item["keypoint"]) for item in self.file.annotations if isinstance(item, Mapping)
                  and isinstance(item.get("keypoint"), np.ndarray))  # fmt: skip
        return sum(12 * math.prod(shape[:3]) for shape in shapes)

    def missing(self) -> list[str]:
        """Clips that a split names and the file does not hold."""
        named = {clip for parts in self.file.splits.values() for clips in parts.values() for clip in clips}
        return sorted(printable(name) for name in named if printable(name) not in self.seen)

    def _take_annotation(self, annotation: Any, number: int) -> ClipPoses | None:
        name = annotation.get("frame_dir") if isinstance(annotation, Mapping) else None
        clip_id = printable(name) if isinstance(name, str) and name else f"annotation {number}"
        classes = self.settings.classes
        faults = annotation_faults(
            annotation, joints=self.settings.layout.size, classes=len(classes) if classes else None
        )
        faults += self._check_splits(clip_id)
        if clip_id in self.seen:
            faults.append("a second annotation of this clip")
        self.seen.add(clip_id)
        try:
            if not faults:
                return self._convert(clip_id, annotation)
        except DataError as error:
            faults.append(str(error))
        self.failed.append({"clip_id": clip_id, "stage": "fetch", "reason": "; ".join(faults)})
        return None

    def _check_splits(self, clip_id: str) -> list[str]:
        return [
            f"in {' and '.join(within)} of {column} at once"
            for column, parts in self.file.splits.items()
            if len(within := [part for part, clips in parts.items() if clip_id in clips]) > 1
        ]

    def _convert(self, clip_id: str, annotation: Mapping) -> ClipPoses:
        label = self.settings.label(int(annotation["label"]))
        group = self.dataset.group(clip_id, label)
        height, width = (int(side) for side in annotation["img_shape"])
        joints = self.dataset.pixels(joints_of(annotation), width, height)
        require_pixels(joints, width, height)
        self.rows.append(
            {"clip_id": clip_id, "path": "", "source": self.dataset.name, "label": label, "group": group,
             "subject": "", "camera": "", "fps": self.settings.fps, "n_frames": int(annotation["total_frames"]),
             "width": width, "height": height}
            | {column: _find_part(parts, clip_id) for column, parts in self.file.splits.items()}
        )  # fmt: skip
        return ClipPoses(
            clip_id=clip_id,
            joints=joints,
            fps=self.settings.fps,
            width=width,
            height=height,
            extractor=self.dataset.extractor,
        )


def _find_part(parts: dict[str, set[str]], clip_id: str) -> str:
    return next((part for part, clips in parts.items() if clip_id in clips), "unused")
