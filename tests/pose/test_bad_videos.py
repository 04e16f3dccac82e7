"""Every odd, damaged and hostile video through the real extraction, together with good ones."""

import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from bad_videos import CASES, HUGE, encode
from refusals import refused

from pan_core.datasets.actors.scenes import Performer, render_scene
from pan_core.pose.batch_extraction import NO_PERSON, Failure, extract_clips
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.tracks import VideoPoses

SETTINGS = ExtractionSettings(stages=2, search_stages=2)
QUICK = ExtractionSettings(stages=1, search_stages=1, search_size=(128, 96))
# Nobody is on these; the others show somebody who waves, but without colours or in a ribbon of grey, he may not be found.
EMPTY = {"huge", "odd", "one_pixel"}
UNSURE = {"gif", "grey", "flat", "narrow"}

Results = dict[str, VideoPoses | Failure]


@pytest.fixture(scope="module")
def good(waving: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two healthy videos of somebody who waves, with different content."""
    folder = tmp_path_factory.mktemp("good")
    return {name: encode(folder / f"{name}.mp4", waving[0], gop=gop) for name, gop in (("first", 12), ("last", 6))}


@pytest.fixture(scope="module")
def results(
    good: dict[str, Path], bad_video_files: dict[str, Path], pose_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Results:
    """All of them in one batch on two workers, the bad ones between the good ones."""
    videos = {"first": good["first"], **bad_video_files, "last": good["last"]}
    cache = tmp_path_factory.mktemp("cache")
    clips = extract_clips(videos, model_path=pose_model, settings=SETTINGS, cache=cache, workers=2)
    return dict(zip(videos, clips, strict=True))


def test_good_clips_are_untouched_by_bad_ones(results: Results, waving: tuple[np.ndarray, np.ndarray]) -> None:
    assert list(results) == ["first", *CASES, "last"]
    for name in ("first", "last"):
        assert _error(results[name], waving[1]) < 8


@pytest.mark.parametrize("key", [key for key, case in CASES.items() if case.errors])
def test_what_is_no_video_is_a_failure_with_its_reason(key: str, results: Results) -> None:
    result = results[key]
    assert isinstance(result, Failure)
    assert CASES[key].name in result.reason
    assert result.code in CASES[key].errors


@pytest.mark.parametrize("key", sorted(EMPTY))
def test_pictures_of_any_size_without_people(key: str, results: Results) -> None:
    assert results[key] == Failure(key, NO_PERSON, "pose.no-person")


@pytest.mark.parametrize(
    "key", [key for key, case in CASES.items() if not case.errors and key not in EMPTY | UNSURE | {"lost_frames"}]
)
def test_what_can_be_read_has_its_poses_in_upright_pixels(
    key: str, results: Results, waving: tuple[np.ndarray, np.ndarray]
) -> None:
    result = results[key]
    assert isinstance(result, VideoPoses)
    assert (result.width, result.height) == (320, 240)
    # The first frame is the same in all; it is compared with where the joints were drawn.
    assert _error(result, waving[1], frames=1) < 8


def test_a_video_damaged_in_its_middle_is_no_shorter_video(results: Results) -> None:
    result = results["lost_frames"]
    assert isinstance(result, Failure)
    assert result.code == "video.damaged"


@pytest.mark.parametrize("key", sorted(UNSURE))
def test_others_end_in_poses_or_in_a_reason(key: str, results: Results) -> None:
    assert isinstance(results[key], VideoPoses) or results[key].reason == NO_PERSON


def _error(clip: VideoPoses | Failure, true: np.ndarray, *, frames: int | None = None) -> float:
    """Median distance in pixels of found joints from true ones, by frame number."""
    assert isinstance(clip, VideoPoses)
    found, true = clip.joints[0][:frames], true[0][:frames]
    seen = (found[..., 2] > 0) & (true[..., 2] >= 1)
    assert seen.mean() > 0.3
    return float(np.median(np.linalg.norm(found[..., :2] - true[..., :2], axis=-1)[seen]))


def test_poses_keep_real_time_where_the_rate_varies(pose_model: Path, tmp_path: Path) -> None:
    """Somebody runs at 30 frames a second; of the last third of the frames only every third is stored."""
    frames, true = render_scene([Performer("Running", start=(-1.0, 0.0))], frames=45, fps=30.0, width=480)
    kept = [*range(30), *range(30, 45, 3)]
    times = [round(1000 * number / 30) for number in kept]
    path = encode(tmp_path / "variable.mp4", frames[kept], times_ms=times)
    poses = PoseExtractor(pose_model, settings=SETTINGS).extract(path)
    assert poses.joints.shape[1] / poses.fps == pytest.approx(1.45, abs=0.1)
    moment = np.arange(poses.joints.shape[1]) / poses.fps
    by_time = np.clip(np.round(moment * 30).astype(int), 0, 44)
    by_number = np.clip(np.round(np.arange(len(moment)) * 30 / poses.fps * 35 / 45), 0, 44).astype(int)
    hips = [8, 11]
    errors = {
        name: float(np.nanmean(np.abs(poses.joints[0][:, hips, 0] - true[0][rows][:, hips, 0])[-8:]))
        for name, rows in (("time", by_time), ("number", by_number))
    }
    assert errors["time"] < 12 < errors["number"]


def test_slow_decoding_ends_at_its_limit(good: dict[str, Path], pose_model: Path, tmp_path: Path) -> None:
    """Six pictures of 8K, a thousand a second, take far longer to decode than they last."""
    picture = np.full((*HUGE[::-1], 3), 90, np.uint8)
    encode(tmp_path / "slow.mkv", [picture] * 6, codec="mpeg4", times_ms=range(6))
    videos = {"slow": tmp_path / "slow.mkv", "good": good["first"]}
    slow, fine = extract_clips(
        videos, model_path=pose_model, settings=QUICK, cache=tmp_path / "cache", workers=2, decode_seconds=0.1
    )
    assert isinstance(slow, Failure) and slow.code == "video.too-slow"
    assert isinstance(fine, VideoPoses) or fine.reason == NO_PERSON


HANGING_DECODER = """\
import ctypes
import cv2

real = cv2.VideoCapture

def open_capture(path, *arguments):
    if "hangs" in path:
        ctypes.PyDLL(None).sleep(600)  # in C, and without letting go of the interpreter
    return real(path, *arguments)

cv2.VideoCapture = open_capture
"""


@pytest.mark.timeout(120)
def test_a_decoder_that_hangs_in_c_costs_its_clip_only(
    good: dict[str, Path], pose_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING_DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    videos = {"first": good["first"]}
    for number in range(2):
        videos[f"hangs{number}"] = tmp_path / f"hangs{number}.mp4"
        videos[f"hangs{number}"].write_bytes(good["first"].read_bytes() + bytes([number]))
    videos["last"] = good["last"]
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    clips = extract_clips(
        videos, model_path=pose_model, settings=SETTINGS, cache=tmp_path / "cache", workers=2, stall_seconds=3.0
    )
    results = dict(zip(videos, clips, strict=True))
    assert isinstance(results["first"], VideoPoses) and isinstance(results["last"], VideoPoses)
    for number in range(2):
        result = results[f"hangs{number}"]
        assert isinstance(result, Failure) and result.code == "pose.stuck"
        assert result.reason.startswith(str(videos[f"hangs{number}"]))
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not [child for child in left if any("spawn_main" in part for part in child.cmdline())]


DYING_DECODER = """\
import os
import cv2

real = cv2.VideoCapture

def open_capture(path, *arguments):
    if "kills" in path:
        os.abort()
    return real(path, *arguments)

cv2.VideoCapture = open_capture
"""


@pytest.mark.timeout(120)
def test_a_video_that_kills_its_decoder_each_time_costs_its_clip_only(
    good: dict[str, Path], pose_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DYING_DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    videos = {"kills": tmp_path / "kills.mp4", "good": good["first"]}
    videos["kills"].write_bytes(good["first"].read_bytes() + b"1")
    kills, fine = extract_clips(videos, model_path=pose_model, settings=QUICK, cache=tmp_path / "cache", workers=1)
    assert isinstance(kills, Failure) and kills.code == "pose.process-died"
    assert isinstance(fine, VideoPoses) or fine.reason == NO_PERSON


@pytest.mark.timeout(120)
def test_a_worker_that_is_killed_for_want_of_memory_does_not_make_the_video_a_bad_one(
    good: dict[str, Path], pose_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system kills by SIGKILL; with memory enough, the next run has the poses, and finds those of the other video stored."""
    lacking = DYING_DECODER.replace("os.abort()", "os.kill(os.getpid(), 9)")
    (tmp_path / "sitecustomize.py").write_text(lacking)
    videos = {"kills": tmp_path / "kills.mp4", "good": good["first"]}
    videos["kills"].write_bytes(good["first"].read_bytes() + b"1")
    arguments = {"model_path": pose_model, "settings": SETTINGS, "cache": tmp_path / "cache", "workers": 2}
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with refused("workers.no-memory") as caught:
            list(extract_clips(videos, **arguments))
    assert str(videos["kills"]) in str(caught.value)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1
    assert all(isinstance(found, VideoPoses) for found in extract_clips(videos, **arguments))


def test_memory_that_is_lacking_in_this_process_is_the_machines_fault(
    good: dict[str, Path], pose_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_for_too_much(*_: object, **__: object) -> None:
        np.ones(1 << 50)

    monkeypatch.setattr(PoseExtractor, "extract", ask_for_too_much)
    with refused("pose.machine-fault") as caught:
        list(extract_clips({"a": good["first"]}, model_path=pose_model, settings=QUICK, cache=tmp_path, workers=0))
    assert "memory" in str(caught.value)


def test_8k_needs_the_memory_of_a_few_pictures(pose_model: Path, bad_video_files: dict[str, Path]) -> None:
    """One picture of 8K has 100 MB; decoder, picture and search are allowed six."""
    process, peak, done = psutil.Process(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    extractor = PoseExtractor(pose_model, settings=QUICK)
    before = process.memory_info().rss
    watcher = threading.Thread(target=watch)
    watcher.start()
    extractor.extract(bad_video_files["huge"])
    done.set()
    watcher.join()
    assert peak[0] - before < 600e6
