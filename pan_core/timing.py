"""Time of the parts of a frame's work; free unless something measures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_watches: list[dict[str, float]] = []


@contextmanager
def part(name: str) -> Iterator[None]:
    """Time the block under a name, if something measures; parts must not contain each other."""
    if not _watches:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        for watch in _watches:
            watch[name] = watch.get(name, 0.0) + time.perf_counter() - began


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds of each part within the block, by name; for one thread at a time."""
    watch: dict[str, float] = {}
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
