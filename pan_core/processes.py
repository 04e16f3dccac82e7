"""Worker processes that end with the process that started them."""

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2

PARENT_CHECK_S = 1.0


def process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool for work that is shared out one item a core.

    Processes are spawned, not forked: a fork of a process with threads, as PyTorch's, may hang. Each keeps OpenCV to
    one thread. Where the parent is killed without a chance to tell them, they end by themselves, so that a run which
    is started again has the cores and the files to itself.
    """
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),))


def _begin(parent: int) -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
