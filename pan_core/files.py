"""Files that are whole or absent: atomic replacement, hashes, and JSON with one form."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pan_core.errors import PanError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place only when the block ends well.

    Serves files and folders. An interrupted block leaves the old content, or nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    partial = folder / path.name
    try:
        yield partial
        if path.is_dir() and partial.is_dir():
            path.rename(folder / "old")
        partial.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically, keys in the order given."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        PanError: Where the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise PanError(f"{path}: no such file; run `dvc repro` to make it") from None
    except json.JSONDecodeError as error:
        raise PanError(f"{path}: not JSON ({error}); delete it and run `dvc repro`") from error


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        folder: Where the bytes will go; created where missing.
        needed: Bytes that the work will write at most.
        purpose: What they are for, for the message.

    Raises:
        PanError: Where less is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PanError(
            f"{folder}: {purpose} needs {needed / 1e6:.0f} MB, but {free / 1e6:.0f} MB are free; "
            "make space or move the project to a larger disk, then run again: finished work is kept"
        )
