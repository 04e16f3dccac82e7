"""Arrays reach TensorRT's process and come back.

There is no TensorRT here. A stand-in module of that name doubles its input with NumPy, and a stand-in library for CUDA uses the
host's memory. So this tests the pipe and the calls, not TensorRT.
"""

import ast
import ctypes.util
import subprocess
import sys

import numpy as np
import pytest
from refusals import refused

from pan_core.runtimes.tensorrt_session import PYTHON_VARIABLE, WORKER, TensorRtSession

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
    """Folder of an interpreter that imports both stand-ins."""
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
    with refused("tensorrt.failed-run") as raised:
        session.run({"x": np.zeros((1, 5000), np.float32)}, ["y"])
    assert "(1, 5000)" in str(raised.value)
    session.close()


def test_an_engine_of_another_device(jetson):
    (jetson / "net.engine").write_bytes(b"other")
    with refused("tensorrt.unreadable-engine"):
        TensorRtSession(jetson / "net.engine")


def test_no_tensorrt(jetson):
    (jetson / "tensorrt.py").unlink()
    (jetson / "net.engine").write_bytes(b"twice")
    with refused("tensorrt.not-installed") as raised:
        TensorRtSession(jetson / "net.engine")
    assert "'tensorrt'" in str(raised.value)


def test_an_interpreter_that_ends_at_once(jetson):
    (jetson / "net.engine").write_bytes(b"twice")
    (jetson / "python3").write_text("#!/bin/sh\nexit 1\n")
    with refused("tensorrt.ended"):
        TensorRtSession(jetson / "net.engine")


def test_the_worker_is_python_3_6():
    ast.parse(WORKER.read_text(), feature_version=(3, 6))


def imported_by_worker():
    """Names of the modules that the worker imports."""
    return {
        alias.name
        for node in ast.walk(ast.parse(WORKER.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }


def test_no_module_beside_the_worker_has_the_name_of_a_library():
    """The worker runs as a script, so that its folder comes first where Python looks for modules."""
    libraries = sys.stdlib_module_names | imported_by_worker()
    assert {"numpy", "tensorrt"} <= libraries
    beside = {path.stem for path in WORKER.parent.iterdir() if path.stem != "__init__"}
    assert not beside & libraries


def test_the_worker_imports_nothing_that_lies_beside_it(jetson):
    """With NumPy's own imports, in the interpreter and the folder that it runs in."""
    probe = f"import sys; sys.path.insert(0, {str(WORKER.parent)!r})\n"
    probe += "".join(f"import {name}\n" for name in sorted(imported_by_worker()))
    probe += "print(*(getattr(module, '__file__', None) for module in list(sys.modules.values())), sep='\\n')\n"
    done = subprocess.run([str(jetson / "python3"), "-c", probe], capture_output=True, text=True, check=True)
    files = done.stdout.splitlines()
    assert str(jetson / "tensorrt.py") in files
    assert not [file for file in files if file.startswith(str(WORKER.parent))]
