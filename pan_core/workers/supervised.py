"""Run a function on many items in supervised worker processes: a process that hangs or dies costs one item, not the run.

A hang inside a decoder's C code cannot be interrupted from within its process, and may even hold the interpreter.
So each worker counts its steps in a file that the parent reads: its heartbeat. If the count stops, the worker is killed.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pan_core.errors import PanError
from pan_core.workers.pool import process_pool

CHECK_S = 0.5
FALSE_STARTS = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class TaskFailure(Enum):
    """Reason why an item has no result."""

    STUCK = "no step for too long"
    DIED = "its process died twice"


class Heartbeat:
    """Sign of life of a worker process, which the parent reads.

    Args:
        path: File with the heartbeats of all workers.
        row: Row of this worker.
    """

    def __init__(self, path: Path, row: int) -> None:
        self._cells = np.memmap(path, np.int64, "r+").reshape(-1, 2)[row]  # process, steps
        self._cells[:] = os.getpid(), 0

    def beat(self) -> None:
        """A step is done; the next one is timed from now on."""
        self._cells[1] += 1

    def rest(self) -> None:
        """Work without a time limit follows."""
        self._cells[1] = 0


def run_supervised(
    items: Mapping[str, Item],
    function: Callable[[Item, Heartbeat], Result],
    *,
    workers: int,
    stall_seconds: float,
) -> Iterator[tuple[str, Result | TaskFailure]]:
    """Yield the results of a function for many items, as they come.

    Args:
        items: Key -> item.
        function: Called in a worker process with an item and a `Heartbeat`; must be importable there. The time limit
            holds between its first `beat` and `rest`.
        workers: Processes, each with one item at a time.
        stall_seconds: Longest time from one `beat` to the next.

    Yields:
        Key and result. An item whose process dies is retried alone, when all others are done.

    Raises:
        PanError: If processes cannot be started.
        Exception: What the function raises; the other workers are ended.
    """
    died = []
    for key, result in _run_once(items, function, workers, stall_seconds):
        if result is TaskFailure.DIED:
            died.append(key)
        else:
            yield key, result
    yield from _run_once({key: items[key] for key in died}, function, 1, stall_seconds)


def _run_once(
    items: Mapping[str, Item], function: Callable[[Item, Heartbeat], Result], workers: int, stall_seconds: float
) -> Iterator[tuple[str, Result | TaskFailure]]:
    queue = iter(items.items())
    with tempfile.TemporaryDirectory(prefix="pan-heartbeats-") as folder:
        path = Path(folder) / "heartbeats"
        np.zeros((workers, 2), np.int64).tofile(path)
        crew = [_Worker(path, row) for row in range(min(workers, len(items)))]
        busy: dict[Future[Any], _Worker] = {}
        try:
            while True:
                for worker in (one for one in crew if not one.busy):
                    if (entry := next(queue, None)) is not None:
                        busy[worker.start(function, *entry)] = worker
                if not busy:
                    return
                for future in wait(busy, timeout=CHECK_S, return_when=FIRST_COMPLETED).done:
                    worker = busy.pop(future)
                    yield worker.key, worker.finish(future)
                for worker in busy.values():
                    worker.check_heartbeat(stall_seconds)
        finally:
            for worker in crew:
                worker.close()


class _Worker:
    """One process, replaced when it dies."""

    def __init__(self, path: Path, row: int) -> None:
        self._path, self._row = path, row
        self._cells = np.memmap(path, np.int64, "r+").reshape(-1, 2)[row]
        self._pool: ProcessPoolExecutor | None = None
        self._steps, self._checked, self._still, self._stuck = 0, 0.0, 0.0, False
        self._false_starts = 0
        self.key = ""
        self.busy = False

    def start(self, function: Callable[[Item, Heartbeat], Result], key: str, item: Item) -> "Future[Result]":
        self._steps, self._checked, self._still, self._stuck = 0, time.monotonic(), 0.0, False
        self.key, self.busy = key, True
        self._cells[:] = 0
        try:
            self._pool = self._pool or process_pool(1)
            return self._pool.submit(_call, function, item, self._path, self._row)
        except BrokenProcessPool:
            # It died while it had nothing to do.
            self._pool = process_pool(1)
            return self._pool.submit(_call, function, item, self._path, self._row)

    def finish(self, future: "Future[Result]") -> "Result | TaskFailure":
        self.busy = False
        try:
            result = future.result()
            self._false_starts = 0
            return result
        except BrokenProcessPool:
            self.close()
            # If the process did not come as far as its item, the item is not to blame.
            self._false_starts = 0 if self._cells[0] else self._false_starts + 1
            if self._false_starts == FALSE_STARTS:
                raise PanError(
                    "worker processes end before they begin; see the messages above and whether memory is free",
                    code="workers.cannot-start",
                ) from None
            return TaskFailure.STUCK if self._stuck else TaskFailure.DIED

    def check_heartbeat(self, stall_seconds: float) -> None:
        process, steps = (int(value) for value in self._cells)
        now = time.monotonic()
        # While the parent itself was stopped it could not see any heartbeat, so that time does not count.
        passed, self._checked = min(now - self._checked, 2 * CHECK_S), now
        self._still = self._still + passed if steps and steps == self._steps else 0.0
        self._steps = steps
        if self._still > stall_seconds and not self._stuck:
            self._stuck = True
            _kill(process)

    def close(self) -> None:
        if self._pool is None:
            return
        if self.busy and self._cells[0]:
            _kill(int(self._cells[0]))
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self.busy = None, False


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _call(function: Callable[[Item, Heartbeat], Result], item: Item, path: Path, row: int) -> Result:
    heartbeat = Heartbeat(path, row)
    try:
        return function(item, heartbeat)
    finally:
        heartbeat.rest()
