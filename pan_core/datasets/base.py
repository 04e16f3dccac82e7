"""What a dataset adapter gives: files, a clip table, and, where it has them, poses, segments and truth."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from pan_core.pose.store import ClipPoses, PoseSet
from pan_core.skeletons import OPENPOSE18, SkeletonLayout

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Composition:
    """How a class is made of atomic actions.

    Attributes:
        kind: "sequence" for one after the other, "together" for several at once.
        parts: Atomic actions, in order for a sequence.
    """

    kind: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class FetchContext:
    """Where files come from and go through.

    Attributes:
        cache: Folder that outlives a stage's outputs; unfinished work lies here and is taken up again.
        mirror: Folder laid out as `<dataset>/<file>`, looked at before any download.
        workers: Processes that may be used.
        progress: Called with (done, total).
        options: Settings of this dataset from params.yaml.
    """

    cache: Path
    mirror: Path | None
    workers: int
    progress: Progress | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """True joints and segments of a made dataset, for evaluation only."""

    poses: PoseSet
    segments: pd.DataFrame


@dataclass(frozen=True)
class Catalogue:
    """Clips that can be used, and those that cannot with the reason."""

    clips: pd.DataFrame
    quarantine: pd.DataFrame


class Dataset(ABC):
    """A source of clips. A new dataset is one subclass in a file of its own and one line in the registry."""

    name: str
    has_video: bool = True
    layout: SkeletonLayout = OPENPOSE18
    compositions: ClassVar[Mapping[str, Composition]] = {}

    @abstractmethod
    def fetch(self, folder: Path, context: FetchContext) -> None:
        """Put the dataset's files below `folder`.

        Raises:
            DataError: Where a file is missing, damaged or cannot be had; says what to do.
        """

    @abstractmethod
    def catalogue(self, folder: Path, *, progress: Progress | None = None) -> Catalogue:
        """The clip table with one column per official split, and what had to be left out."""

    def poses(self, folder: Path, clips: pd.DataFrame) -> Iterator[ClipPoses]:
        """Poses that come with the dataset; only where `has_video` is false."""
        raise TypeError(f"{self.name} gives videos, its poses are extracted")

    def segments(self, folder: Path, clips: pd.DataFrame) -> pd.DataFrame | None:
        """Segments that come with the dataset, or None where boundaries must be found."""
        return None

    def truth(self, folder: Path) -> Truth | None:
        """True joints and boundaries where they are known, never read before evaluation."""
        return None

    def parts(self, label: str) -> Composition:
        """Composition of a class; an atomic class is a sequence of itself."""
        return self.compositions.get(label, self.whole(label))

    @staticmethod
    def whole(label: str) -> Composition:
        """The class taken as one action, as without relabelling."""
        return Composition("sequence", (label,))
