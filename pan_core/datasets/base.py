"""What a dataset adapter gives: files, a clip table, and, where it has them, poses, segments and truth."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pan_core.datasets.taxonomy import Composition, Taxonomy, packaged_taxonomy
from pan_core.pose.pose_set import ClipPoses, PoseSet
from pan_core.skeletons import OPENPOSE18, SkeletonLayout

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file that its publishers offer.

    Attributes:
        name: Its name, in the mirror folder and among the downloads.
        urls: Where it is offered, the official address first, mirrors after it; empty where it cannot be
            downloaded without a person (an account, a form).
        size: Bytes; None where nobody has stated them.
        checksum: "sha256:..." or "md5:..." where one is known; empty where it is recorded at the first download.
        instead: Names of files or folders in the mirror folder that serve as well, such as what the archive unpacks to.
    """

    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    checksum: str = ""
    instead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is published about a dataset; what is found on disk is compared with it.

    Attributes:
        title: Name as in the literature.
        classes: Number of classes; None where it depends on the user's files.
        clips: Number of clips; None likewise.
        splits: Split number -> part -> number of clips, as published.
        how: How to get it, in one line.
        licence: Terms, in a few words.
        reference: Whom to cite.
    """

    title: str
    classes: int | None = None
    clips: int | None = None
    splits: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    how: str = "downloaded"
    licence: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Context:
    """Where files come from and go through.

    Attributes:
        cache: Folder that outlives a stage's outputs; unfinished work lies here and is taken up again.
        mirror: Folder laid out as `<dataset>/<file>`, looked at before any download.
        workers: Processes that may be used.
        progress: Called with (done, total).
        options: Settings of this dataset from params.yaml: the section of its name, and `seed`.
        download: Whether the network may be used; where not, a file that is not at hand is an error.
        remember: Whether what was found in videos is written down for later runs.
    """

    cache: Path
    mirror: Path | None = None
    workers: int = 1
    progress: Progress | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    download: bool = True
    remember: bool = True


@dataclass(frozen=True)
class Truth:
    """True joints and segments of a made dataset, for evaluation only."""

    poses: PoseSet
    segments: pd.DataFrame


@dataclass(frozen=True)
class Catalogue:
    """Clips that can be used, and those that cannot with the reason.

    Attributes:
        clips: Clip table; a split column for each official split, none where there are none.
        quarantine: Quarantine table: clips whose file is damaged, rows of a list that say nothing sensible.
        missing: Ids of clips that a list names and that are not on disk.
        grouping: What clips of one group have in common, one of `holdout.GROUPINGS`; empty where that is the dataset's own.
    """

    clips: pd.DataFrame
    quarantine: pd.DataFrame
    missing: tuple[str, ...] = ()
    grouping: str = ""


class Dataset(ABC):
    """A source of clips. A new dataset is one subclass in a file of its own and one line in the registry."""

    name: str
    facts: ClassVar[Facts]
    files: ClassVar[tuple[RemoteFile, ...]] = ()
    classes: ClassVar[tuple[str, ...]] = ()
    """Names of its classes as published; none where the user's files decide, or say them first."""
    shares_files_of: ClassVar[str] = ""
    """Dataset whose folder in the mirror and among the downloads it uses; its own where empty."""
    has_video: bool = True
    layout: SkeletonLayout = OPENPOSE18
    taxonomy_name: ClassVar[str] = ""

    @property
    def place(self) -> str:
        """Its folder in the mirror and among the downloads."""
        return self.shares_files_of or self.name

    def configured(self, context: Context) -> Path | None:
        """File or folder of the user's that the options name, whether it is there or not; None where there is none."""
        return None

    @abstractmethod
    def fetch(self, folder: Path, context: Context) -> None:
        """Put the dataset's files below `folder`.

        Raises:
            DataError: Where a file is missing, damaged or cannot be had; says what to do.
        """

    @abstractmethod
    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """The clip table with one column per official split, and what had to be left out."""

    def poses(self, folder: Path, clips: pd.DataFrame) -> Iterator[ClipPoses]:
        """Poses that come with the dataset; only where `has_video` is false."""
        raise TypeError(f"{self.name} gives videos, its poses are extracted")

    def pose_layout(self, folder: Path) -> SkeletonLayout:
        """Layout of the poses that come with the dataset; it may depend on the files."""
        return self.layout

    def segments(self, folder: Path, clips: pd.DataFrame) -> pd.DataFrame | None:
        """Segments that come with the dataset, or None where boundaries must be found."""
        return None

    def class_of(self, clip_id: str) -> str:
        """Class that the name of a clip says, whether the clip is there or not; empty where names say nothing."""
        return ""

    def boxes(self, folder: Path) -> Mapping[str, np.ndarray] | None:
        """Box of the person that the label means in each frame, by clip id; None where nobody has annotated them.

        (T, 4): x0, y0, x1, y1 in pixels, the last two exclusive. For evaluation only.
        """
        return None

    def truth(self, folder: Path) -> Truth | None:
        """True joints and boundaries where they are known, never read before evaluation."""
        return None

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """How its classes are made of atomic actions: `taxonomies/<name>.yaml`, or every class atomic.

        Datasets with the same classes share a file by naming it in `taxonomy_name`.
        """
        return packaged_taxonomy(self.taxonomy_name or self.name)

    def parts(self, label: str) -> Composition:
        """Composition of a class; an atomic class is a sequence of itself."""
        return self.taxonomy.parts(label)
