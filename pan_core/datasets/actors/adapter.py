"""The embedded dataset behind the same interface as any other."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from pan_core.datasets.actors.choreography import ACTIONS, CLASSES, COMPOSITION
from pan_core.datasets.actors.generate import RECIPE, generate
from pan_core.datasets.actors.listing import ActorsSettings
from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, Truth
from pan_core.datasets.download import link_tree
from pan_core.datasets.taxonomy import Composition, Taxonomy, whole
from pan_core.datasets.ucf_layout import catalogue_of
from pan_core.pose.pose_set import PoseSet
from pan_core.tables import read_table


class Actors(Dataset):
    """Adapter of the embedded dataset."""

    name = "actors"
    facts: ClassVar = Facts("actors (embedded)", classes=len(CLASSES), how="made on this machine", licence="Apache-2.0")
    taxonomy: ClassVar = Taxonomy(
        {label: whole(label) for label in ACTIONS}
        | {label: Composition(kind, parts) for label, (kind, parts) in COMPOSITION.items()}
    )

    def fetch(self, folder: Path, context: Context) -> None:
        """Make the videos in the cache, where an interrupted run goes on, and link them into place."""
        settings = ActorsSettings(**context.options)
        recipe = json.dumps([RECIPE, asdict(settings)], sort_keys=True)
        made = context.cache / "actors" / hashlib.sha256(recipe.encode()).hexdigest()[:16]
        generate(made, settings=settings, workers=context.workers, progress=context.progress)
        link_tree(made, folder)

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """Clips with the three splits of the split lists; a clip's group is its actor, whatever the class."""
        return catalogue_of(folder, source=self.name, one_numbering=True, context=context)

    def truth(self, folder: Path) -> Truth:
        """True joints and segments, for evaluation only."""
        truth = folder / "truth"
        segments = read_table("segments", truth / "segments.parquet")
        return Truth(poses=PoseSet(truth / "poses"), segments=segments)
