"""Files that are at hand already, and several processes that want the same one."""

import hashlib
import os
import random
import subprocess
import sys
import time

import pytest
from faulty_server import whole
from refusals import refused

from pan_core.datasets.base import Context, RemoteFile
from pan_core.datasets.download import link_tree, obtain, reading
from pan_core.errors import DataError

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(DATA).hexdigest()
NAME = "set.bin"


def got(context, *urls, **about):
    return obtain("toys", RemoteFile(NAME, urls, **about), context)


def downloads(context):
    return context.cache / "downloads" / "toys"


def test_without_the_network_it_says_what_to_do(context, tmp_path):
    offline = Context(cache=context.cache, mirror=context.mirror, download=False)
    with refused("file.offline") as caught:
        got(offline, "http://example.org/set.bin", instead=("set",))
    for word in ("http://example.org/set.bin", str(tmp_path / "mirror" / "toys" / "set")):
        assert word in str(caught.value)
    with refused("file.not-offered"):
        got(Context(cache=context.cache))


def test_the_mirror_comes_first_then_what_serves_instead(site, context):
    place = context.mirror / "toys"
    (place / "folder").mkdir(parents=True)
    url = site.offer("/a", whole(DATA))
    assert got(context, url, instead=("folder",)) == downloads(context) / NAME  # an empty folder serves nobody
    (place / "folder" / "clip.avi").write_bytes(b"clip")
    assert got(context, url, instead=("folder",)) == place / "folder"
    (place / NAME).write_bytes(OTHER)
    assert got(context, url, instead=("folder",)) == place / NAME
    assert len(site.requests) == 1


def test_a_file_in_the_mirror_is_hashed_once(context, monkeypatch):
    path = context.mirror / "toys" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert got(context, checksum=SHA256) == path
    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", None)
        assert got(context, checksum=SHA256) == path
    path.write_bytes(OTHER)
    os.utime(path, ns=(0, 0))
    with refused("file.wrong-checksum") as caught:
        got(context, checksum=SHA256)
    assert str(path) in str(caught.value)


def test_two_processes_download_once(site, context, tmp_path):
    url = site.offer("/a", whole(DATA, piece_wait=0.005))
    code = (
        "import sys; from pathlib import Path; from pan_core.datasets.base import Context, RemoteFile;"
        "from pan_core.datasets.download import obtain;"
        f"print(obtain('toys', RemoteFile({NAME!r}, ({url!r},)), Context(cache=Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, str(context.cache)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {process.communicate(timeout=60)[0].strip() for process in running} == {str(downloads(context) / NAME)}
    assert site.sent == [300_000] and (downloads(context) / NAME).read_bytes() == DATA


def test_a_killed_download_is_taken_up(site, context):
    url = site.offer("/a", whole(DATA, piece_wait=0.02), whole(DATA))
    code = (
        "import sys; from pathlib import Path; from pan_core.datasets.base import Context, RemoteFile;"
        "from pan_core.datasets.download import obtain;"
        f"obtain('toys', RemoteFile({NAME!r}, ({url!r},)), Context(cache=Path(sys.argv[1])))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(context.cache)])
    part = downloads(context) / f"{NAME}.part"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not (part.exists() and part.stat().st_size > 20_000):
        time.sleep(0.01)
    process.kill()
    process.wait()
    have = part.stat().st_size
    assert 20_000 < have < 300_000 and not (downloads(context) / NAME).exists()
    assert got(context, url, checksum=SHA256).read_bytes() == DATA
    assert site.sent[-1] == 300_000 - have


def test_the_checksum_of_a_download_that_was_bad_from_the_first_is_forgotten(site, context):
    url = site.offer("/a", whole(OTHER), whole(DATA))
    path = got(context, url)
    with refused("archive.damaged"), reading(path, context):
        raise DataError("damaged", code="archive.damaged")
    path.unlink()
    assert got(context, url).read_bytes() == DATA


def test_a_checksum_in_the_mirror_is_the_users(context):
    path = context.mirror / "toys" / NAME
    path.parent.mkdir(parents=True)
    path.with_name(f"{NAME}.sha256").write_text("theirs")
    with pytest.raises(DataError), reading(path, context):
        raise DataError("damaged")
    assert path.with_name(f"{NAME}.sha256").read_text() == "theirs"


def test_what_a_relative_link_names_is_linked(tmp_path):
    """As in a mirror that git-annex or DVC keeps."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a").write_bytes(b"a")
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").symlink_to("../store/a")
    link_tree(tmp_path / "from", tmp_path / "deep" / "er" / "to")
    assert (tmp_path / "deep" / "er" / "to" / "a").read_bytes() == b"a"


def test_a_tree_is_linked_whole(tmp_path):
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "deep" / "a").write_bytes(b"a")
    link_tree(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / "to" / "deep" / "a").samefile(tmp_path / "from" / "deep" / "a")
    with pytest.raises(FileNotFoundError):
        link_tree(tmp_path / "nothing", tmp_path / "none")
    assert not (tmp_path / "none").exists()
