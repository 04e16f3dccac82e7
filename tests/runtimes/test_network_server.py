"""One process that runs networks for others: the processor in place of the GPU, all else as it is there."""

import gc
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from networks_without_memory import MOST_SHARED, open_without_memory, share_little
from refusals import refused

from pan_core.pose.pretrained import NETWORKS
from pan_core.runtimes.cuda import open_batching
from pan_core.runtimes.max_error import largest_difference
from pan_core.runtimes.network_server import NetworkClient, NetworkServer
from pan_core.runtimes.session import open_model

ROOT = Path(__file__).parents[2]
MODEL = NETWORKS["movenet_lightning"]


@pytest.fixture(scope="module")
def server() -> Iterator[NetworkServer]:
    with NetworkServer(open_batching, str) as server:  # str() is empty: nothing is amiss
        yield server


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, 1, 3, 192, 192)).astype(np.float32)


def test_many_who_ask_get_what_the_network_gives_each(server: NetworkServer) -> None:
    """The rounding of a batch moves a joint by less than a hundredth of a pixel of the crop; a cell is four."""
    alone = open_model(MODEL)
    clients = [NetworkClient(server.address)(MODEL) for _ in range(4)]
    assert clients[0].outputs == alone.outputs
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(clients[number % 4].run, {"images": picture}, alone.outputs)
            for number, picture in enumerate(pictures(12))
        ]
    for picture, each in zip(pictures(12), asked, strict=True):
        wanted = alone.run({"images": picture}, alone.outputs)
        assert max(map(largest_difference, each.result(), wanted)) < 1e-4


def test_a_network_is_opened_once_whoever_asks(server: NetworkServer) -> None:
    first, second = (NetworkClient(server.address)(MODEL) for _ in range(2))
    content = NetworkClient(server.address)(MODEL.read_bytes())
    assert first.number == second.number != content.number


def test_faults_come_back_with_their_code_and_the_server_goes_on(server: NetworkServer, tmp_path: Path) -> None:
    client = NetworkClient(server.address)
    with refused("network.missing"):
        client(tmp_path / "none.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(MODEL.read_bytes()[:4000])
    with refused("network.damaged"):
        client(cut)
    session = client(MODEL)
    with pytest.raises(RuntimeError, match="InvalidArgument"):
        session.run({"images": np.zeros((1, 3, 8, 8), np.float32)}, session.outputs)
    with pytest.raises(RuntimeError):
        session.run({"pictures": np.zeros((1, 3, 192, 192), np.float32)}, session.outputs)
    assert session.run({"images": pictures(1)[0]}, ["maps"])[0].shape == (1, 17, 48, 48)


def test_a_worker_that_is_killed_in_the_middle_ends_nobody_else(server: NetworkServer) -> None:
    work = (
        "import sys, numpy as np; from pathlib import Path; from pan_core.runtimes.network_server import NetworkClient\n"
        "session = NetworkClient(sys.argv[1])(Path(sys.argv[2])); picture = np.zeros((1, 3, 192, 192), np.float32)\n"
        "print('asks', flush=True)\nwhile True: session.run({'images': picture}, ['maps'])"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", work, server.address, str(MODEL)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert worker.stdout and worker.stdout.readline() == b"asks\n"
    session = NetworkClient(server.address)(MODEL)
    for number in range(30):
        if number == 10:
            worker.kill()
        session.run({"images": pictures(1)[0]}, ["maps"])
    worker.wait()


def test_a_server_that_died_is_the_machines_fault() -> None:
    with NetworkServer(open_batching, str) as server:
        session = NetworkClient(server.address)(MODEL)
        assert server.process_id
        os.kill(server.process_id, signal.SIGKILL)
        with refused("device.lost"):
            session.run({"images": pictures(1)[0]}, ["maps"])
    with refused("device.lost"):
        NetworkClient(server.address)


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    with NetworkServer(open_batching, str) as server:
        client = NetworkClient(server.address)
        assert server.process_id
        os.kill(server.process_id, signal.SIGSTOP)
        try:
            with refused("device.lost"):
                client.ask("open", MODEL, 1, seconds=0.5)
        finally:
            os.kill(server.process_id, signal.SIGCONT)
        with refused("device.lost"):  # and not the late answer
            client(MODEL)


def test_a_gpu_without_memory_is_a_want_of_memory_to_the_worker() -> None:
    """The worker's pool then tries its video again alone, and does not blame it."""
    with NetworkServer(open_without_memory, str) as server:
        session = NetworkClient(server.address)(MODEL)
        with pytest.raises(MemoryError, match="Failed to allocate"):
            session.run({"images": pictures(1)[0]}, ["maps"])


def test_after_memory_that_could_not_be_shared_nobody_gets_answers_to_an_earlier_picture() -> None:
    """A refused memory must be refused at both ends: else one writes there, and the other reads what lay in the one before."""
    alone, (first, second) = open_model(MODEL), pictures(2)
    with NetworkServer(open_batching, share_little) as server:
        client = NetworkClient(server.address)
        session = client(MODEL)
        session.run({"images": first}, ["maps"])
        with pytest.raises(MemoryError):
            client.run(session.number, {"images": np.zeros(MOST_SHARED, np.uint8)}, ["maps"])
        (got,) = session.run({"images": second}, ["maps"])
    assert largest_difference(got, *alone.run({"images": second}, ["maps"])) < 1e-4


def test_a_server_that_cannot_start_says_why() -> None:
    with NetworkServer(open_batching, platform.system) as server:  # any function that returns words
        assert server.fault == platform.system()
    with NetworkServer(open_batching, os.abort) as server:
        assert "status -6" in server.fault


def test_the_server_ends_with_its_parent() -> None:
    work = (
        "import time; from pan_core.runtimes.network_server import NetworkServer; from pan_core.runtimes.cuda import open_batching\n"
        "if __name__ == '__main__':\n    with NetworkServer(open_batching, str) as server:\n"
        "        print(server.process_id, flush=True)\n        time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_long_name_of_the_temporary_folder_is_none_of_a_workers_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes 107 bytes for the address of a socket; names of other alphabets have several a letter."""
    folder = tmp_path / ("é" * 100) / ("x" * 200)
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with NetworkServer(open_batching, str) as server:
        assert server.fault == ""
        assert Path(server.address).is_relative_to(folder)
        before = len(list(Path("/proc/self/fd").iterdir()))
        session = NetworkClient(server.address)(MODEL)
        assert session.run({"images": pictures(1)[0]}, ["maps"])[0].shape == (1, 17, 48, 48)
        del session
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert not list(folder.iterdir())
    with refused("device.lost"):
        NetworkClient(server.address)
