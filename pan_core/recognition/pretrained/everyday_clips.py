"""Clips that the stock recognizer of everyday actions learns from: JHMDB's videos, and drawn actors filmed like them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.benchmark.people import PoseRecipe, extract_people
from pan_core.benchmark.prepared_data import BenchmarkData
from pan_core.datasets.actors.adapter import Actors
from pan_core.datasets.base import Context
from pan_core.pose.batch_extraction import Failure
from pan_core.pose.pose_set import PoseSet, write_pose_set
from pan_core.recognition.pretrained.everyday_classes import CLASSES, OF_ACTORS, OF_JHMDB
from pan_core.segments.table import whole_clips
from pan_core.skeletons import OPENPOSE18
from pan_core.training.samples import Poses, Samples, build_samples


@dataclass(frozen=True)
class EverydayClips:
    """Clips under the names of `CLASSES`.

    Attributes:
        table: Clip table with the columns of the splits.
        poses: Their skeletons.
        segments: Segment table; its labels are of `CLASSES`, too.
        nobody: Clips in which nobody was found.
    """

    table: pd.DataFrame
    poses: Poses
    segments: pd.DataFrame
    nobody: frozenset[str]

    def part(self, name: str, split: int) -> np.ndarray:
        """Which clips are in a part of a split, bool (N,)."""
        return (self.table[f"split{split}"] == name).to_numpy()

    def found(self, chosen: np.ndarray) -> np.ndarray:
        """Which of the chosen clips show somebody, bool (N,)."""
        return chosen & ~self.table["clip_id"].isin(self.nobody).to_numpy()

    def samples(self, chosen: np.ndarray, *, rate: float) -> Samples:
        """Samples of online mode, of the chosen clips that show somebody.

        Args:
            chosen: Bool (N,).
            rate: Frames a second.

        Raises:
            DataError: If there is none.
        """
        table = self.table[self.found(chosen)]
        return build_samples(
            table, self.poses, self.segments, classes=CLASSES, actions=CLASSES, mode="online", rate=rate
        )


def film_clips(data: BenchmarkData) -> EverydayClips:
    """JHMDB's clips of everyday classes; an action lasts for the whole clip, which was cut to it."""
    table = _rename(data.clips, OF_JHMDB)
    return EverydayClips(table, data.poses, whole_clips(table), frozenset(data.lacking.without_people))


def drawn_clips(folder: Path, context: Context, poses: PoseRecipe) -> EverydayClips:
    """Drawn actors, with skeletons as the extractor finds them and their true segments.

    Args:
        folder: Where the videos and skeletons go.
        context: Cache, processes, and the settings of the dataset.
        poses: How skeletons are extracted.
    """
    dataset, failures = Actors(), list[Failure]()
    dataset.fetch(folder / "raw", context)
    clips = dataset.catalogue(folder / "raw", replace(context, progress=None)).clips
    write_pose_set(folder / "poses", OPENPOSE18, extract_people(clips, folder / "raw", poses, context, failures))
    # The clips are for training alone, so that the truth can serve.
    segments = dataset.truth(folder / "raw").segments
    return EverydayClips(
        _rename(clips, OF_ACTORS), PoseSet(folder / "poses"), segments, frozenset(each.clip_id for each in failures)
    )


def _rename(clips: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    kept = clips[clips["label"].isin(names)]
    return kept.assign(label=kept["label"].map(names)).reset_index(drop=True)
