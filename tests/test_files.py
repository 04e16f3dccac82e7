"""Files are whole or absent."""

import hashlib
import os
import socket
import subprocess
import sys
from threading import Thread

import pytest

from pan_core import files
from pan_core.errors import PanError
from pan_core.files import (
    atomic_path,
    list_files,
    read_json,
    read_user_text,
    require_space,
    scratch_folder,
    sha256_of,
    write_json,
)


def test_an_interrupted_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "value.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder_whole(tmp_path):
    path = tmp_path / "set"
    for name in ("first", "second"):
        with atomic_path(path) as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [item.name for item in path.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [path]


HOLDING = """
import sys, time
from pathlib import Path
from pan_core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as partial:
    partial.mkdir()
    (partial / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    target = tmp_path / "set"
    running = []
    for _ in range(2):
        command = [sys.executable, "-c", HOLDING, str(target)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout.readline() == "writing\n"
    killed, living = running
    try:
        killed.kill()
        killed.wait()
        theirs = tmp_path / ".set.backup"
        theirs.mkdir()
        write_json(tmp_path / "other.json", {})
        (left,) = tmp_path.glob(".set.*.partial")
        assert (left / "set" / "half").read_text() == "half"
        assert theirs.exists()
    finally:
        living.kill()
        living.wait()
        for process in running:
            process.stdout.close()
    files.swept.clear()
    with scratch_folder(tmp_path, "work"):
        assert not left.exists()


def test_folders_that_are_made_at_the_same_time_do_not_take_each_other_for_orphans(tmp_path):
    kept = []

    def work():
        for _ in range(50):
            files.swept.clear()
            with scratch_folder(tmp_path, "work") as folder:
                (folder / "half").touch()
                kept.append((folder / "half").exists())

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept == [True] * 200
    assert not list(tmp_path.iterdir())


def test_sha256_is_the_standard_one(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == hashlib.sha256(b"abc").hexdigest()


def test_json_round_trip_and_clear_errors(tmp_path):
    path = tmp_path / "deep" / "value.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text("{")
    with pytest.raises(PanError) as damaged:
        read_json(path)
    with pytest.raises(PanError) as missing:
        read_json(tmp_path / "absent.json")
    assert "JSON" in str(damaged.value).removeprefix(str(path))
    assert str(tmp_path / "absent.json") in str(missing.value)


def test_json_refuses_what_json_cannot_hold(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "nan.json", {"accuracy": float("nan")})


def test_too_little_space_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(PanError) as caught:
        require_space(tmp_path, 1 << 62, "everything")
    assert f"{(1 << 62) / 1e6:.0f}" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_and_json_of_any_editor(tmp_path, encoding):
    path = tmp_path / "x.json"
    path.write_bytes('{"a": "K\u00fcche"}'.encode(encoding))
    assert read_user_text(path) == '{"a": "K\u00fcche"}'
    assert read_json(path) == {"a": "K\u00fcche"}


def test_a_folder_is_listed_past_all_that_is_no_file(tmp_path):
    """Links first go round, then in a cross, then nowhere; a folder has its own name and not that of a link to it."""
    for name in ("b", "c", ".hidden"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "x.mp4").write_bytes(b"video")
    (tmp_path / "in" / "a").symlink_to("b")
    (tmp_path / "in" / "b" / "to_c").symlink_to("../c")
    (tmp_path / "in" / "c" / "to_b").symlink_to("../b")
    (tmp_path / "in" / "c" / "up").symlink_to("../..")
    (tmp_path / "in" / "gone\n").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / os.fsdecode(b"\xff")).mkdir()
    (tmp_path / "outside.mp4").write_bytes(b"video")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "in" / "s"))
        found = list_files(tmp_path / "in")
    assert [str(path.relative_to(tmp_path / "in")) for path in found.files] == ["b/x.mp4", "c/x.mp4"]
    assert [line.split(": ")[0] for line in found.passed_over] == [
        "\\xff",
        "a",
        "b/to_c",
        "c/to_b",
        "c/up",
        "gone\\n",
        "pipe",
        "s",
    ]
    assert len(list_files(tmp_path / "in", hidden=True).files) == 3
    assert list_files(tmp_path / "nowhere").files == ()


def test_a_linked_folder_from_elsewhere_is_listed_under_its_link(tmp_path):
    (tmp_path / "disk" / "day").mkdir(parents=True)
    (tmp_path / "disk" / "day" / "x.mp4").write_bytes(b"video")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cam").symlink_to(tmp_path / "disk")
    assert list_files(tmp_path / "in").files == (tmp_path / "in" / "cam" / "day" / "x.mp4",)
