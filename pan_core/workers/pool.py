"""Worker processes that exit with their parent, so that a killed run leaves no process that holds its locks."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from pan_core.errors import PanError

PARENT_CHECK_S = 1.0
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here: a new process that is not yet its program must not wait for a lock
POLL_S = 1.0
MOST_DEATHS = 5


def process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool for work that is shared out one item a core.

    Processes are spawned, not forked: a fork of a process with threads, as PyTorch's, may hang. Each keeps OpenCV to
    one thread. If the parent is killed without a chance to stop them, they exit by themselves, so that a run which
    is started again has the cores and the files to itself.
    """
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
    )


def run_jobs(
    rounds: Iterable[Callable[[], Sequence[Callable[[], object]]]], *, workers: int, tick: Callable[[], object]
) -> None:
    """Run jobs in worker processes; a job whose process is killed is started again and must resume by itself.

    Args:
        rounds: Each gives its jobs, which can be sent to another process, when the round before is finished.
        workers: How many run at a time.
        tick: Called about once a second.

    Raises:
        PanError: If processes are killed again and again, as happens when memory runs out.
    """
    deaths = 0
    # A pool of one for each worker: the death of a process breaks its whole pool.
    idle = [process_pool(1) for _ in range(workers)]
    running: dict[Future[object], tuple[Callable[[], object], ProcessPoolExecutor]] = {}
    try:
        for jobs in rounds:
            waiting = list(jobs())
            while waiting or running:
                while waiting and idle:
                    job, pool = waiting.pop(0), idle.pop()
                    try:
                        running[pool.submit(job)] = job, pool
                    except BrokenProcessPool:  # killed while it had nothing to do
                        running[(pool := process_pool(1)).submit(job)] = job, pool
                done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
                tick()
                for future in done:
                    job, pool = running.pop(future)
                    try:
                        future.result()
                    except BrokenProcessPool:
                        deaths += 1
                        _require_life(deaths)
                        pool, waiting = process_pool(1), [job, *waiting]
                    idle.append(pool)
    finally:
        for pool in idle:
            pool.shutdown()
        for _, pool in running.values():
            # Whoever called is about to hear of an error; what still runs would go on for long.
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)


def _require_life(deaths: int) -> None:
    if deaths > MOST_DEATHS:
        raise PanError(
            f"{deaths} worker processes were killed one after another, by lack of memory or by hand; set workers in "
            "params.yaml lower and run again: finished work is kept",
            code="workers.killed",
        )


def end_with(parent: int) -> None:
    """End this process soon after its parent, from now on; the parent may be gone already."""
    threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def die_with_parent() -> None:
    """For `preexec_fn`: the system ends the new process, whatever program it becomes, with the thread that started it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _start_worker(parent: int) -> None:
    import cv2  # late: start-up

    cv2.setNumThreads(1)
    end_with(parent)


def _exit_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
