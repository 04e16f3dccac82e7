"""Datasets behind one registry; every adapter yields the same clip table."""

import difflib
from importlib import import_module

from pan_core.datasets.base import Dataset
from pan_core.errors import DataError

# Name -> module and class; imported on use, so that listing the datasets costs nothing.
REGISTRY = {
    "actors": ("pan_core.datasets.actors.adapter", "Actors"),
    "penn_action": ("pan_core.datasets.penn_action", "PennAction"),
}


def check_name(name: str) -> None:
    """Refuse an unknown dataset.

    Raises:
        DataError: With the nearest known name, and all of them.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"dataset: unknown name {name!r}; {hint}known: {', '.join(sorted(REGISTRY))}")


def dataset_by_name(name: str) -> Dataset:
    """The adapter of a dataset.

    Raises:
        DataError: Where the name is unknown.
    """
    check_name(name)
    module, cls = REGISTRY[name]
    return getattr(import_module(module), cls)()
