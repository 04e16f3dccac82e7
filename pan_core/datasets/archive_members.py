"""Read what zip, tar and RAR archives hold, one member after the other.

The standard library reads zip and tar. RAR is read in this process by libarchive (through libarchive-c): one pass
over the archive, every byte through our hands. A command-line tool per member would open a 7 GB archive 13,320 times,
and one for the whole archive would write where it likes before anything could be refused. Libarchive does not look at the
checksums of RAR 4, so they are read by rarfile and compared here.
"""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from stat import S_ISLNK
from typing import Literal

from pan_core.datasets.faults import CodedError
from pan_core.errors import DataError

CHUNK = 1 << 18
RAR_MAGIC = {b"Rar!\x1a\x07\x00": "rar", b"Rar!\x1a\x07\x01\x00": "rar5"}
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
TAR_COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
RAR_PACKAGE = "libarchive-tools"
ENCRYPTED_FLAG = 0x1

Kind = Literal["zip", "tar", "compressed tar", "rar", "rar5"]


class RarError(CodedError):
    """What libarchive said about a RAR archive that it could not read."""


@dataclass(frozen=True)
class Member:
    """A member of an archive.

    Attributes:
        name: Its name as the archive gives it.
        kind: "other" is a device, or a link that is not to another member.
        size: Bytes that the archive states; None for a link to another member.
        position: Bytes of the archive that lie before it, about.
        chunks: Its content, to be read before the next member is asked for. It may raise what the reader raises.
    """

    name: str
    kind: Literal["file", "folder", "other"]
    size: int | None
    position: int
    chunks: Callable[[], Iterator[bytes]]


def kind_of(archive: Path) -> Kind:
    """What kind an archive is by its content, whatever its name.

    Raises:
        DataError: Where it is none that can be read.
    """
    with archive.open("rb") as file:
        start = file.read(8)
    rar = next((name for magic, name in RAR_MAGIC.items() if start.startswith(magic)), None)
    if rar:
        return "rar" if rar == "rar" else "rar5"
    if start.startswith(ZIP_MAGIC):
        return "zip"
    if start.startswith(TAR_COMPRESSIONS):
        return "compressed tar"
    if tarfile.is_tarfile(archive):
        return "tar"
    raise DataError(
        f"{archive}: Expected a zip, tar or RAR archive, but it begins with {start!r}; delete it and fetch it again",
        code="archive.unknown-kind",
    )


def require_rar() -> None:
    """Make sure that RAR archives can be read; to be called before one is downloaded.

    Raises:
        DataError: Where libarchive is not installed; names the package.
    """
    try:
        import libarchive  # noqa: F401  # late: optional
    except (ImportError, OSError, AttributeError, TypeError) as error:
        raise DataError(
            f"RAR archives are read with libarchive, which cannot be loaded ({error}); "
            f"run `apt-get install {RAR_PACKAGE}` (Debian, Ubuntu), then run again",
            code="archive.no-rar-reader",
        ) from error


@contextmanager
def open_members(archive: Path, kind: Kind) -> Iterator[Iterator[Member]]:
    """Yield the members of an archive, in its order.

    Raises:
        DataError: Where a member is encrypted, or the end of a tar archive is missing.
        RarError: Where libarchive cannot read a RAR archive.
    """
    if kind == "zip":
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(archive, opened)
    elif kind in ("tar", "compressed tar"):
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as opened_tar:
            yield _tar_members(archive, opened_tar, raw.tell)
    else:
        require_rar()
        import libarchive  # late: optional

        with (
            _translate_rar_errors(),
            libarchive.file_reader(str(archive), format_name=kind, filter_name="none") as reader,
        ):
            yield _rar_members(reader, _read_rar_headers(archive))


@contextmanager
def _translate_rar_errors() -> Iterator[None]:
    import rarfile  # late: start-up
    from libarchive import ArchiveError  # late: optional

    try:
        yield
    except (ArchiveError, rarfile.Error) as error:
        raise RarError(str(getattr(error, "msg", error)), code="archive.damaged") from error


def _read_rar_headers(archive: Path) -> list:
    import rarfile  # late: start-up

    with rarfile.RarFile(archive) as opened:
        if opened.needs_password():
            raise DataError(f"{archive}: is encrypted; unpack it by hand with its password", code="archive.encrypted")
        return opened.infolist()


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        if info.flag_bits & ENCRYPTED_FLAG:
            raise DataError(
                f"{archive}: {info.filename!r} is encrypted; unpack it by hand with its password",
                code="archive.encrypted",
            )

        def chunks(info: zipfile.ZipInfo = info) -> Iterator[bytes]:
            with opened.open(info) as file:
                while chunk := file.read(CHUNK):
                    yield chunk

        link = S_ISLNK(info.external_attr >> 16)
        kind: Literal["file", "folder", "other"] = "other" if link else "folder" if info.is_dir() else "file"
        yield Member(info.filename, kind, info.file_size, info.header_offset, chunks)


def _tar_members(archive: Path, opened: tarfile.TarFile, tell: Callable[[], int]) -> Iterator[Member]:
    for info in opened:

        def chunks(info: tarfile.TarInfo = info) -> Iterator[bytes]:
            file = _tar_content(archive, opened, info)
            while chunk := file.read(CHUNK):
                yield chunk

        linked = info.issym() or info.islnk()
        kind: Literal["file", "folder", "other"] = "file" if info.isfile() or linked else "other"
        yield Member(info.name, "folder" if info.isdir() else kind, None if linked else info.size, tell(), chunks)
    _require_tar_end(archive, opened)


def _tar_content(archive: Path, opened: tarfile.TarFile, info: tarfile.TarInfo):
    # A link is followed within the archive only, so that what lies behind it is always a member's content.
    try:
        file = opened.extractfile(info)
    except (KeyError, RecursionError):
        file = None
    if file is None:
        raise DataError(
            f"{archive}: {info.name!r} is a link to {info.linkname!r}, which is no file of the archive; refused. "
            "Do not trust this archive",
            code="archive.unsafe-link",
        )
    return file


def _require_tar_end(archive: Path, opened: tarfile.TarFile) -> None:
    # tarfile takes a damaged header, and the end of the file, for the end of the archive.
    file = opened.fileobj
    assert file is not None
    file.seek(opened.offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or block.strip(b"\0"):
        raise DataError(
            f"{archive}: is cut off or damaged after {opened.offset} bytes; delete it and fetch it again",
            code="archive.damaged",
        )
    while file.read(CHUNK):  # the checksum of a compressed stream is looked at where it ends
        pass


def _rar_members(reader, headers) -> Iterator[Member]:
    for entry, header in zip_longest(reader, headers):
        if entry is None or header is None or (entry.isreg and entry.size != header.file_size):
            raise RarError("its headers can be read in two ways", code="archive.damaged")

        def chunks(entry=entry, expected: int | None = header.CRC) -> Iterator[bytes]:
            crc = 0
            for chunk in entry.get_blocks(CHUNK):
                crc = zlib.crc32(chunk, crc)
                yield chunk
            if expected is not None and crc != expected:
                raise RarError(
                    f"{entry.pathname!r} has the checksum {crc:08x}, expected {expected:08x}", code="archive.damaged"
                )

        name = entry.pathname
        text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name or ""
        kind: Literal["file", "folder", "other"] = "folder" if entry.isdir else "file" if entry.isreg else "other"
        # A hard link has the mode of a file, but no content of its own.
        yield Member(text, "other" if entry.islnk else kind, entry.size, reader.bytes_read, chunks)
