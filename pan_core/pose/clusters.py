"""Extraction on a Dask cluster: the address of its scheduler is all that it takes."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pan_core.errors import PanError

SCHEDULER_VARIABLE = "PAN_DASK_SCHEDULER"
CONNECT_SECONDS = 30

Item = TypeVar("Item")
Result = TypeVar("Result")


def scheduler_address() -> str | None:
    """Address of the Dask scheduler to work on, None to work on this machine."""
    return os.environ.get(SCHEDULER_VARIABLE) or None


def work_on_cluster(
    items: Mapping[str, Item], function: Callable[[Item], Result], *, address: str
) -> Iterator[tuple[str, Result | None]]:
    """Results of a function for many items, as they come; None where an item ended its worker again and again.

    A worker that dies costs nothing but the clip in its hands, which another one takes up.

    Args:
        items: Key -> item.
        function: Importable on the workers, which have this package and see the same files.
        address: Such as `tcp://10.0.0.5:8786`.

    Raises:
        PanError: Where the cluster does not answer.
        Exception: What the function raises; what has not begun is then taken back.
    """
    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise PanError(
            f"{SCHEDULER_VARIABLE}={address}: no Dask scheduler answers there ({error}); start one with `dask scheduler` "
            "and workers with `dask worker ADDRESS --nthreads 1`, or unset the variable to work on this machine"
        ) from error
    with client:
        futures: dict[Any, str] = {}
        for key, item in items.items():
            # Impure: what comes out is in the cache, which may have been emptied since.
            futures[client.submit(function, item, pure=False)] = key
        try:
            for future in as_completed(list(futures), loop=client.loop):
                try:
                    yield futures[future], future.result()
                except KilledWorker:
                    yield futures[future], None
                future.release()
        finally:
            client.cancel(list(futures))
