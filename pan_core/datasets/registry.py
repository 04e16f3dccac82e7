"""Registry of the datasets: an adapter for each name."""

import difflib
from importlib import import_module

from pan_core.datasets.base import Dataset
from pan_core.errors import DataError

# Name -> module and class; imported on use, so that listing the datasets costs nothing.
REGISTRY = {
    "actors": ("pan_core.datasets.actors.adapter", "Actors"),
    "ucf101": ("pan_core.datasets.ucf101", "Ucf101"),
    "ucf101_pose": ("pan_core.datasets.ucf101_pose", "Ucf101Pose"),
    "hmdb51": ("pan_core.datasets.hmdb51", "Hmdb51"),
    "hmdb51_pose": ("pan_core.datasets.hmdb51_pose", "Hmdb51Pose"),
    "penn_action": ("pan_core.datasets.penn_action", "PennAction"),
    "jhmdb": ("pan_core.datasets.jhmdb", "Jhmdb"),
    "jhmdb_video": ("pan_core.datasets.jhmdb_video", "JhmdbVideo"),
    "jhmdb14": ("pan_core.datasets.jhmdb14", "Jhmdb14"),
    "pyskl": ("pan_core.datasets.pyskl", "Pyskl"),
    "gmdcsa24": ("pan_core.datasets.gmdcsa24", "Gmdcsa24"),
    "folders": ("pan_core.datasets.folders", "Folders"),
    "surveillance": ("pan_core.datasets.surveillance", "Surveillance"),
}


def check_name(name: str) -> None:
    """Refuse an unknown dataset.

    Raises:
        DataError: With the nearest known name, and all of them.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(
            f"dataset: unknown name {name!r}; {hint}known: {', '.join(sorted(REGISTRY))}", code="dataset.unknown"
        )


def dataset_by_name(name: str) -> Dataset:
    """The adapter of a dataset.

    Raises:
        DataError: Where the name is unknown.
    """
    check_name(name)
    module, cls = REGISTRY[name]
    return getattr(import_module(module), cls)()
