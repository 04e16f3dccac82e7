"""Joints and facts about them in one `.npz` file, checked when it is read."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pan_core.files import atomic_path

Content = TypeVar("Content")


class DamagedFileError(Exception):
    """A file cannot be read as it was written; the message names the fault."""


def write_joints(path: Path, joints: np.ndarray, facts: dict[str, Any], *, synced: bool = False) -> None:
    """Write a file of joints; it appears whole or not at all.

    Args:
        path: The file.
        joints: Of any shape.
        facts: JSON values.
        synced: Whether to wait until the file is on the disk, for callers that then delete the source.
    """
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez(file, joints=joints, facts=json.dumps(facts))
        if synced:
            file.flush()
            os.fsync(file.fileno())
    if synced:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_joints(path: Path, make: Callable[[np.ndarray, dict[str, Any]], Content]) -> Content:
    """Read a file and build an object of its joints and facts.

    Raises:
        Damaged: If the file cannot be read, or its facts are not what the function expects.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return make(stored["joints"], json.loads(str(stored["facts"])))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedFileError(str(error)) from error
