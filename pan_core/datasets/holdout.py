"""A frozen holdout: videos that decide between models for good, however much footage comes later.

What is drawn anew with every delivery would sooner or later test a champion on what it was trained on. Likewise the videos
that validate: a training that starts from the champion must not have seen them.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pan_core.errors import DataError, PanError
from pan_core.files import read_json

HOLDOUT = "holdout.json"
SPLIT = "split1"
GROUPINGS = ("subject", "camera", "day", "video")
"""What clips may share that a model could learn instead of the action, in the order of preference."""

NAMED = ("subject", "camera")
"""Those that people write by hand."""

BRING_BACK = "`dvc checkout data/footage.dvc` brings back the footage as it was last trained on"


def plain_name(name: str) -> str:
    """A name without case, spaces and marks: "Subject 1" and "subject_1" are one.

    Else the one would be learnt from and test the other.
    """
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold()) or name


@dataclass(frozen=True)
class Holdout:
    """Videos that no network is trained on.

    Attributes:
        group: What clips of one group have in common, one of `GROUPINGS`.
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
        try:
            stored = read_json(path)
            group, videos, validation = stored["group"], stored["videos"], stored["validation"]
        except (PanError, KeyError, TypeError):
            raise DataError(
                f"{path}: damaged, expected an object with group, videos and validation; {BRING_BACK}",
                code="holdout.damaged",
            ) from None
        lists = all(isinstance(part, list) and part for part in (videos, validation))
        if group not in GROUPINGS or not lists or not all(isinstance(name, str) for name in (*videos, *validation)):
            raise DataError(
                f"{path}: damaged, expected the name of a grouping and two lists of videos; {BRING_BACK}",
                code="holdout.damaged",
            )
        return cls(group, tuple(videos), tuple(validation))

    def split(self, videos: pd.Series, groups: pd.Series) -> pd.Series:
        """Part of each clip.

        A video that decides is test; one that shares a group with it is unused, and so is one that has groups to validate
        and groups to learn from. So no video that comes later moves those that came before.

        Args:
            videos: Video of each clip.
            groups: What its row says of the grouping, of the same index; a video may have several.

        Raises:
            DataError: Where a video that decides or validates has no clip any more.
        """
        if lost := sorted({*self.videos, *self.validation} - set(videos)):
            raise DataError(
                f"{HOLDOUT}: {len(lost)} videos that decide or validate are gone or have no usable label, such "
                f"as {lost[0]}; put them back: without them no model could be compared with those before",
                code="holdout.lost-videos",
            )
        deciding, validating = (set(groups[videos.isin(part)]) for part in (self.videos, self.validation))
        of_video = groups.groupby(videos).agg(set)
        parts = {
            video: "test" if video in self.videos
            else "unused" if own & deciding or (own & validating and own - validating)
            else "val" if own & validating
            else "train"
            for video, own in of_video.items()
        }  # fmt: skip
        return videos.map(parts)
