"""Arrays reach TensorRT's process and come back.

There is no TensorRT here: a module of that name takes its place, which computes with NumPy what its engine file says, and a
library takes that of CUDA's, whose device memory is the host's. So this shows the pipe and the calls, not TensorRT.
"""

import ctypes.util
import subprocess
import sys

import numpy as np
import pytest

from pan_core.errors import DataError
from pan_core.runtimes.tensorrt_session import PYTHON_VARIABLE, TensorRtSession

TENSORRT = """
import ctypes, numpy as np
class Logger:
    WARNING = 2
    def __init__(self, level): pass
class Runtime:
    def __init__(self, logger): pass
    def deserialize_cuda_engine(self, content):
        return Engine() if content == b"twice" else None
class Engine:
    num_bindings = 2
    def get_binding_name(self, i): return ["x", "y"][i]
    def binding_is_input(self, i): return i == 0
    def create_execution_context(self): return Context()
class Context:
    def set_binding_shape(self, i, shape): self.shape = shape
    def get_binding_shape(self, i): return self.shape
    def execute_v2(self, places):
        print("TensorRT says something")
        count = int(np.prod(self.shape))
        x, y = (np.ctypeslib.as_array((ctypes.c_float * count).from_address(place)) for place in places)
        y[:] = 2 * x
        return count < 1000
"""
CUDA = """
#include <stdlib.h>
#include <string.h>
int cudaMalloc(void **place, size_t size) { *place = malloc(size); return *place ? 0 : 2; }
int cudaFree(void *place) { free(place); return 0; }
int cudaMemcpy(void *to, const void *from, size_t size, int kind) { memcpy(to, from, size); return 0; }
"""


@pytest.fixture
def jetson(tmp_path, monkeypatch):
    """An interpreter with both in its path."""
    (tmp_path / "tensorrt.py").write_text(TENSORRT)
    (tmp_path / "cuda.c").write_text(CUDA)
    compiler = next((name for name in ("cc", "gcc", "clang") if ctypes.util.find_library("c") and _has(name)), None)
    if compiler is None:
        pytest.skip("no C compiler here, for the library that takes CUDA's place")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "libcudart.so", tmp_path / "cuda.c"], check=True)
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} LD_LIBRARY_PATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))
    return tmp_path


def _has(program):
    return subprocess.run(["which", program], capture_output=True, check=False).returncode == 0


def test_there_and_back(jetson):
    (jetson / "net.engine").write_bytes(b"twice")
    session = TensorRtSession(jetson / "net.engine")
    assert session.outputs == ("y",)
    for shape in [(1, 3, 8, 8), (2, 3, 4, 4), (1, 1)]:
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        (y,) = session.run({"x": x}, ["y"])
        np.testing.assert_array_equal(y, 2 * x)
    with pytest.raises(DataError, match="TensorRT failed on inputs of shapes"):
        session.run({"x": np.zeros((1, 5000), np.float32)}, ["y"])
    session.close()


def test_an_engine_of_another_device(jetson):
    (jetson / "net.engine").write_bytes(b"other")
    with pytest.raises(DataError, match="built by another version or for another device"):
        TensorRtSession(jetson / "net.engine")


def test_no_tensorrt(jetson):
    (jetson / "tensorrt.py").unlink()
    (jetson / "net.engine").write_bytes(b"twice")
    with pytest.raises(DataError, match="No module named 'tensorrt'"):
        TensorRtSession(jetson / "net.engine")


def test_the_worker_is_python_3_6():
    source = (TensorRtSession.__module__.replace(".", "/") + ".py").replace("session", "worker")
    import ast
    from pathlib import Path

    ast.parse((Path(__file__).parents[2] / source).read_text(), feature_version=(3, 6))
