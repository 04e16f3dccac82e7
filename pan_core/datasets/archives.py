"""Unpack archives that came from elsewhere: whole or not at all, and never outside of their folder.

No link is ever written: a link in a tar archive to another member becomes a copy of that member, every other link is
refused. So no member can be written through an earlier one, whatever its name says.
"""

import errno
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pan_core.datasets.archive_members import Member, RarError, kind_of, open_members, require_rar
from pan_core.datasets.base import Progress
from pan_core.errors import DataError
from pan_core.files import atomic_path, require_space

__all__ = ["MAX_MEMBERS", "require_rar", "unpack", "unpack_nested"]

MAX_MEMBERS = 1_000_000
MAX_RATIO = 200
FREE_OF_RATIO = 1_000_000_000

_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error)
_UNREADABLE = (RarError, NotImplementedError, RuntimeError, ValueError)

Wanted = Callable[[str], bool]


def unpack(
    archive: Path,
    folder: Path,
    *,
    members: Wanted | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Unpack a zip, tar (plain, gz, bz2, xz) or RAR archive; `folder` appears whole or not at all.

    Args:
        archive: The archive; what it is, is found from its content.
        folder: Folder to make; one that is there is replaced.
        members: Says by its name ("a/b.txt") whether a file is wanted; all are where it is left out.
        max_bytes: Bytes that it may unpack to; where it is left out, 200 times its size, and at least 1 GB.
        progress: Called with (bytes of the archive done, its size).

    Raises:
        DataError: Where the archive is damaged, encrypted, of another kind, unpacks to more than it may, or has a
            member that leads out of the folder.
        PanError: Where the disk cannot hold what it states.
    """
    with atomic_path(folder) as partial:
        partial.mkdir()
        _unpack_into(archive, partial, _Budget(archive, _limit(archive, max_bytes)), members, progress)


def unpack_nested(archive: Path, folder: Path, *, inner_suffix: str = ".rar", progress: Progress | None = None) -> None:
    """Unpack an archive of archives into one tree; each inner one goes to the folder where it lay, and is removed.

    Args:
        archive: The outer archive.
        folder: Folder to make, whole or not at all.
        inner_suffix: How the names of the inner archives end, in any case.
        progress: Called with (archives done, archives in all).

    Raises:
        DataError: As `unpack`; what all of them unpack to counts together.
    """
    with atomic_path(folder) as partial:
        partial.mkdir()
        budget = _Budget(archive, _limit(archive, None))
        _unpack_into(archive, partial, budget, None, None)
        inner = sorted(path for path in partial.rglob("*") if path.name.lower().endswith(inner_suffix.lower()))
        for done, path in enumerate(inner, start=1):
            try:
                _unpack_into(path, path.parent, budget, None, None)
            except DataError as error:
                raise DataError(f"{archive}: an archive in it cannot be used: {error}", code=error.code) from error
            path.unlink()
            if progress:
                progress(done, len(inner))


@dataclass
class _Budget:
    """What an archive may still unpack to; real bytes are counted, whatever the headers say."""

    archive: Path
    max_bytes: int
    bytes: int = 0
    members: int = 0

    def take(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.max_bytes:
            raise DataError(
                f"{self.archive}: unpacks to more than the {self.max_bytes} bytes that it may "
                f"({self.archive.stat().st_size} bytes packed); refused. Do not trust this archive",
                code="archive.too-large",
            )

    def take_member(self) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise DataError(
                f"{self.archive}: has more than {MAX_MEMBERS} members; refused. Do not trust this archive",
                code="archive.too-many-members",
            )


def _limit(archive: Path, max_bytes: int | None) -> int:
    by_ratio = max(FREE_OF_RATIO, MAX_RATIO * archive.stat().st_size)
    return by_ratio if max_bytes is None else min(max_bytes, by_ratio)


def _unpack_into(
    archive: Path, folder: Path, budget: _Budget, wanted: Wanted | None, progress: Progress | None
) -> None:
    try:
        _survey(archive, folder, budget, wanted)
        _write_members(archive, folder, budget, wanted, progress)
    except _DAMAGE as error:
        raise DataError(
            f"{archive}: cannot be unpacked, it is damaged ({error}); delete it and fetch it again",
            code="archive.damaged",
        ) from error
    except OSError as error:
        raise _describe_os_error(archive, folder, error) from error
    except _UNREADABLE as error:
        raise _describe_reader_error(archive, str(error)) from error


def _survey(archive: Path, folder: Path, budget: _Budget, wanted: Wanted | None) -> None:
    kind = kind_of(archive)
    if kind == "compressed tar":
        # It would have to be decompressed twice; its members are looked at as they come.
        require_space(folder, 0 if wanted else archive.stat().st_size, f"unpacking {archive.name}")
        return
    stated = replace(budget)
    with open_members(archive, kind) as found:
        for member in found:
            stated.take_member()
            if _find_target(archive, folder, member, wanted):
                stated.take(member.size or 0)
    require_space(folder, stated.bytes - budget.bytes, f"unpacking {archive.name}")


def _write_members(
    archive: Path, folder: Path, budget: _Budget, wanted: Wanted | None, progress: Progress | None
) -> None:
    size = archive.stat().st_size
    # What nobody wants is not written, but a compressed tar has to be decompressed to get past it.
    skipped = replace(budget)
    with open_members(archive, kind_of(archive)) as found:
        for member in found:
            budget.take_member()
            target = _find_target(archive, folder, member, wanted)
            if target is None:
                skipped.take(member.size or 0)
            if target and member.kind == "folder":
                target.mkdir(parents=True, exist_ok=True)
            elif target:
                _write(archive, member, target, budget)
            if progress:
                progress(min(member.position, size), size)
    if progress:
        progress(size, size)


def _find_target(archive: Path, folder: Path, member: Member, wanted: Wanted | None) -> Path | None:
    name = member.name.replace("\\", "/")  # old Windows programs write it so
    path = PurePosixPath(name)
    if wanted and (member.kind == "folder" or not wanted(str(path))):
        return None
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name) or "\0" in name or not name:
        reason, code = "leads out of the folder", "archive.unsafe-path"
    elif member.kind == "other":
        reason, code = "is a link or a device", "archive.unsafe-link"
    elif not path.parts and member.kind != "folder":
        reason, code = "has no name", "archive.no-name"
    else:
        return folder / path
    raise DataError(
        f"{archive}: {member.name!r} {reason}; refused, nothing was unpacked. Do not trust this archive", code=code
    )


def _write(archive: Path, member: Member, target: Path, budget: _Budget) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        with target.open("xb") as file:
            for chunk in member.chunks():
                budget.take(len(chunk))
                file.write(chunk)
                written += len(chunk)
    except (FileExistsError, IsADirectoryError):
        raise DataError(
            f"{archive}: has {member.name!r} twice; expected every name once", code="archive.name-twice"
        ) from None
    if member.size is not None and written != member.size:
        raise DataError(
            f"{archive}: {member.name!r} has {written} bytes, expected {member.size}; delete it and fetch it again",
            code="archive.damaged",
        )


def _describe_os_error(archive: Path, folder: Path, error: OSError) -> DataError:
    if error.errno is None:
        return DataError(
            f"{archive}: cannot be unpacked, it is damaged ({error}); delete it and fetch it again",
            code="archive.damaged",
        )
    if error.errno == errno.ENOSPC:
        return DataError(
            f"{archive}: the disk of {folder.parent} is full; make space, then run again", code="disk.full"
        )
    return DataError(
        f"{archive}: cannot be unpacked into {folder.parent} ({error.strerror}: {error.filename})",
        code="archive.not-written",
    )


def _describe_reader_error(archive: Path, text: str) -> DataError:
    if re.search("encrypt|passphrase|password", text, re.IGNORECASE):
        return DataError(
            f"{archive}: is encrypted ({text}); unpack it by hand with its password", code="archive.encrypted"
        )
    if re.search("unavailable|unsupported|not supported|No support", text, re.IGNORECASE):
        return DataError(
            f"{archive}: uses what cannot be read here ({text}); unpack it by hand, for example with `unar`, "
            "and put the folder in its place in the mirror folder",
            code="archive.unsupported",
        )
    return DataError(
        f"{archive}: cannot be unpacked, it is damaged ({text}); delete it and fetch it again", code="archive.damaged"
    )
