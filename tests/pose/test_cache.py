"""Extraction of many clips: what is kept, what is done again, what is reported."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from refusals import refused

from pan_core.pose import batch_extraction
from pan_core.pose.batch_extraction import NO_PERSON, Failure, extract_clips
from pan_core.pose.cache import PoseCache
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.tracks import Tracks, VideoPoses
from pan_core.workers.supervised import TaskFailure

SETTINGS = ExtractionSettings(stages=1, search_stages=1, search_size=(128, 96))
JOINTS = np.random.default_rng(0).random((2, 5, 18, 3), np.float32)
POSES = VideoPoses(Tracks.of(JOINTS), 12.5, 320, 240, 10, 0.12, "x")


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replaces the extractor by one that finds `POSES` in every video; lists the videos that it was given."""
    videos: list[Path] = []

    def extract(self: PoseExtractor, video: Path, **_: object) -> VideoPoses:
        videos.append(video)
        return POSES

    monkeypatch.setattr(PoseExtractor, "extract", extract)
    return videos


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, Path]:
    """Three files with different content, in an order that is not the alphabet's."""
    paths = {name: tmp_path / f"{name}.avi" for name in ("b", "c", "a")}
    for name, path in paths.items():
        path.write_text(name)
    return paths


def run(videos: dict[str, Path], pose_model: Path, tmp_path: Path, **changes: object) -> list[VideoPoses | Failure]:
    arguments = {"model_path": pose_model, "settings": SETTINGS, "cache": tmp_path / "cache", "workers": 0} | changes
    return list(extract_clips(videos, **arguments))


def test_results_come_in_order_and_are_remembered(
    videos: dict[str, Path], extracted: list[Path], pose_model: Path, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    first = run(videos, pose_model, tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert [poses.video_id for poses in first] == ["b", "c", "a"]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(first[0].tracks.dense(), JOINTS)
    assert (first[0].fps, first[0].width, first[0].height) == (12.5, 320, 240)
    # SHA-256 of the letter a, as `printf a | sha256sum` gives it.
    assert first[2].video_sha256 == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    run(videos, pose_model, tmp_path)
    assert len(extracted) == 3


def test_other_settings_and_changed_videos_are_extracted_anew(
    videos: dict[str, Path], extracted: list[Path], pose_model: Path, tmp_path: Path
) -> None:
    run(videos, pose_model, tmp_path)
    videos["a"].write_text("new footage")
    run(videos, pose_model, tmp_path)
    assert extracted[3:] == [videos["a"]]
    run(videos, pose_model, tmp_path, settings=ExtractionSettings(stages=2, search_stages=1))
    assert len(extracted) == 7


@pytest.mark.parametrize("damage", ["flip", "cut", "text", "empty"])
def test_damaged_entry_is_reported_and_made_again(
    damage: str,
    videos: dict[str, Path],
    extracted: list[Path],
    pose_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(videos, pose_model, tmp_path)
    entry = sorted((tmp_path / "cache").rglob("*.npz"))[0]
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 255
    entry.write_bytes({"flip": content, "cut": content[:200], "text": b"no archive", "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        results = run(videos, pose_model, tmp_path)
    assert len(extracted) == 4
    assert "damaged pose cache entry" in caplog.text and entry.name in caplog.text
    assert all(isinstance(result, VideoPoses) for result in results)


def test_interrupted_run_goes_on_where_it_stopped(
    videos: dict[str, Path], extracted: list[Path], pose_model: Path, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(videos, pose_model, tmp_path, progress=interrupt)
    run(videos, pose_model, tmp_path)
    assert extracted == list(videos.values())


def test_broken_and_empty_videos_are_failures_and_the_rest_goes_on(
    pose_model: Path, blank_video: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    clips = {"text": tmp_path / "text.mp4", "blank": blank_video, "absent": tmp_path / "absent.avi"}
    results = run(clips, pose_model, tmp_path)
    assert all(isinstance(result, Failure) for result in results)
    codes = {result.clip_id: result.code for result in results}
    assert codes == {"text": "video.no-stream", "blank": "pose.no-person", "absent": "video.missing"}


def test_full_disk_is_said_and_leaves_no_partial_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with refused("disk.full"):
        PoseCache(tmp_path, identity="x").write("ab" * 32, POSES)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_killed_worker_loses_nothing(pose_model: Path, blank_video: Path, tmp_path: Path) -> None:
    """Six videos on two workers; one worker is killed as soon as the first video is done."""
    clips = {}
    for number in range(6):
        clips[f"clip{number}"] = tmp_path / f"{number}.avi"
        clips[f"clip{number}"].write_bytes(blank_video.read_bytes() + bytes([number]))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if killed:
            return
        workers = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        workers = [child for child in workers if any("spawn_main" in part for part in child.cmdline())]
        killed.append(workers[-1].pid)
        workers[-1].kill()

    results = run(clips, pose_model, tmp_path, workers=2, progress=kill_one)
    assert killed
    assert [result.clip_id for result in results] == list(clips)
    assert {result.reason for result in results} == {NO_PERSON}


def test_two_runs_at_once_share_a_cache(
    videos: dict[str, Path], extracted: list[Path], pose_model: Path, tmp_path: Path
) -> None:
    outcomes: list[list[VideoPoses | Failure]] = []
    threads = [threading.Thread(target=lambda: outcomes.append(run(videos, pose_model, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    for thread in threads:
        thread.join(timeout=deadline - time.monotonic())
    assert [len(outcome) for outcome in outcomes] == [3, 3]
    assert all(isinstance(result, VideoPoses) for outcome in outcomes for result in outcome)


def test_an_entry_that_vanishes_ends_the_stage(
    videos: dict[str, Path], extracted: list[Path], pose_model: Path, tmp_path: Path
) -> None:
    results = extract_clips(videos, model_path=pose_model, settings=SETTINGS, cache=tmp_path / "cache", workers=0)
    for entry in (tmp_path / "cache").rglob("*.npz"):
        entry.unlink()
    with refused("pose.entry-lost"):
        next(results)


@pytest.mark.parametrize("healthy", [True, False])
def test_processes_that_die_whatever_they_do_are_no_bad_video(
    healthy: bool,
    videos: dict[str, Path],
    extracted: list[Path],
    pose_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first video's process dies twice; then an empty picture tells whether others would."""

    def run_supervised(items: dict, function: Callable, **_: object) -> Iterator[tuple[str, object]]:
        for key, item in items.items():
            died = key == "b" or (key == "" and not healthy)
            yield key, TaskFailure.DIED if died else True if key == "" else function(item, None)

    monkeypatch.setattr(batch_extraction, "run_supervised", run_supervised)
    if healthy:
        first, *others = run(videos, pose_model, tmp_path, workers=1)
        assert isinstance(first, Failure) and first.code == "pose.process-died"
        assert all(isinstance(one, VideoPoses) for one in others)
    else:
        with refused("pose.machine-fault") as caught:
            run(videos, pose_model, tmp_path, workers=1)
        assert "1 of 3 videos" in str(caught.value) and videos["b"].name in str(caught.value)
        assert len(list((tmp_path / "cache").rglob("*.npz"))) == 2


def test_what_kills_workers_of_a_cluster_is_tried_here(
    videos: dict[str, Path],
    extracted: list[Path],
    pose_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cluster gives one video up, and never hears of another that is not there."""

    def work_on_cluster(items: dict, function: Callable, *, address: str) -> Iterator[tuple[str, object]]:
        assert address == "tcp://anywhere:1"
        yield from ((key, None if key == "c" else function(item)) for key, item in items.items())

    def run_supervised(items: dict, function: Callable, **_: object) -> Iterator[tuple[str, object]]:
        tried.extend(items)
        yield from ((key, function(item, None)) for key, item in items.items())

    tried: list[str] = []
    monkeypatch.setenv("PAN_DASK_SCHEDULER", "tcp://anywhere:1")
    monkeypatch.setattr(batch_extraction, "work_on_cluster", work_on_cluster)
    monkeypatch.setattr(batch_extraction, "run_supervised", run_supervised)
    results = run(videos | {"absent": tmp_path / "absent.avi"}, pose_model, tmp_path)
    assert tried == ["c"]
    assert [type(result) for result in results] == [VideoPoses, VideoPoses, VideoPoses, Failure]
    assert results[-1].code == "video.missing"
