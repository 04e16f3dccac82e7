"""Arrays that another process sees without their being sent."""

import os
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import numpy as np
import pytest

from pan_core.runtimes.shared_arrays import SharedArrays

ROOT = Path(__file__).parents[2]
ARRAYS = [
    np.arange(7, dtype=np.uint8),
    np.linspace(0, 1, 6, dtype=np.float32).reshape(1, 2, 3),
    np.array([], np.float32),
    np.array([[True], [False]]),
    np.arange(12).reshape(3, 4).T,
    np.array(2.5),
]


def pair() -> tuple[Connection, Connection]:
    return Pipe()


def test_arrays_come_out_as_they_went_in() -> None:
    memory = SharedArrays(4096)
    places = memory.put(ARRAYS)
    assert places is not None
    for array, view in zip(ARRAYS, memory.views(places), strict=True):
        assert (view.dtype, view.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(view, array)


def test_what_does_not_fit_is_not_written() -> None:
    memory = SharedArrays(100)
    assert memory.put([np.ones(64, np.uint8), np.ones(64, np.uint8)]) is None
    places = memory.put([np.zeros(100, np.uint8)[:64]], start=0)
    assert places is not None and memory.put([np.ones(1)], start=64) is None
    assert SharedArrays(0).put([np.ones(1)]) is None and SharedArrays(0).put([]) == []


def test_another_process_sees_them_and_answers_in_them() -> None:
    here, there = pair()
    memory = SharedArrays(4096)
    places = memory.put([np.arange(5.0)])
    assert places is not None
    work = (
        "import sys; from multiprocessing.connection import Connection; from pan_core.runtimes.shared_arrays import SharedArrays\n"
        "connection = Connection(int(sys.argv[1])); memory = SharedArrays.receive(connection, 4096)\n"
        "view, = memory.views(connection.recv()); view *= 10; connection.send(0)"
    )
    other = subprocess.Popen([sys.executable, "-c", work, str(there.fileno())], pass_fds=[there.fileno()], cwd=ROOT)
    memory.send(here)
    here.send(places)
    assert here.poll(60) and here.recv() == 0
    assert memory.views(places)[0].tolist() == [0, 10, 20, 30, 40]
    assert other.wait() == 0


def test_descriptors_are_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        SharedArrays(4096).put([np.ones(3)])
        with pytest.raises(OSError):
            SharedArrays(-1)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
