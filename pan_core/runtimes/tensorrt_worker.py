"""Run a TensorRT 8.2 engine for `pan_core.runtimes.tensorrt_session`, under Python 3.6 with NumPy and TensorRT only.

Each request is a line of JSON on standard input, followed by the arrays that it names, float32. Answers have the same form.
"""

import ctypes
import json
import os
import sys

import numpy as np

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2


class Engine(object):  # noqa: UP004
    """An engine and its memory on the device, which grows with the inputs."""

    def __init__(self, path):
        import tensorrt  # late: the error goes to the other process

        self.cuda = ctypes.CDLL("libcudart.so")
        logger = tensorrt.Logger(tensorrt.Logger.WARNING)
        with open(path, "rb") as file:  # noqa: PTH123
            self.engine = tensorrt.Runtime(logger).deserialize_cuda_engine(file.read())
        if self.engine is None:
            raise RuntimeError(
                "TensorRT does not read this engine; it was built by another version or for another device"
            )
        self.context = self.engine.create_execution_context()
        self.index = {self.engine.get_binding_name(i): i for i in range(self.engine.num_bindings)}
        self.memory = {}

    def outputs(self):
        """Names of the outputs."""
        return [name for name, i in self.index.items() if not self.engine.binding_is_input(i)]

    def inputs(self):
        """Names of the inputs."""
        return [name for name in self.index if name not in self.outputs()]

    def run(self, feeds):
        """Compute all outputs, by name."""
        for name, value in feeds.items():
            self.context.set_binding_shape(self.index[name], value.shape)
            self.copy(self.room(name, value.nbytes), value.ctypes.data, value.nbytes, HOST_TO_DEVICE)
        made = {
            name: np.empty(tuple(self.context.get_binding_shape(self.index[name])), np.float32)
            for name in self.outputs()
        }
        for name, value in made.items():
            self.room(name, value.nbytes)
        places = [self.memory[name][0].value for name, _ in sorted(self.index.items(), key=lambda pair: pair[1])]
        if not self.context.execute_v2(places):
            raise RuntimeError(f"TensorRT failed on inputs of shapes {[value.shape for value in feeds.values()]}")
        for name, value in made.items():
            self.copy(value.ctypes.data, self.memory[name][0], value.nbytes, DEVICE_TO_HOST)
        return made

    def room(self, name, size):
        """Return memory on the device for an input or output of this size in bytes."""
        place, have = self.memory.get(name, (None, 0))
        if have < size:
            if place is not None:
                self.cuda.cudaFree(place)
            place = ctypes.c_void_p()
            self.require(self.cuda.cudaMalloc(ctypes.byref(place), ctypes.c_size_t(size)))
            self.memory[name] = (place, size)
        return place

    def copy(self, target, source, size, kind):
        """Copy between the host and the device."""
        place = [each if isinstance(each, ctypes.c_void_p) else ctypes.c_void_p(each) for each in (target, source)]
        self.require(self.cuda.cudaMemcpy(place[0], place[1], ctypes.c_size_t(size), kind))

    @staticmethod
    def require(status):
        """Raise an error if a call of CUDA failed."""
        if status:
            raise RuntimeError(f"CUDA error {status}; the device may be out of memory")


def classify_fault(error):
    """Name the fault of an engine that cannot be opened."""
    return "not-installed" if isinstance(error, (ImportError, OSError)) else "unreadable-engine"


def main():
    """Answer requests until the input ends."""
    source, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorRT prints to standard output, where the answers go

    def send(value, arrays=()):
        out.write(json.dumps(value).encode() + b"\n")
        for array in arrays:
            out.write(array.tobytes())
        out.flush()

    try:
        engine = Engine(sys.argv[1])
    except Exception as error:
        send({"error": f"{type(error).__name__}: {error}", "code": classify_fault(error)})
        return
    send({"inputs": engine.inputs(), "outputs": engine.outputs()})
    for line in iter(source.readline, b""):
        request = json.loads(line.decode())
        feeds = {}
        for name, shape in request["inputs"]:
            size = 4 * int(np.prod(shape))
            feeds[name] = np.frombuffer(source.read(size), np.float32).reshape(shape)
        try:
            made = engine.run(feeds)
        except Exception as error:
            send({"error": f"{type(error).__name__}: {error}", "code": "failed-run"})
            continue
        arrays = [np.ascontiguousarray(made[name]) for name in request["outputs"]]
        send({"shapes": [array.shape for array in arrays]}, arrays)


if __name__ == "__main__":
    main()
