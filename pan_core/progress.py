"""Progress bars for work that takes longer than a few seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LOG_INTERVAL_S = 5.0


@contextmanager
def progress_bar(description: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that moves a bar on stderr.

    In a log file, where a bar cannot be redrawn, it prints a line every few seconds at most.
    """
    interval = 0.1 if sys.stderr.isatty() else LOG_INTERVAL_S
    with tqdm(desc=description, unit=unit, mininterval=interval, dynamic_ncols=True) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
