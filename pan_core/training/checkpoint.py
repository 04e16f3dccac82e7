"""Checkpoints of a training: whole or absent, and only ever continued by the same training."""

import dataclasses
import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pan_core.files import atomic_path
from pan_core.training.samples import Samples


class CheckpointWarning(UserWarning):
    """A checkpoint that is not continued; the training starts at the beginning."""


class DamagedCheckpointWarning(CheckpointWarning):
    """The file cannot be read."""


class ForeignCheckpointWarning(CheckpointWarning):
    """The file belongs to another training: data, settings or seed have changed."""


def fingerprint(*parts: object) -> str:
    """Identity of a training: settings, seed and the very samples.

    Args:
        parts: Dataclasses, samples and plain values.

    Returns:
        SHA-256 as hex.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def save_checkpoint(path: Path, state: dict[str, Any], identity: str) -> None:
    """Write a checkpoint atomically.

    Args:
        path: File.
        state: Tensors and plain values.
        identity: What `fingerprint` gave.
    """
    with atomic_path(path) as partial:
        torch.save({"identity": identity, "state": state}, partial)


def load_checkpoint(path: Path, identity: str) -> dict[str, Any] | None:
    """The state to continue from.

    Returns:
        None if there is no checkpoint, or, with a `CheckpointWarning`, if it is damaged or of another training: data,
        settings or seed have changed, and the new training starts at its beginning.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, state = content["identity"], content["state"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        warnings.warn(
            f"{path}: unreadable checkpoint ({error}); training starts at the beginning",
            DamagedCheckpointWarning,
            stacklevel=2,
        )
        return None
    if found != identity:
        warnings.warn(
            f"{path}: checkpoint of a training with other data, settings or seed; training starts at the beginning",
            ForeignCheckpointWarning,
            stacklevel=2,
        )
        return None
    return state


def _feed(digest: Any, part: object) -> None:
    """Add one part to a hash; arrays by type, shape and bytes."""
    if isinstance(part, Samples):
        for name in ("joints", "holds", "offsets", "labels"):
            _feed(digest, getattr(part, name))
        digest.update(repr((part.classes, part.actions, part.layout, part.mode)).encode())
    elif isinstance(part, np.ndarray):
        digest.update(repr((part.dtype.str, part.shape)).encode())
        digest.update(np.ascontiguousarray(part).data)
    elif dataclasses.is_dataclass(part):
        digest.update(repr(part).encode())
    else:
        digest.update(repr(part).encode())
