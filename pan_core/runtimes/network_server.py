"""One process that runs the networks of many: it alone has the GPU, and what they ask at a time is one batch.

Each worker process decodes and follows people in its own video, so a video that ends its process ends no other. Only pictures
for a network and its answers pass between the processes, in memory that both see.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pan_core.errors import DataError, PanError
from pan_core.runtimes.cuda import cuda_fault, open_on_cuda
from pan_core.runtimes.session import Session
from pan_core.runtimes.shared_arrays import Place, SharedArrays, aligned
from pan_core.workers.memory_errors import lacks_memory
from pan_core.workers.pool import end_with

# Shorter than the time without a heartbeat after which a worker is killed as if its video were to blame.
ANSWER_SECONDS = 45.0
# CUDA's libraries have gigabytes.
OPEN_SECONDS = 300.0


class NetworkServer:
    """The process, for as long as the context is open.

    Args:
        open_network: Opens a network there; importable.
        find_fault: Returns why none can run there, empty if they can; importable.

    Attributes:
        fault: What `find_fault` returned; then there is no process.
        address: Where a `NetworkClient` reaches it.
    """

    def __init__(
        self,
        open_network: Callable[..., Session] = open_on_cuda,
        find_fault: Callable[[], str] = cuda_fault,
    ) -> None:
        self._open, self._find_fault = open_network, find_fault
        self.fault, self.address = "", ""

    def __enter__(self) -> "NetworkServer":
        self._folder = TemporaryDirectory(prefix="pan-networks-")
        self.address = str(Path(self._folder.name) / "socket")
        context = get_context("spawn")
        report, theirs = context.Pipe(duplex=False)
        arguments = (self.address, os.getpid(), theirs, self._open, self._find_fault)
        self._process = context.Process(target=serve_networks, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.fault = report.recv()
        except EOFError:
            self._process.join()
            self.fault = f"the process that would have it ended with status {self._process.exitcode} as it started"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
        self._folder.cleanup()

    @property
    def process_id(self) -> int | None:
        """Number of the process."""
        return self._process.pid


def serve_networks(
    address: str,
    parent: int,
    report: Connection,
    open_network: Callable[..., Session],
    find_fault: Callable[[], str],
) -> None:
    """What the process does: answer until it is ended, or its parent is."""
    end_with(parent)
    if fault := find_fault():
        report.send(fault)
        return
    with _shortened(address) as short, Listener(short, "AF_UNIX", backlog=128) as listener:
        report.send("")
        networks = _Networks(open_network)
        while True:
            threading.Thread(target=_Caller(listener.accept(), networks).serve, daemon=True).start()


@contextmanager
def _shortened(address: str) -> Iterator[str]:
    """The same address in few bytes: the kernel takes 107 for a socket, and the folder of temporary files may have more."""
    folder = os.open(Path(address).parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{Path(address).name}"
    finally:
        os.close(folder)


class _Networks:
    """Networks that are open, one for all that ask for the same."""

    def __init__(self, open_network: Callable[..., Session]) -> None:
        self._open_network, self._lock = open_network, threading.Lock()
        self._numbers: dict[Path | bytes, int] = {}
        self._sessions: list[Session] = []

    def open(self, model: Path | bytes, threads: int) -> tuple[int, tuple, tuple, dict]:
        with self._lock:
            if model not in self._numbers:
                self._sessions.append(self._open_network(model, threads=threads))
                self._numbers[model] = len(self._sessions) - 1
            number = self._numbers[model]
        session = self._sessions[number]
        return number, session.inputs, session.outputs, session.shapes

    def run(self, number: int, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        return self._sessions[number].run(feeds, wanted)


class _Caller:
    """What the server does for one worker."""

    def __init__(self, connection: Connection, networks: _Networks) -> None:
        self._connection, self._networks, self._memory = connection, networks, SharedArrays(0)

    def serve(self) -> None:
        with self._connection as connection, suppress(EOFError, OSError):  # a worker that is ended closes its side
            while True:
                method, *arguments = connection.recv()
                try:
                    answer = True, getattr(self, method)(*arguments)
                except Exception as error:
                    answer = False, _portable(error)
                connection.send(answer)

    def open(self, model: Path | bytes, threads: int) -> tuple[int, tuple, tuple, dict]:
        return self._networks.open(model, threads)

    def share(self, size: int) -> None:
        self._memory = SharedArrays.receive(self._connection, size)

    def run(self, number: int, feeds: dict[str, Place], wanted: list[str], end: int) -> list[Place] | list[np.ndarray]:
        """Places of the answers behind those of the feeds, or the answers if they do not fit there."""
        given = dict(zip(feeds, self._memory.views(list(feeds.values())), strict=True))
        answers = self._networks.run(number, given, wanted)
        return self._memory.put(answers, start=end) or answers


def _portable(error: Exception) -> Exception:
    """The error as another process can read it: classes of a runtime need not be known there."""
    if isinstance(error, PanError):
        return error
    text = f"{type(error).__name__}: {error}"
    return MemoryError(text) if lacks_memory(error) else RuntimeError(text)


class NetworkClient:
    """`pan_core.runtimes.session.Opener` that opens networks in the process of a `NetworkServer`.

    Args:
        address: The server's.

    Raises:
        PanError: If it does not answer.
    """

    def __init__(self, address: str) -> None:
        self._lock = threading.Lock()
        self._memory, self._room = SharedArrays(0), 0
        try:
            with _shortened(address) as short:
                self._connection = Client(short, "AF_UNIX")
        except OSError as error:
            raise _lost(error) from error

    def __call__(self, model: Path | bytes, /, *, threads: int = 1) -> "HostedSession":
        """Open a network there.

        Raises:
            DataError: If it cannot be used.
            PanError: If the server does not answer.
        """
        if isinstance(model, Path) and not model.is_file():
            raise DataError(f"{model}: no such file, expected a network", code="network.missing")
        name = model if isinstance(model, bytes) else model.absolute()
        return HostedSession(self, *self.ask("open", name, threads, seconds=OPEN_SECONDS))

    def ask(self, method: str, *arguments: Any, seconds: float = ANSWER_SECONDS) -> Any:
        """Answer of the server to one question; what was raised there is raised here."""
        with self._lock:
            return self._ask(method, *arguments, seconds=seconds)

    def run(self, number: int, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """Answers of a network there."""
        with self._lock:
            taken = sum(aligned(feed.nbytes) for feed in feeds.values())
            if taken + self._room > self._memory.size:
                self._share(taken + self._room)
            places = self._memory.put(list(feeds.values())) or []
            answers = self._ask("run", number, dict(zip(feeds, places, strict=True)), list(wanted), taken)
            if not answers or not isinstance(answers[0], np.ndarray):
                return [view.copy() for view in self._memory.views(answers)]
            # They did not fit; the next ones will.
            self._room = max(self._room, sum(aligned(answer.nbytes) for answer in answers))
            return answers

    def _share(self, size: int) -> None:
        memory = SharedArrays(size)
        self._ask("share", size, then=memory.send)
        self._memory = memory  # the server has it now; until then both have the one before

    def _ask(
        self,
        method: str,
        *arguments: Any,
        seconds: float = ANSWER_SECONDS,
        then: Callable[[Connection], None] | None = None,
    ) -> Any:
        try:
            self._connection.send((method, *arguments))
            if then:
                then(self._connection)
            if not self._connection.poll(seconds):
                raise TimeoutError(f"no answer for {seconds:g} s")
            answered, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._connection.close()  # an answer that is late is none to the next question
            raise _lost(error) from error
        except BaseException:
            self._connection.close()  # nor is one that nobody took
            raise
        if not answered:
            raise answer
        return answer


@dataclass(frozen=True)
class HostedSession:
    """`pan_core.runtimes.session.Session` of a network in the process of a `NetworkServer`.

    Attributes:
        client: Connection to it.
        number: The network's number there.
        inputs: See `Session`.
        outputs: Likewise.
        shapes: Likewise.
    """

    client: NetworkClient
    number: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, tuple[int | str | None, ...]]

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `pan_core.runtimes.session.Session.run`.

        Raises:
            PanError: If the server does not answer in time.
        """
        return self.client.run(self.number, feeds, wanted)


def _lost(error: Exception) -> PanError:
    return PanError(
        f"the process that runs the networks on the GPU does not answer ({type(error).__name__}: {error}); see the messages above "
        "and `nvidia-smi`, then run again: finished videos are kept. `pose.device: cpu` does without a GPU",
        code="device.lost",
    )
