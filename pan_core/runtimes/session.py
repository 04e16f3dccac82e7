"""Run an exported network with the runtime that its file is for; a device needs only its own runtime."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from pan_core.errors import DataError

SUFFIXES = {"onnxruntime": ".onnx", "ncnn": ".param", "tensorrt": ".engine"}
"""Suffix of the file that each runtime opens."""


class Session(Protocol):
    """A network that is ready to run."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all inputs."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs."""

    @property
    def shapes(self) -> Mapping[str, Sequence[int | str | None]]:
        """Shapes of the outputs that the file states; names stand for lengths that vary."""

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Run the network.

        Args:
            feeds: Inputs by name, batch first.
            wanted: Names of the outputs to return.

        Returns:
            The wanted outputs, batch first.
        """


Call = dict[str, np.ndarray]
"""Inputs and outputs of one run of a network, by name."""
_recordings: list[dict[str, list[Call]]] = []


@contextmanager
def recorded() -> Iterator[dict[str, list[Call]]]:
    """Calls of each network that is opened within the block, by the stem of its file; for one thread at a time."""
    calls: dict[str, list[Call]] = {}
    _recordings.append(calls)
    try:
        yield calls
    finally:
        _recordings.remove(calls)


class RecordedSession:
    """Session that keeps what goes in and comes out.

    Args:
        session: The session.
        calls: List that each call is added to.
    """

    def __init__(self, session: Session, calls: list[Call]) -> None:
        self._session, self._calls = session, calls
        self.inputs, self.outputs, self.shapes = session.inputs, session.outputs, session.shapes

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `Session.run`."""
        answers = self._session.run(feeds, wanted)
        self._calls.append({**feeds, **dict(zip(wanted, answers, strict=True))})
        return answers


def open_model(path: Path, *, threads: int = 1) -> Session:
    """Open an exported network with the runtime of its suffix.

    Args:
        path: A `.onnx`, a `.param` with its `.bin`, or a TensorRT `.engine`.
        threads: Processor cores to use.

    Raises:
        DataError: If the file is missing or is none of these, or its runtime is not installed.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file, expected an exported network; run `dvc repro` to make it", code="network.missing"
        )
    session = _open(path, threads)
    for calls in _recordings:
        session = RecordedSession(session, calls.setdefault(path.stem, []))
    return session


def _open(path: Path, threads: int) -> Session:
    try:
        if path.suffix == SUFFIXES["onnxruntime"]:
            from pan_core.runtimes.onnx_session import OnnxSession  # late: optional

            return OnnxSession(path, threads=threads)
        if path.suffix == SUFFIXES["ncnn"]:
            from pan_core.runtimes.ncnn_session import NcnnSession  # late: optional

            return NcnnSession(path, threads=threads)
        if path.suffix == SUFFIXES["tensorrt"]:
            from pan_core.runtimes.tensorrt_session import TensorRtSession  # late: only engines need it

            return TensorRtSession(path)
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path}: its runtime is not installed ({error}); install it with `pip install {error.name}`",
            code="network.no-runtime",
        ) from error
    raise DataError(f"{path}: expected a file that ends in {', '.join(SUFFIXES.values())}", code="network.suffix")
