"""Run a function on many items in supervised worker processes: a process that hangs or dies costs one item, not the run.

A hang inside a decoder's C code cannot be interrupted from within its process, and may even hold the interpreter.
So each worker counts its steps in a file that the parent reads: its heartbeat. If the count stops, the worker is killed.
"""

import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from enum import Enum
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pan_core.errors import PanError
from pan_core.workers.memory_errors import lacks_memory
from pan_core.workers.pool import process_pool

_log = logging.getLogger(__name__)

CHECK_S = 0.5
FALSE_STARTS = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class TaskFailure(Enum):
    """Reason why an item has no result."""

    STUCK = "no step for too long"
    DIED = "its process died twice"
    MEMORY = "its process lacked memory, or was killed"


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
        Key and result. An item whose process dies or lacks memory is retried alone, when all others are done.

    Raises:
        PanError: If processes cannot be started; and, after everything else is done, if memory does not suffice for an
            item alone, or somebody kills its process again. It says nothing about the item, so it is no result.
        Exception: What the function raises; the other workers are ended.
    """
    again = []
    for key, result in _run_once(items, function, workers, stall_seconds):
        if result is TaskFailure.MEMORY:
            _log.warning("%s: %s; it is tried again alone", items[key], result.value)
        if result in (TaskFailure.DIED, TaskFailure.MEMORY):
            again.append(key)
        else:
            yield key, result
    short = []
    for key, result in _run_once({key: items[key] for key in again}, function, 1, stall_seconds):
        if result is TaskFailure.MEMORY:
            short.append(items[key])
        else:
            yield key, result
    if short:
        raise PanError(
            f"{short[0]}: its process lacked memory, or was killed, though it worked alone ({len(short)} of {len(items)} files); "
            "that is no fault of the file: free memory (`free -h`), set workers in params.yaml lower, or cut a long or large "
            "video into smaller ones, or take it out; then run again: finished work is kept",
            code="workers.no-memory",
        )


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
        self._process: BaseProcess | None = None
        self._steps, self._checked, self._still, self._stuck = 0, 0.0, 0.0, False
        self._false_starts = 0
        self.key = ""
        self.busy = False

    def start(
        self, function: Callable[[Item, Heartbeat], Result], key: str, item: Item
    ) -> "Future[Result | TaskFailure]":
        self._steps, self._checked, self._still, self._stuck = 0, time.monotonic(), 0.0, False
        self.key, self.busy = key, True
        self._cells[:] = 0
        try:
            self._pool = self._pool or process_pool(1)
            future = self._pool.submit(_call, function, item, self._path, self._row)
        except BrokenProcessPool:
            # It died while it had nothing to do.
            self._pool = process_pool(1)
            future = self._pool.submit(_call, function, item, self._path, self._row)
        self._process = next(iter((self._pool._processes or {}).values()), None)
        return future

    def finish(self, future: "Future[Result | TaskFailure]") -> "Result | TaskFailure":
        self.busy = False
        try:
            result = future.result()
            self._false_starts = 0
            if result is TaskFailure.MEMORY:
                self.close()  # and with it what fills the memory
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
            if self._stuck:
                return TaskFailure.STUCK
            # SIGKILL is what the system sends if memory runs out; a decoder that crashes ends by another signal.
            killed = self._process is not None and self._process.exitcode == -signal.SIGKILL
            return TaskFailure.MEMORY if killed else TaskFailure.DIED

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


def _call(function: Callable[[Item, Heartbeat], Result], item: Item, path: Path, row: int) -> Result | TaskFailure:
    heartbeat = Heartbeat(path, row)
    try:
        return function(item, heartbeat)
    except Exception as error:
        if lacks_memory(error):
            return TaskFailure.MEMORY
        raise
    finally:
        heartbeat.rest()
