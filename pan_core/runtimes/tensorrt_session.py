"""TensorRT on a Jetson, in a process of its own.

JetPack 4.6, the last one for the Nano, has TensorRT for its own Python 3.6 only, and this package needs a newer one. So the
engine runs under the system's interpreter (`tensorrt_worker.py`), and arrays go through a pipe.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from pan_core.errors import DataError

WORKER = Path(__file__).with_name("tensorrt_worker.py")
PYTHON_VARIABLE = "PAN_TENSORRT_PYTHON"
"""The interpreter that has TensorRT; /usr/bin/python3 where the variable is not set."""


class TensorRtSession:
    """`pan_core.runtimes.session.Session` of an engine.

    Args:
        engine: File that build_engines.sh made on this device.

    Raises:
        DataError: Where the engine cannot be loaded there, with what TensorRT said.
    """

    def __init__(self, engine: Path) -> None:
        python = os.environ.get(PYTHON_VARIABLE, "/usr/bin/python3")
        # The worker must not find this package's NumPy before its own.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._worker = subprocess.Popen(
            [python, str(WORKER), str(engine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._engine = engine
        told = self._answer()
        self.outputs = tuple(told["outputs"])

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Outputs for some inputs, batch first."""
        arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in feeds.items()}
        order = {"inputs": [[name, list(value.shape)] for name, value in arrays.items()], "outputs": list(wanted)}
        pipe = self._pipe(self._worker.stdin)
        try:
            pipe.write(json.dumps(order).encode() + b"\n")
            for value in arrays.values():
                pipe.write(value.tobytes())
            pipe.flush()
        except BrokenPipeError:
            raise DataError(f"{self._engine}: TensorRT's process has ended; see its messages above") from None
        shapes = self._answer()["shapes"]
        source = self._pipe(self._worker.stdout)
        return [np.frombuffer(source.read(4 * int(np.prod(shape))), np.float32).reshape(shape) for shape in shapes]

    def close(self) -> None:
        """End the worker."""
        self._pipe(self._worker.stdin).close()
        self._worker.wait(timeout=10)

    def _answer(self) -> dict[str, Any]:
        line = self._pipe(self._worker.stdout).readline()
        told = json.loads(line) if line else {"error": "its process ended without a word; is TensorRT installed there?"}
        if "error" in told:
            raise DataError(f"{self._engine}: {told['error']}; build it anew on this device with ./build_engines.sh")
        return told

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe
