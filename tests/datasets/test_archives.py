"""Archives made member by member: what must be unpacked is, and what must not is refused with nothing left behind."""

import io
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest
from refusals import refused

from pan_core.datasets import archives
from pan_core.datasets.archives import require_rar, unpack, unpack_nested
from pan_core.errors import DataError, PanError

FILES = {"videos/a.avi": b"first" * 1000, "videos/deep/b.avi": b"", "ü ☃.txt": b"text"}


def rar4_block(kind, flags, fields=b"", body=b""):
    """RAR 4: CRC16 (of what follows in the header), type, flags, header size; CRC16 is the low half of CRC-32."""
    header = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header + body


def rar4(members, *, mode=0o100644, flags=0, crc_error=0, size_error=0, main_flags=0, method=0x30):
    """A RAR 4 archive with every member stored (method 0x30), as published in RAR's technote."""
    out = b"Rar!\x1a\x07\x00" + rar4_block(0x73, main_flags, bytes(6))
    for name, data in members.items():
        raw = name.encode()
        fields = struct.pack("<IIBIIBBHI", len(data), len(data) + size_error, 3, zlib.crc32(data) ^ crc_error,
                             0x5A21_6000, 29, method, len(raw), mode) + raw  # fmt: skip
        out += rar4_block(0x74, 0x8000 | flags, fields, data)
    return out + rar4_block(0x7B, 0x4000)


def vint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def rar5_block(kind, flags, fields, body=b""):
    """RAR 5: CRC32 of what follows in the header, its size, type, flags, (size of the data)."""
    data_size = vint(len(body)) if flags & 2 else b""
    header = vint(kind) + vint(flags) + data_size + fields
    sized = vint(len(header)) + header
    return struct.pack("<I", zlib.crc32(sized)) + sized + body


def rar5(members):
    out = b"Rar!\x1a\x07\x01\x00" + rar5_block(1, 0, vint(0))
    for name, data in members.items():
        raw = name.encode()
        fields = vint(4) + vint(len(data)) + vint(0o100644) + struct.pack("<I", zlib.crc32(data))
        fields += vint(0) + vint(1) + vint(len(raw)) + raw  # stored; made on Unix
        out += rar5_block(2, 2, fields, data)
    return out + rar5_block(5, 0, vint(0))


def zipped(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def tarred(members, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, data in members.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(data, tarfile.TarInfo) else data
            info.name, info.size = name, len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def special(kind, target=""):
    info = tarfile.TarInfo("")
    info.type, info.linkname = kind, target
    return info


MAKERS = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda members: tarred(members, "w:gz"),
    "tar.bz2": lambda members: tarred(members, "w:bz2"),
    "tar.xz": lambda members: tarred(members, "w:xz"),
    "rar4": rar4,
    "rar5": rar5,
}


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path):
    """A function that writes an archive under a name that says nothing about its kind."""

    def write(content, name="archive.bin"):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def unpacking_fails(archive, tmp_path, code, member="", **settings):
    """Unpacking is refused, names archive and member, and leaves neither the folder nor anything beside it."""
    home = tmp_path / "out"
    with refused(code, DataError) as caught:
        unpack(archive, home / "folder", **settings)
    assert str(archive) in str(caught.value) and member in str(caught.value)
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_is_found_by_its_content_and_unpacked(kind, tmp_path, place):
    steps = []
    unpack(place(MAKERS[kind](FILES)), tmp_path / "out", progress=lambda done, total: steps.append((done, total)))
    assert tree(tmp_path / "out") == FILES
    size = len(MAKERS[kind](FILES))
    assert steps == sorted(steps) and {total for _, total in steps} == {size} and steps[-1] == (size, size)


@pytest.mark.parametrize("kind", MAKERS)
def test_only_the_wanted_files_are_written(kind, tmp_path, place):
    unpack(place(MAKERS[kind](FILES)), tmp_path / "out", members=lambda name: name.startswith("videos/a"))
    assert tree(tmp_path / "out") == {"videos/a.avi": FILES["videos/a.avi"]}


def test_a_folder_that_was_there_is_replaced_only_when_all_went_well(tmp_path, place):
    folder = tmp_path / "out"
    unpack(place(zipped({"old.txt": b"old"})), folder)
    with pytest.raises(DataError):
        unpack(place(zipped({"new.txt": b"new", "../new.txt": b"new"})), folder)
    assert tree(folder) == {"old.txt": b"old"}
    unpack(place(zipped({"new.txt": b"new"})), folder)
    assert tree(folder) == {"new.txt": b"new"}


OUTSIDE = ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil", "\\\\host\\evil", ".."]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "rar4", "rar5"])
def test_names_that_lead_out_are_refused(kind, name, tmp_path, place):
    # zip keeps a name with a backslash only where the writer is told so; libarchive turns it into a slash.
    unpacking_fails(place(MAKERS[kind]({"good.txt": b"good", name: b"evil"})), tmp_path, "archive.unsafe-path")


@pytest.mark.parametrize("compression", ["w", "w:gz"])
@pytest.mark.parametrize(
    "member",
    [
        special(tarfile.SYMTYPE, "../../outside"),
        special(tarfile.SYMTYPE, "/etc/passwd"),
        special(tarfile.LNKTYPE, "../outside"),
        special(tarfile.SYMTYPE, "loop"),
        special(tarfile.CHRTYPE),
        special(tarfile.FIFOTYPE),
    ],
    ids=["symlink up", "symlink absolute", "hard link up", "symlink to itself", "device", "pipe"],
)
def test_links_out_and_devices_in_a_tar_are_refused(member, compression, tmp_path, place):
    archive = place(tarred({"good.txt": b"good", "loop": member}, compression))
    unpacking_fails(archive, tmp_path, "archive.unsafe-link", "'loop'")


def test_a_file_cannot_be_written_through_a_link(tmp_path, place):
    archive = place(tarred({"dir": special(tarfile.SYMTYPE, str(tmp_path)), "dir/evil": b"evil"}))
    unpacking_fails(archive, tmp_path, "archive.unsafe-link", "'dir'")


def test_a_link_within_a_tar_becomes_a_copy(tmp_path, place):
    members = {
        "a/one": b"content",
        "a/two": special(tarfile.SYMTYPE, "one"),
        "three": special(tarfile.LNKTYPE, "a/one"),
    }
    unpack(place(tarred(members, "w:gz")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a/one": b"content", "a/two": b"content", "three": b"content"}
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in (tmp_path / "out").glob("**/*o*e"))


def test_links_in_zip_and_rar_are_refused(tmp_path, place):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(info, "/etc/passwd")
    unpacking_fails(place(buffer.getvalue()), tmp_path, "archive.unsafe-link", "'link'")
    unpacking_fails(place(rar4({"link": b"/etc/passwd"}, mode=0o120777)), tmp_path, "archive.unsafe-link", "'link'")


def test_a_bomb_that_nobody_wants_is_refused(tmp_path, place):
    """Only by decompressing it could what stands behind it be reached."""
    archive = place(tarred({"bomb": bytes(20_000_000), "wanted": b"1"}, "w:gz"))
    limits = {"max_bytes": 1_000_000, "members": lambda name: name == "wanted"}
    unpacking_fails(archive, tmp_path, "archive.too-large", **limits)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb_is_refused_before_it_goes_off(kind, tmp_path, place):
    archive = place(MAKERS[kind]({"bomb": bytes(20_000_000)}))
    tracemalloc.start()
    unpacking_fails(archive, tmp_path, "archive.too-large", max_bytes=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()


def test_the_limit_without_one_given_is_the_ratio(tmp_path, place, monkeypatch):
    monkeypatch.setattr(archives, "FREE_OF_RATIO", 1_000_000)
    unpacking_fails(
        place(zipped({"bomb": bytes(20_000_000)})), tmp_path, "archive.too-large"
    )  # deflate packs it 1000 : 1
    unpack(place(zipped({"fine": bytes(900_000)})), tmp_path / "fine")
    assert (tmp_path / "fine" / "fine").stat().st_size == 900_000


def test_a_zip_that_states_too_little_is_stopped_by_the_bytes_that_come(tmp_path, place):
    content = bytearray(zipped({"bomb": bytes(5_000_000)}))
    lie = struct.pack("<I", 10)
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(signature) + offset
        content[start : start + 4] = lie
    unpacking_fails(place(bytes(content)), tmp_path, "archive.damaged", max_bytes=1_000_000)


def test_too_many_members_are_refused(tmp_path, place, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    many = {f"{number}.txt": b"" for number in range(11)}
    for kind in ("zip", "tar.gz", "rar5"):
        unpacking_fails(place(MAKERS[kind](many)), tmp_path, "archive.too-many-members")


def test_a_name_twice_is_refused(tmp_path, place):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, pytest.warns(UserWarning):
        file.writestr("a.txt", "one")
        file.writestr("a.txt", "two")
    unpacking_fails(place(buffer.getvalue()), tmp_path, "archive.name-twice", "'a.txt'")


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_an_archive_that_was_cut_off_is_refused(kind, share, tmp_path, place):
    members = {f"{number}.avi": os.urandom(2000) for number in range(6)}
    content = MAKERS[kind](members)
    whole = len(content) if kind != "tar" else 6 * 2560  # a tar is padded with zeros
    unpacking_fails(place(content[: int(share * whole)]), tmp_path, "archive.damaged")


def test_a_tar_that_ends_between_two_members_is_refused(tmp_path, place):
    content = tarred({"a": bytes(512), "b": bytes(512)})
    unpacking_fails(place(content[:1024]), tmp_path, "archive.damaged")


@pytest.mark.parametrize("kind", sorted(set(MAKERS) - {"tar"}))  # a plain tar has no checksum of its content
def test_a_changed_byte_is_noticed(kind, tmp_path, place):
    members = {"a.avi": os.urandom(20_000)}
    content = bytearray(MAKERS[kind](members))
    content[len(content) // 2] ^= 0xFF
    unpacking_fails(place(bytes(content)), tmp_path, "archive.damaged")


def test_a_changed_header_of_a_tar_is_noticed(tmp_path, place):
    content = bytearray(tarred({"a": bytes(512), "b": bytes(512)}))
    content[1024 + 3] ^= 0xFF
    unpacking_fails(place(bytes(content)), tmp_path, "archive.damaged")


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("archive.unknown-kind", b""),
        ("archive.unknown-kind", b"<html>not found</html>"),
        ("archive.damaged", b"\x1f\x8b but not gzip"),
        ("archive.damaged", b"Rar!\x1a\x07\x00"),
    ],
)
def test_what_is_no_archive_is_refused(code, content, tmp_path, place):
    unpacking_fails(place(content), tmp_path, code)


def test_encrypted_archives_are_named_as_such(tmp_path, place):
    content = bytearray(zipped({"a.txt": b"secret"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    unpacking_fails(place(bytes(content)), tmp_path, "archive.encrypted")
    unpacking_fails(place(rar4({"a.txt": b"secret"}, flags=0x04)), tmp_path, "archive.encrypted")
    unpacking_fails(place(rar4({"a.txt": b"secret"}, main_flags=0x80)), tmp_path, "archive.encrypted")


def test_a_rar_with_what_libarchive_cannot_read_says_how_to_go_on(tmp_path, place):
    unpacking_fails(place(rar4({"a.txt": b"packed"}, method=0x3F)), tmp_path, "archive.unsupported")


def test_a_full_disk_is_found_before_anything_is_written(tmp_path, place, monkeypatch):
    # The header states 4 GB less 1 byte a member; forty are 160 GB, which the limit admits.
    content = rar4({f"{number}": b"" for number in range(4000)}, size_error=0xFFFF_FFFF)
    monkeypatch.setattr(archives, "FREE_OF_RATIO", 1 << 60)
    with pytest.raises(PanError) as caught:
        unpack(place(content), tmp_path / "out" / "folder")
    assert type(caught.value) is PanError and "archive.bin" in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_archives_in_an_archive_become_one_tree(tmp_path, place):
    wave, jump = {"wave/1.avi": b"w1", "wave/2.avi": b"w2"}, {"jump/1.avi": b"j1"}
    steps = []
    outer = place(rar4({"set/wave.rar": rar4(wave), "set/jump.RAR": rar5(jump), "set/readme.txt": b"read"}))
    unpack_nested(outer, tmp_path / "out", progress=lambda done, total: steps.append((done, total)))
    expected = {f"set/{name}": data for name, data in {**wave, **jump, "readme.txt": b"read"}.items()}
    assert tree(tmp_path / "out") == expected
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        (rar4({"b": b"bb"}, crc_error=1), "archive.damaged"),
        (rar4({"../b": b"bb"}), "archive.unsafe-path"),
        (b"", "archive.unknown-kind"),
    ],
    ids=["damaged", "leads out", "empty"],
)
def test_a_bad_inner_archive_leaves_nothing(inner, code, tmp_path, place):
    outer = place(rar4({"a.rar": rar4({"a/1": b"11"}), "b.rar": inner}))
    with refused(code, DataError) as caught:
        unpack_nested(outer, tmp_path / "out" / "folder")
    assert "b.rar" in str(caught.value) and str(outer) in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_rar_is_asked_for_by_the_name_of_its_package():
    require_rar()
    code = "from pan_core.datasets.archives import require_rar; require_rar()"
    missing = {**os.environ, "LIBARCHIVE": "/nowhere/libarchive.so"}
    done = subprocess.run([sys.executable, "-c", code], env=missing, capture_output=True, text=True, check=False)
    assert "DataError" in done.stderr and "libarchive-tools" in done.stderr
