"""A frozen holdout: videos that decide between models for good, however much footage comes later.

What is drawn anew with every delivery would sooner or later test a champion on what it was trained on. Likewise the videos
that validate: a training that starts from the champion must not have seen them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.datasets.splits import groups_of
from pan_core.errors import DataError
from pan_core.files import read_json

HOLDOUT = "holdout.json"
SPLIT = "split1"


@dataclass(frozen=True)
class Holdout:
    """Videos that no network is trained on.

    Attributes:
        group: What clips of one group have in common; see `surveillance.GROUPINGS`.
        videos: Those that decide, by their paths below the footage.
        validation: Those that validate.
    """

    group: str
    videos: tuple[str, ...]
    validation: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Holdout":
        """Out of its file.

        Raises:
            DataError: Where it is not one.
        """
        stored = read_json(path)
        try:
            group, videos, validation = stored["group"], stored["videos"], stored["validation"]
        except KeyError as error:
            raise DataError(f"{path}: has no {error}; expected group, videos and validation") from None
        if not isinstance(group, str) or not all(isinstance(part, list) and part for part in (videos, validation)):
            raise DataError(f"{path}: expected the name of a grouping and two lists of videos")
        return cls(group, tuple(videos), tuple(validation))

    def split(self, clips: pd.DataFrame, videos: pd.Series) -> pd.Series:
        """Part of each clip: test where its video decides, unused where only its group does, val where its group validates.

        Args:
            clips: Clip table with its groups.
            videos: Video of each clip, of the same index.

        Raises:
            DataError: Where a video that is held out has no clip any more.
        """
        test = videos.isin(self.videos)
        if lost := sorted({*self.videos, *self.validation} - set(videos)):
            raise DataError(
                f"{HOLDOUT}: {len(lost)} videos that decide or validate are gone or have no usable label, such "
                f"as {lost[0]}; put them back: without them no model could be compared with those before"
            )
        groups = groups_of(clips)
        shares, validates = groups.isin(groups[test]), groups.isin(groups[videos.isin(self.validation)])
        return pd.Series(np.select([test, shares, validates], ["test", "unused", "val"], "train"), index=clips.index)
