"""Many videos probed once, and what is remembered of them."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from pan_core.datasets import probe_worker, probing
from pan_core.datasets.probing import probe_all
from pan_core.errors import VideoError
from pan_core.video import probe
from pan_core.workers.supervised import TaskFailure


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Three videos of 5, 6 and 7 frames, 64 x 48, 15 frames a second."""
    folder = tmp_path_factory.mktemp("originals")
    for frames in (5, 6, 7):
        path = str(folder / f"{frames} frames.avi")
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (64, 48))
        for level in range(frames):
            writer.write(np.full((48, 64, 3), 30 * level, np.uint8))
        writer.release()
    return folder


@pytest.fixture
def videos(originals, tmp_path):
    """The three videos, and a text file that calls itself one."""
    folder = shutil.copytree(originals, tmp_path / "videos")
    (folder / "text.avi").write_text("not a video")
    return sorted(folder.iterdir())


@pytest.fixture
def probed(monkeypatch):
    """Names of the files that this process opens from now on."""
    names = []

    def counting(path):
        names.append(path.name)
        return probe(path)

    monkeypatch.setattr(probe_worker, "probe", counting)
    return names


def lengths(found):
    return {path.name: getattr(info, "n_frames", None) for path, info in found.items()}


EXPECTED = {"5 frames.avi": 5, "6 frames.avi": 6, "7 frames.avi": 7, "text.avi": None}


@pytest.mark.parametrize("workers", [0, 2])
def test_each_video_has_its_outcome_in_order(videos, workers):
    found = probe_all([*videos, videos[0].parent / "none.avi"], workers=workers)
    assert lengths(found) == EXPECTED | {"none.avi": None}
    assert list(found) == [*videos, videos[0].parent / "none.avi"]
    info = found[videos[0]]
    assert (info.width, info.height, info.fps) == (64, 48, 15.0)
    for name in ("text.avi", "none.avi"):
        error = found[videos[0].parent / name]
        assert isinstance(error, VideoError)
        assert name in str(error)


def test_a_second_call_opens_only_what_failed(videos, tmp_path, probed):
    cache = tmp_path / "cache" / "probes.jsonl"
    first = probe_all(videos, cache=cache, workers=0)
    probed.clear()
    assert {p: i for p, i in probe_all(videos, cache=cache, workers=0).items() if p.stem != "text"} == {
        p: i for p, i in first.items() if p.stem != "text"
    }
    assert probed == ["text.avi"]


def test_a_changed_file_is_probed_again(videos, tmp_path, probed):
    cache = tmp_path / "probes.jsonl"
    probe_all(videos, cache=cache, workers=0)
    probed.clear()
    shutil.copyfile(videos[2], videos[0])
    os.utime(videos[1], ns=(1, 1))
    assert lengths(probe_all(videos[:3], cache=cache, workers=0)) == {
        "5 frames.avi": 7,
        "6 frames.avi": 6,
        "7 frames.avi": 7,
    }
    assert sorted(probed) == ["5 frames.avi", "6 frames.avi"]


def test_a_link_to_a_video_is_the_same_video(videos, tmp_path, probed):
    cache = tmp_path / "probes.jsonl"
    probe_all(videos[:3], cache=cache, workers=0)
    links = [tmp_path / f"link {path.name}" for path in videos[:3]]
    for link, path in zip(links, videos, strict=False):
        link.hardlink_to(path)
    probed.clear()
    assert [info.n_frames for info in probe_all(links, cache=cache, workers=0).values()] == [5, 6, 7]
    assert not probed


@pytest.mark.parametrize("before", ["", "damaged\n"])
def test_a_memory_that_is_only_read_stays_as_it_is(videos, tmp_path, before):
    cache = tmp_path / "cache" / "probes.jsonl"
    if before:
        cache.parent.mkdir()
        cache.write_text(before)
    assert lengths(probe_all(videos, cache=cache, remember=False, workers=0)) == EXPECTED
    assert cache.exists() == bool(before)
    assert not before or cache.read_text() == before


def test_what_another_version_counted_is_counted_again(videos, tmp_path, probed, monkeypatch, caplog):
    cache = tmp_path / "probes.jsonl"
    probe_all(videos[:3], cache=cache, workers=0)
    probed.clear()
    monkeypatch.setattr(probing, "METHOD", "another")
    probe_all(videos[:3], cache=cache, workers=0)
    assert len(probed) == 3
    probe_all(videos[:3], cache=cache, workers=0)
    assert len(probed) == 3
    assert not caplog.text


@pytest.mark.parametrize(
    ("lost", "reason"), [(TaskFailure.STUCK, "longer than 660 s"), (TaskFailure.DIED, "dies each time")]
)
def test_a_video_that_takes_its_process_along_is_an_error_of_its_own(videos, monkeypatch, lost, reason):
    def run_supervised(items, function, **_):
        for number, path in items.items():
            yield number, lost if path.stem == "text" else probe(path)

    monkeypatch.setattr(probing, "run_supervised", run_supervised)
    found = probe_all(videos, workers=2)
    assert lengths(found) == EXPECTED
    assert reason in str(found[videos[3]])


def test_an_interrupted_call_is_taken_up(videos, tmp_path, probed):
    cache = tmp_path / "probes.jsonl"

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe_all(videos, cache=cache, workers=0, progress=stop)
    probed.clear()
    assert lengths(probe_all(videos, cache=cache, workers=0)) == EXPECTED
    assert not {path.name for path in videos[:2]} & set(probed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "nonsense\n" + text,
        lambda text: text.replace('"width": 64', '"width": -1'),
        lambda text: text.replace('"n_frames"', '"frames"'),
        lambda text: text.replace("15.0", '"15"'),
        lambda text: "\x00\ufffd\n[]\n{}\n[1, 2]\nnull\n" + text,
    ],
)
def test_a_damaged_memory_is_said_and_rebuilt(videos, tmp_path, caplog, damage):
    cache = tmp_path / "probes.jsonl"
    probe_all(videos, cache=cache, workers=0)
    cache.write_text(damage(cache.read_text()))
    assert lengths(probe_all(videos, cache=cache, workers=0)) == EXPECTED
    assert f"{cache}: " in caplog.text
    assert len(caplog.records) == 1
    caplog.clear()
    assert lengths(probe_all(videos, cache=cache, workers=0)) == EXPECTED
    assert not caplog.text


def test_a_line_that_lost_its_end_spoils_no_other(videos, tmp_path, probed, caplog):
    cache = tmp_path / "probes.jsonl"
    probe_all(videos[:1], cache=cache, workers=0)
    cache.write_text(cache.read_text().rstrip("\n"))
    probe_all(videos[:3], cache=cache, workers=0)
    probed.clear()
    assert lengths(probe_all(videos[:3], cache=cache, workers=0)) == {
        "5 frames.avi": 5,
        "6 frames.avi": 6,
        "7 frames.avi": 7,
    }
    assert not probed
    assert not caplog.text


def test_outdated_lines_do_not_pile_up(videos, tmp_path):
    cache = tmp_path / "probes.jsonl"
    for changed in range(1, 12):
        for path in videos:
            os.utime(path, ns=(changed, changed))
        probe_all(videos[:3], cache=cache, workers=0)
    assert len(cache.read_text().splitlines()) <= 9


def test_progress_counts_what_is_remembered(videos, tmp_path):
    cache, seen = tmp_path / "probes.jsonl", []
    probe_all(videos[:2], cache=cache, workers=0)
    probe_all(videos, cache=cache, workers=0, progress=lambda *step: seen.append(step))
    assert seen == [(2, 4), (3, 4), (4, 4)]


def test_no_video_of_thousands_that_are_remembered_is_opened(tmp_path, probed):
    paths = [tmp_path / f"{number}.avi" for number in range(2000)]
    lines = []
    for path in paths:
        path.touch()
        key = [str(path.stat().st_ino), 0, path.stat().st_mtime_ns]
        info = {"width": 320, "height": 240, "fps": 25.0, "n_frames": 187}
        lines.append(json.dumps([probing.METHOD, key, info]))
    cache = tmp_path / "probes.jsonl"
    cache.write_text("".join(f"{line}\n" for line in lines))
    found = probe_all(paths, cache=cache)
    assert {info.n_frames for info in found.values()} == {187}
    assert not probed
