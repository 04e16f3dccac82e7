"""Extraction on a Dask cluster: the address of its scheduler is all that it takes."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pan_core.errors import PanError

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger(__name__)

SCHEDULER_VARIABLE = "PAN_DASK_SCHEDULER"
CONNECT_SECONDS = 30
WORKER_SECONDS = 30
"""Longest time that a cluster may have no worker."""
LOOK_SECONDS = 2.0
POLL_SECONDS = 0.1

Item = TypeVar("Item")
Result = TypeVar("Result")


def scheduler_address() -> str | None:
    """Address of the Dask scheduler to work on, None to work on this machine."""
    return os.environ.get(SCHEDULER_VARIABLE) or None


def work_on_cluster(
    items: Mapping[str, Item], function: Callable[[Item], Result], *, address: str
) -> Iterator[tuple[str, Result | None]]:
    """Yield the results of a function for many items, as they come; None if an item killed its workers repeatedly.

    If a worker dies, another one takes over its item.

    Args:
        items: Key -> item.
        function: Importable on the workers, which have this package and see the same files.
        address: Such as `tcp://10.0.0.5:8786`.

    Raises:
        PanError: If the cluster does not answer, is lost on the way, or has no worker for 30 seconds.
        Exception: What the function raises; what has not begun is then taken back.
    """
    from distributed import Client, KilledWorker, as_completed  # late: start-up

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise PanError(
            f"{SCHEDULER_VARIABLE}={address}: no Dask scheduler answers there ({error}); start one with `dask scheduler` "
            "and workers with `dask worker ADDRESS --nthreads 1`, or unset the variable to work on this machine",
            code="cluster.no-scheduler",
        ) from error
    with client:
        workers = _Workers(client, address)
        workers.wait()
        futures: dict[Any, str] = {}
        for key, item in items.items():
            # Impure: what comes out is in the cache, which may have been emptied since.
            futures[client.submit(function, item, pure=False)] = key
        try:
            completed = as_completed(list(futures), loop=client.loop)
            while not completed.is_empty():
                # Without a worker nothing would ever come.
                workers.look()
                if not completed.has_ready():
                    time.sleep(POLL_SECONDS)
                for future in completed.next_batch(block=False):
                    try:
                        yield futures[future], future.result()
                    except KilledWorker:
                        yield futures[future], None
                    except CancelledError as error:
                        raise workers.lost(error) from error
                    future.release()
        finally:
            with suppress(OSError, TimeoutError, CancelledError):
                client.cancel(list(futures))


class _Workers:
    """Check that the cluster has workers."""

    def __init__(self, client: "Client", address: str) -> None:
        self._client, self._address = client, address
        self._looked = self._seen = time.monotonic()
        self._warned = False

    def wait(self) -> None:
        """Wait for the first worker."""
        while not self._count():
            self._require()
            time.sleep(POLL_SECONDS)
        self._seen, self._warned = time.monotonic(), False

    def look(self) -> None:
        """Check every few seconds that there still is a worker."""
        if (now := time.monotonic()) - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._count():
            self._seen, self._warned = now, False
        else:
            self._require()

    def lost(self, error: Exception) -> PanError:
        """Error for a scheduler that does not answer any more."""
        return PanError(
            f"{SCHEDULER_VARIABLE}={self._address}: the Dask scheduler was lost ({error}); start it and its workers again and "
            "run again: finished videos are kept",
            code="cluster.scheduler-lost",
        )

    def _count(self) -> int:
        try:
            return len(self._client.scheduler_info()["workers"])
        except (OSError, TimeoutError, RuntimeError, CancelledError) as error:
            raise self.lost(error) from error

    def _require(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("%s: no workers; waiting %.0f s for one", self._address, WORKER_SECONDS)
        if time.monotonic() - self._seen > WORKER_SECONDS:
            raise PanError(
                f"{SCHEDULER_VARIABLE}={self._address}: the cluster has had no worker for {WORKER_SECONDS:.0f} s; start some "
                f"with `dask worker {self._address} --nthreads 1` and run again: finished videos are kept",
                code="cluster.no-workers",
            )
