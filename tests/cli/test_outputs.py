"""Places that a command writes to: refused before the work if it cannot, and never a source of it."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from refusals import refused
from scripted_people import make_video
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.files import require_output_file, require_output_folder
from pan_core.live.terminal import choose_video_file
from pan_core.viewer.annotate import ENCODERS


@pytest.fixture
def workspace(request, tmp_path, monkeypatch):
    """A folder with a video, in which nothing has run: whatever needs a recognizer fails."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "targets.yaml").symlink_to(request.config.rootpath / "edge" / "targets.yaml")
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    (tmp_path / "footage").mkdir()
    make_video(tmp_path / "footage" / "clip.avi", frames=4, fps=15)
    (tmp_path / "file").write_text("in the way")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


FOLDERS = [("predict", "footage/clip.avi"), ("explain", "clip"), ("benchmark", "run", "jhmdb14"), ("edge", "bundle"),
           ("edge", "emulate"), ("edge", "run", "--host", "pi@localhost", "--target", "host"), ("pose", "train")]  # fmt: skip
FILES = [
    ("watch", "footage/clip.avi"),
    ("pose", "benchmark"),
    ("data", "label", "footage"),
    ("data", "manifest", "footage"),
]


@pytest.mark.parametrize("place", ["file", "file/below", "/sys/pan", "/proc/pan/below"])
@pytest.mark.parametrize("words", [*FOLDERS, *FILES], ids=" ".join)
def test_a_place_that_cannot_be_written_is_one_message_before_any_work(workspace, words, place, real_data):
    out = Path(place, "new.json") if words in FILES else Path(place)
    before = sorted(workspace.rglob("*"))
    result = run(*words, "--out", out)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith(f"error: {out.parent if words in FILES else out}: ")
    assert result.stderr.count("\n") == 1
    assert sorted(workspace.rglob("*")) == before


def test_whose_folder_the_system_keeps_is_refused_too(tmp_path):
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o555)
        with refused("output.unwritable"):
            require_output_folder(tmp_path / "closed" / "new")
        return
    (tmp_path / "closed").mkdir(mode=0o755)
    os.seteuid(65534)
    try:
        with refused("output.unwritable"):
            require_output_folder(tmp_path / "closed" / "new")
    finally:
        os.seteuid(0)


def test_a_link_to_nothing_is_refused_and_a_good_folder_is_not_made(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with refused("output.unwritable"):
        require_output_folder(tmp_path / "link")
    require_output_folder(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("link", [shutil.copy, os.symlink, os.link])
def test_an_output_that_is_a_source_is_refused_through_links_too(tmp_path, link):
    (tmp_path / "a").write_text("source")
    link(tmp_path / "a", tmp_path / "b")
    if link is shutil.copy:
        require_output_file(tmp_path / "b", [tmp_path / "a"])
        return
    with refused("output.is-source"):
        require_output_file(tmp_path / "b", [tmp_path / "a"])


@pytest.mark.parametrize("out", ["clip.mp4", "./clip.avi", "link.mp4", "clip.mkv"])
@pytest.mark.parametrize("source", ["clip.mp4", "hall=clip.mp4", "."])
def test_a_recording_is_not_replaced_by_what_is_seen_in_it(workspace, monkeypatch, source, out):
    """Whatever the suffix says: the encoder writes one of its own."""
    monkeypatch.chdir(workspace / "footage")
    shutil.move("clip.avi", "clip.mp4")
    Path("link.mp4").symlink_to("clip.mp4")
    before = Path("clip.mp4").read_bytes()
    result = run("watch", source, "--out", out)
    assert result.exit_code == 1
    assert "read, and would be replaced" in result.stderr
    assert Path("clip.mp4").read_bytes() == before


def test_an_annotated_video_from_before_is_kept(workspace):
    assert choose_video_file(Path("new.mp4"), "0") == Path("new.mp4")
    for number, (suffix, _) in enumerate(ENCODERS, start=2):
        Path("new").with_suffix(suffix).write_text("from before")
        assert choose_video_file(Path("new.mp4"), "0") == Path("new-2.mp4"), number
    Path("new-2.avi").write_text("from before")
    assert choose_video_file(Path("new.mp4"), "0") == Path("new-3.mp4")


def test_an_annotated_video_does_not_go_into_the_folder_that_is_watched(workspace):
    """There it would be watched, too."""
    for name in ("new.mp4", "2026-11-30/new.mp4"):
        with refused("output.in-source"):
            choose_video_file(workspace / "footage" / name, str(workspace / "footage"))


def test_a_manifest_is_not_replaced_by_what_is_read_from_it(workspace):
    manifest = workspace / "footage" / "manifest.csv"
    manifest.write_text("video,start_s,end_s,label\nclip.avi,0,0.2,Walking\nclip.avi,x,y,Falling\n")
    before = manifest.read_bytes()
    result = run("data", "manifest", "footage", "--out", manifest)
    assert result.exit_code == 1
    assert manifest.read_bytes() == before
    assert run("data", "manifest", "footage", "--out", "other.csv").exit_code == 0


def test_a_manifest_written_into_the_footage_is_written_again(workspace):
    """Labels are corrected and exported again; what was made of them the last time is not read."""
    labels = workspace / "footage" / "labels.csv"
    words = ("data", "manifest", "footage", "--source", "labels.csv", "--out", "footage/made.csv")
    for label in ("Walking", "Falling"):
        labels.write_text(f"video,start_s,end_s,label\nclip.avi,0,0.2,{label}\n")
        assert run(*words).exit_code == 0
        assert label in (workspace / "footage" / "made.csv").read_text()
    for kept in ("labels.csv", "clip.avi"):
        before = (workspace / "footage" / kept).read_bytes()
        assert run(*words[:-1], f"footage/{kept}").exit_code == 1
        assert (workspace / "footage" / kept).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"data": {"video": "a"}, "annotations": [{"result": []}]}]),
        json.dumps({"labels": ["a"]}),
        "",
        "[1]",
        "\ufeffx",
    ],
)
def test_annotations_are_not_replaced_by_suggestions(workspace, content):
    out = workspace / "footage" / "project.json"
    out.write_text(content)
    result = run("data", "label", "footage", "--out", out)
    assert result.exit_code == 1
    assert str(out) in result.stderr
    assert out.read_text() == content


def test_a_socket_or_a_device_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        for place in (Path("socket"), Path("/dev/null")):
            with refused("output.unwritable"):
                require_output_folder(place)
