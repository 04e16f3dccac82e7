"""What a recognizer learnt from, and what other clips share with that."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pan_core.datasets.holdout import NAMED, plain_name
from pan_core.datasets.splits import groups_of
from pan_core.files import read_json

LINEAGE = "lineage.json"
"""File of a version, beside those of the model."""


@dataclass(frozen=True)
class Lineage:
    """Where clips come from.

    Attributes:
        grouping: What clips of one group have in common, one of `holdout.GROUPINGS`; empty where the dataset itself says
            what a group is.
        groups: Their groups; names of people and cameras in one spelling.
        videos: SHA-256 of their videos, where they have any.
    """

    grouping: str
    groups: frozenset[str]
    videos: frozenset[str]

    @classmethod
    def of(cls, clips: pd.DataFrame, pose_index: pd.DataFrame, grouping: str) -> "Lineage":
        """Of the clips of a table, with the index of their poses."""
        groups: Iterable[str] = groups_of(clips)
        if grouping in NAMED:
            # Footage without a holdout has joined groups, such as "ann+ben".
            groups = (plain_name(part) for group in groups for part in group.split("+"))
        hashes = pose_index.loc[pose_index["clip_id"].isin(clips["clip_id"]), "video_sha256"]
        return cls(grouping, frozenset(groups), frozenset(hashes) - {""})

    @classmethod
    def read(cls, folder: Path) -> "Lineage | None":
        """Of a registered model, itself and the weights that it began with; None where its files do not say."""
        if not (folder / LINEAGE).is_file():
            return None
        stored = read_json(folder / LINEAGE)
        groups, videos = (frozenset(stored.get(name, ())) for name in ("groups", "videos"))
        return cls(stored.get("grouping", ""), groups, videos) if groups else None

    def __or__(self, other: "Lineage") -> "Lineage":
        """Both together, which have the same grouping."""
        return Lineage(self.grouping, self.groups | other.groups, self.videos | other.videos)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"grouping": self.grouping, "groups": sorted(self.groups), "videos": sorted(self.videos)}

    def shared_with(self, other: "Lineage") -> list[str] | None:
        """Groups and videos of both; None where that cannot be told, because their groups are of different kinds."""
        videos = [f"the video with SHA-256 {digest[:12]}" for digest in sorted(self.videos & other.videos)]
        if self.grouping != other.grouping:
            return videos or None
        return sorted(self.groups & other.groups) or videos
