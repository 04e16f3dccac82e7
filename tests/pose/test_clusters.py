"""Extraction on a real Dask cluster on loopback: a scheduler and two workers, each a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client
from refusals import refused

from pan_core.pose.batch_extraction import NO_PERSON, extract_clips
from pan_core.pose.cache import PoseCache
from pan_core.pose.clusters import SCHEDULER_VARIABLE, work_on_cluster
from pan_core.pose.extraction import extractor_identity
from pan_core.pose.extraction_job import ExtractionJob, extract_on_cluster
from pan_core.pose.extraction_settings import ExtractionSettings

SETTINGS = ExtractionSettings(stages=1, search_stages=1, search_size=(128, 96), glance_size=(128, 96))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[subprocess.Popen]]:
    """Scheduler and two workers, or as many as a test asks for; the variable names the scheduler."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__DASHBOARD__LINK": ""}
    worker = ["worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)]
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"],
        *[worker] * getattr(request, "param", 2),
    ]
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *command], env=environment, cwd=tmp_path,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]  # fmt: skip
    monkeypatch.setenv(SCHEDULER_VARIABLE, address)
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.timeout(300)
def test_a_worker_killed_on_the_way_costs_no_clip(
    cluster: list[subprocess.Popen], pose_model: Path, blank_video: Path, tmp_path: Path
) -> None:
    with Client(os.environ[SCHEDULER_VARIABLE], set_as_default=False) as client:
        client.wait_for_workers(2, timeout=200)
    clips = {}
    for number in range(8):
        clips[f"clip{number}"] = tmp_path / f"{number}.avi"
        clips[f"clip{number}"].write_bytes(blank_video.read_bytes() + bytes([number]))
    clips["broken"] = tmp_path / "broken.avi"
    clips["broken"].write_bytes(b"no video")
    done: list[int] = []

    def kill_one(number: int, total: int) -> None:
        done.append(number)
        if number == 2:
            cluster[1].send_signal(signal.SIGKILL)

    results = list(extract_clips(
        clips, model_path=pose_model, settings=SETTINGS, cache=tmp_path / "cache", workers=0, progress=kill_one
    ))  # fmt: skip
    assert cluster[1].poll() is not None and cluster[2].poll() is None
    assert done == list(range(1, 10))  # each clip once
    assert [result.clip_id for result in results] == list(clips)
    assert {result.reason for result in results[:-1]} == {NO_PERSON}
    assert "broken.avi" in results[-1].reason
    identity = extractor_identity(pose_model, settings=SETTINGS)
    assert PoseCache(tmp_path / "cache", identity=identity).path("00" * 32).parents[1].is_dir()
    assert len(list((tmp_path / "cache" / identity).rglob("*.npz"))) == 8


def test_no_cluster_at_the_address(
    pose_model: Path, blank_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://127.0.0.1:9")
    monkeypatch.setattr("pan_core.pose.clusters.CONNECT_SECONDS", 1)
    with refused("cluster.no-scheduler"):
        list(extract_clips(
            {"a": blank_video}, model_path=pose_model, settings=SETTINGS, cache=tmp_path / "cache", workers=0
        ))  # fmt: skip


@pytest.mark.parametrize("cluster", [0], indirect=True)
@pytest.mark.long
def test_a_scheduler_without_workers_ends_the_stage(
    cluster: list[subprocess.Popen],
    pose_model: Path,
    blank_video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("pan_core.pose.clusters.WORKER_SECONDS", 1)
    with refused("cluster.no-workers"):
        extract_clips({"a": blank_video}, model_path=pose_model, settings=SETTINGS, cache=tmp_path / "cache", workers=0)
    (waiting,) = [record for record in caplog.records if record.name == "pan_core.pose.clusters"]
    assert waiting.args == (os.environ[SCHEDULER_VARIABLE], 1)


@pytest.mark.parametrize("cluster", [1], indirect=True)
@pytest.mark.parametrize(("victim", "code"), [(0, "cluster.scheduler-lost"), (1, "cluster.no-workers")])
@pytest.mark.long
def test_a_cluster_lost_on_the_way_ends_the_stage(
    cluster: list[subprocess.Popen], victim: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> None:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        cluster[victim].kill()

    with Client(os.environ[SCHEDULER_VARIABLE], set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
    monkeypatch.setattr("pan_core.pose.clusters.WORKER_SECONDS", 1)
    killer = threading.Thread(target=kill)
    killer.start()
    # Workers cannot import this file.
    items = {"a": f"import pathlib, time; pathlib.Path({str(tmp_path / 'begun')!r}).touch(); time.sleep(60)"}
    with refused(code):
        list(work_on_cluster(items, exec, address=os.environ[SCHEDULER_VARIABLE]))
    killer.join()


def test_a_video_that_only_the_worker_does_not_see_is_no_bad_video(blank_video: Path, tmp_path: Path) -> None:
    job = ExtractionJob(tmp_path / "pose.onnx", SETTINGS, tmp_path, "x", 60.0)
    outcome = extract_on_cluster(tmp_path / "elsewhere.avi", job=job)
    assert not outcome.reason
    assert str(tmp_path / "elsewhere.avi") in outcome.fault
