"""Sessions of TensorRT on a Jetson, which run in a worker process.

JetPack 4.6, the last release for the Nano, has TensorRT for its own Python 3.6 only, and this package needs a newer Python. So
the engine runs under the system's interpreter (`tensorrt_worker.py`), and arrays go through a pipe.
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
"""Environment variable with the interpreter that has TensorRT; /usr/bin/python3 if it is not set."""


class TensorRtSession:
    """`pan_core.runtimes.session.Session` of an engine.

    Args:
        engine: File that build_engines.sh made on this device.

    Raises:
        DataError: If the worker cannot load the engine; has TensorRT's message.
    """

    def __init__(self, engine: Path) -> None:
        python = os.environ.get(PYTHON_VARIABLE, "/usr/bin/python3")
        # The worker must not import this environment's NumPy instead of its own.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._worker = subprocess.Popen(
            [python, str(WORKER), str(engine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._engine = engine
        answer = self._read_answer()
        self.inputs, self.outputs = tuple(answer["inputs"]), tuple(answer["outputs"])
        self.shapes: dict[str, tuple[int | str | None, ...]] = {}

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `pan_core.runtimes.session.Session.run`."""
        arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in feeds.items()}
        request = {"inputs": [[name, list(value.shape)] for name, value in arrays.items()], "outputs": list(wanted)}
        pipe = self._pipe(self._worker.stdin)
        try:
            pipe.write(json.dumps(request).encode() + b"\n")
            for value in arrays.values():
                pipe.write(value.tobytes())
            pipe.flush()
        except BrokenPipeError:
            raise DataError(
                f"{self._engine}: TensorRT's process has ended; see its messages above", code="tensorrt.ended"
            ) from None
        shapes = self._read_answer()["shapes"]
        source = self._pipe(self._worker.stdout)
        return [np.frombuffer(source.read(4 * int(np.prod(shape))), np.float32).reshape(shape) for shape in shapes]

    def close(self) -> None:
        """Stop the worker."""
        self._pipe(self._worker.stdin).close()
        self._worker.wait(timeout=10)

    def _read_answer(self) -> dict[str, Any]:
        line = self._pipe(self._worker.stdout).readline()
        if not line:
            answer = {"error": "its process ended without a message; is TensorRT installed there?", "code": "ended"}
        else:
            answer = json.loads(line)
        if "error" in answer:
            raise DataError(
                f"{self._engine}: {answer['error']}; build it again on this device with ./build_engines.sh",
                code=f"tensorrt.{answer['code']}",
            )
        return answer

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe
