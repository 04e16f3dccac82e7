"""Poses that one process's networks find for many workers, and what happens where there is no GPU, or none any more."""

import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from networks_without_memory import open_without_memory
from refusals import refused

from pan_core.errors import ConfigError
from pan_core.params.load import parse_params
from pan_core.pose.batch_extraction import Failure, extract_clips
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pretrained import DECLARATIONS
from pan_core.pose.tracks import VideoPoses
from pan_core.runtimes import cuda
from pan_core.runtimes.cuda import cuda_fault, open_batching
from pan_core.runtimes.network_server import NetworkServer
from pan_core.viewer.annotate import write_video
from pan_core.workspace.pipeline_run import run_pipeline

MODEL = DECLARATIONS["movenet"]
SETTINGS = ExtractionSettings(min_person_score=0.05)
without_gpu = pytest.mark.skipif(not cuda_fault(), reason="this machine runs networks on a GPU")


@pytest.fixture(scope="module")
def server() -> Iterator[NetworkServer]:
    with NetworkServer(open_batching, str) as server:  # str() is empty: nothing is amiss
        yield server


@pytest.fixture
def videos(waving: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> dict[str, Path]:
    """The same person at five places of the picture."""
    shifts = {f"v{number}": 10 * number for number in range(5)}
    return {
        name: write_video(tmp_path / f"{name}.mp4", [np.roll(frame, by, axis=1) for frame in waving[0]], fps=15)
        for name, by in shifts.items()
    }


def extract(videos: dict[str, Path], cache: Path, **options: object) -> list[VideoPoses | Failure]:
    return list(
        extract_clips(videos, model_path=MODEL, settings=SETTINGS, cache=cache, **{"workers": 2, **options})  # type: ignore[arg-type]
    )


def test_workers_that_share_a_network_find_the_same_people(
    videos: dict[str, Path], server: NetworkServer, tmp_path: Path
) -> None:
    alone = extract(videos, tmp_path / "alone")
    shared = extract(videos, tmp_path / "shared", workers=4, device=server.address)
    for one, other in zip(alone, shared, strict=True):
        assert isinstance(one, VideoPoses) and isinstance(other, VideoPoses)
        assert one.extractor == other.extractor  # whatever runs the networks, the poses are the same ones
        assert len(one.tracks) == len(other.tracks) > 0
        # Pixels; what a decoder rounds moves joints more.
        np.testing.assert_allclose(one.tracks.dense(), other.tracks.dense(), atol=0.02)
    names = [sorted(str(path.relative_to(tmp_path / each)) for path in (tmp_path / each).rglob("*.npz"))
             for each in ("alone", "shared")]  # fmt: skip
    assert names[0] == names[1] and len(names[0]) == 5


def test_the_papers_network_is_shared_as_well(
    videos: dict[str, Path], server: NetworkServer, pose_model: Path, tmp_path: Path
) -> None:
    """Its crops have many shapes, and what lies behind the stage that is wanted is cut off before it is sent."""
    options = {"model_path": pose_model, "settings": ExtractionSettings(stages=2, search_stages=1)}
    alone = list(extract_clips(videos, cache=tmp_path / "alone", workers=1, **options))  # type: ignore[arg-type]
    shared = list(
        extract_clips(videos, cache=tmp_path / "shared", workers=3, device=server.address, **options)  # type: ignore[arg-type]
    )
    for one, other in zip(alone, shared, strict=True):
        assert isinstance(one, VideoPoses) and isinstance(other, VideoPoses)
        np.testing.assert_allclose(one.tracks.dense(), other.tracks.dense(), atol=0.02)


def test_threads_of_one_process_share_a_network(videos: dict[str, Path]) -> None:
    """As those of a Dask worker do."""
    shared = PoseExtractor(MODEL, settings=SETTINGS, opener=open_batching)
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(shared.extract, videos.values()))
    alone = PoseExtractor(MODEL, settings=SETTINGS)
    for video, other in zip(videos.values(), found, strict=True):
        np.testing.assert_allclose(alone.extract(video).tracks.dense(), other.tracks.dense(), atol=0.02)


def test_a_gpu_without_memory_is_no_fault_of_the_videos(videos: dict[str, Path], tmp_path: Path) -> None:
    with NetworkServer(open_without_memory, str) as server, refused("workers.no-memory"):
        extract({"v0": videos["v0"]}, tmp_path / "cache", device=server.address)


def test_a_bad_video_takes_no_other_along(videos: dict[str, Path], server: NetworkServer, tmp_path: Path) -> None:
    videos["v1"].write_bytes(b"no video")
    videos["v3"].write_bytes(videos["v3"].read_bytes()[:100])
    found = extract(videos, tmp_path / "cache", device=server.address)
    assert [isinstance(each, Failure) for each in found] == [False, True, False, True, False]


def test_a_network_that_cannot_be_used_is_refused_as_without_a_server(
    videos: dict[str, Path], server: NetworkServer, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("model: own.onnx\nkind: bottom_up\n")
    (tmp_path / "own.onnx").write_bytes(b"no network")
    for device in ("cpu", server.address):
        with refused("network.damaged"):
            list(extract_clips(videos, model_path=tmp_path / "own.yaml", settings=SETTINGS, cache=tmp_path / "cache",
                               workers=1, device=device))  # fmt: skip


def test_a_process_that_loses_the_gpu_ends_the_stage_and_keeps_what_is_finished(
    videos: dict[str, Path], tmp_path: Path
) -> None:
    with NetworkServer(open_batching, str) as server:

        def end_it(done: int, _: int) -> None:
            if done == 2:
                assert server.process_id
                os.kill(server.process_id, signal.SIGKILL)

        with refused("device.lost"):
            extract(videos, tmp_path / "cache", workers=1, device=server.address, progress=end_it)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) >= 2
    assert all(isinstance(each, VideoPoses) for each in extract(videos, tmp_path / "cache"))


@without_gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_cuda_without_a_gpu_is_refused_before_anything_is_written(
    workers: int, videos: dict[str, Path], tmp_path: Path
) -> None:
    with refused("device.missing", ConfigError):
        extract(videos, tmp_path / "cache", workers=workers, device="cuda")
    assert not (tmp_path / "cache").exists()


@without_gpu
def test_auto_without_a_gpu_goes_on_with_one_line_of_log(
    videos: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert all(isinstance(each, VideoPoses) for each in extract(videos, tmp_path / "cache", device="auto"))
    (line,) = [record.getMessage() for record in caplog.records if record.name == cuda.__name__]
    assert "processor" in line


@without_gpu
def test_a_run_that_wants_cuda_is_refused_before_its_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("dataset: actors\npose: {device: cuda}\n")
    with refused("device.missing", ConfigError):
        run_pipeline()
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_the_device_changes_neither_extractor_nor_recipe() -> None:
    params = [parse_params({"dataset": "actors", "pose": {"device": device}}, "test") for device in ("cpu", "cuda")]
    assert params[0].pose.extraction() == params[1].pose.extraction()
    assert params[0].recipe() == params[1].recipe()
    with refused("config", ConfigError) as caught:
        parse_params({"dataset": "actors", "pose": {"device": "gpu"}}, "test")
    assert caught.value.names == ("pose.device",)
