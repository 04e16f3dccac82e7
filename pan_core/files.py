"""Files that are whole or absent: atomic replacement, hashes, JSON with one form; and what lies below a folder."""

import codecs
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import stat
import tempfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pan_core.errors import PanError

CACHE_VARIABLE = "PAN_CACHE"
COPIES = Path(".dvc/tmp/exps")
"""Below it DVC copies a project for the run of an experiment."""
SCRATCH_SUFFIX = ".partial"
swept: set[Path] = set()
"""Folders whose orphans this process has removed."""


def project_folder() -> Path:
    """Project whose files outlive a run in the working directory, an empty path where that is the project itself.

    `dvc exp run --temp` and `--queue` run in a copy below the project's `.dvc/tmp/exps`, which is gone afterwards.
    """
    here = Path.cwd()
    root = next((above for above in here.parents if here.is_relative_to(above / COPIES)), None)
    return root or Path()


def cache_folder() -> Path:
    """Folder that outlives stage outputs: downloads, extracted poses, checkpoints, copies of registered versions."""
    return Path(os.environ.get(CACHE_VARIABLE, project_folder() / ".cache"))


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place only when the block ends well.

    Serves files and folders. An interrupted block leaves the old content, or nothing.
    """
    with scratch_folder(path.parent, path.name) as folder:
        partial = folder / path.name
        yield partial
        if path.is_dir() and partial.is_dir():
            path.rename(folder / "old")
        partial.replace(path)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a hidden folder below `parent`, removed in the end.

    A killed process cannot remove its folders: they are removed when another process first works below `parent`. Each
    is locked while it is in use, and the system gives up a lock with its process, so one that can be locked is an
    orphan. Where the file system has no locks, orphans stay.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    folder, lock = _locked_folder(parent, f".{name}.")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=SCRATCH_SUFFIX, dir=parent))
        # Another process may take the folder for an orphan before it is locked; then there is a next one.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _sweep(parent: Path) -> None:
    """Remove orphans, once a process: a folder of thousands of files is not looked through for each of them."""
    place = parent.absolute()
    if place in swept:
        return
    swept.add(place)
    for folder in parent.glob(f".*{SCRATCH_SUFFIX}"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@dataclass(frozen=True)
class FolderListing:
    """What lies below a folder.

    Attributes:
        files: Regular files that can be read, in order.
        passed_over: "name: reason" of everything else; the names can be printed, whatever bytes they have.
    """

    files: tuple[Path, ...]
    passed_over: tuple[str, ...] = ()

    def ending_in(self, suffixes: Collection[str]) -> list[Path]:
        """The files whose suffix, in lower case, is one of these."""
        return [path for path in self.files if path.suffix.lower() in suffixes]


def list_files(folder: Path, *, hidden: bool = False) -> FolderListing:
    """Files below a folder, linked folders too; nothing in it can stop this, or make it go round for ever.

    Args:
        folder: Where to look; one that is missing has no files.
        hidden: Whether names that begin with a dot count, too.
    """
    files: list[Path] = []
    passed_over: dict[str, str] = {}
    seen: set[str] = set()
    root, todo = os.path.realpath(folder), deque([folder])
    while todo:
        place = todo.popleft()
        real = os.path.realpath(place)
        # A link to a folder above would lead out of the footage, and back into it.
        if real in seen or (place != folder and Path(root).is_relative_to(real)):
            passed_over[_name_below(place, folder)] = (
                "a link to a folder that is looked into already, or has this one in it"
            )
            continue
        seen.add(real)
        try:
            paths = sorted(place.iterdir())
        except OSError as error:
            passed_over[_name_below(place, folder)] = f"cannot be looked into ({error.strerror})"
            continue
        for path in (path for path in paths if hidden or not path.name.startswith(".")):
            if reason := _why_passed_over(path):
                passed_over[_name_below(path, folder)] = reason
            elif path.is_file():
                files.append(path)
            else:  # links last: what they lead to has the name of its own place
                (todo.append if path.is_symlink() else todo.appendleft)(path)
    return FolderListing(tuple(sorted(files)), tuple(f"{name}: {passed_over[name]}" for name in sorted(passed_over)))


def _why_passed_over(path: Path) -> str:
    """Why a path is neither a folder nor a file that can be read; empty if it is one."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a link that leads nowhere" if path.is_symlink() else f"cannot be looked at ({error.strerror})"
    if stat.S_ISDIR(mode):
        return ""
    if not stat.S_ISREG(mode):
        return "no regular file but a pipe, a socket or a device"
    return "" if os.access(path, os.R_OK) else "cannot be read, its permissions forbid it"


def printable_name(path: Path) -> str:
    """A path as text that can be printed and stored, whatever bytes it has."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(ascii(letter)[1:-1] if ord(letter) < 32 or 127 <= ord(letter) < 160 else letter for letter in text)


def _name_below(path: Path, folder: Path) -> str:
    return printable_name(path.relative_to(folder))


def replace_folder(path: Path) -> Path:
    """An empty folder in the place of whatever was there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def digest_of(path: Path, algorithm: str) -> str:
    """Digest of a file's content by an algorithm of `hashlib`, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hex."""
    return digest_of(path, "sha256")


def restore_advice(path: Path, *, root: Path) -> str:
    """What brings back a file or folder that comes with the package; `root` is where the package's folder lies."""
    if not (root / ".git").exists():
        return "reinstall the package"
    return f"run `git -C {shlex.quote(str(path.parent))} checkout -- {shlex.quote(path.name)}`"


def read_user_text(path: Path) -> str:
    """Text that a user wrote: UTF-8 with or without a byte-order mark, or UTF-16 with one, as Windows' editors save.

    Raises:
        OSError: If it cannot be read.
        UnicodeDecodeError: If it is in another encoding, or no text.
    """
    data = path.read_bytes()
    return data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")


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
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PanError(f"{path}: no such file; run `dvc repro` to make it", code="json.missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PanError(f"{path}: not JSON ({error}); delete it and run `dvc repro`", code="json.damaged") from error


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
            "make space or move the project to a larger disk, then run again: finished work is kept",
            code="disk.full",
        )


def require_output_folder(folder: Path) -> None:
    """Refuse an output folder before the work if nothing can be written there; it is not made yet.

    Raises:
        PanError: Where the system refuses a file in it, or in the nearest folder above that there is.
    """
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as trial:
            trial.write(bytes(4096))
            trial.flush()
    except OSError as error:
        reason = "is no folder" if place.exists() and not place.is_dir() else error.strerror or str(error)
        raise PanError(
            f"{folder}: results cannot be written there ({place}: {reason}); name another folder, or put this one right",
            code="output.unwritable",
        ) from error


def require_output_file(path: Path, sources: Iterable[Path] = ()) -> None:
    """Refuse an output file before the work if it cannot be written, or if it is a source of the same work.

    Args:
        path: The file.
        sources: Files that are read; links to them count as they do.

    Raises:
        PanError: With the code "output.is-source", "output.is-folder" or "output.unwritable".
    """
    if path.is_dir():
        raise PanError(f"{path}: is a folder, expected a file to write", code="output.is-folder")
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise PanError(
            f"{path}: is one of the files that are read, and would be replaced; name another file to write",
            code="output.is-source",
        )
    require_output_folder(path.parent)
