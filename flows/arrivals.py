"""Deliveries that arrive start a retraining: the inbox is looked at while the deployments are served."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.pan import GAVE_WAY
from pan_core.retraining.inbox import MARKER, WITHDRAWN, folders
from pan_core.retraining.project import LOCK

LOOK_EVERY_S = 15.0
Delivered = dict[str, int]
"""Markers of whole and withdrawn folders, with their times: a folder that is put right has a new marker."""


class Arrivals:
    """Starts a run for whole folders that no finished run has seen.

    Args:
        incoming: The inbox.
        start: Starts a run and returns what tells whether it has ended, and ended after it had looked at the inbox.
        busy: Whether a retraining is at work, whoever started it; then none is started.
    """

    def __init__(
        self, incoming: Path, start: Callable[[], Callable[[], bool | None]], busy: Callable[[], bool]
    ) -> None:
        self._incoming, self._start, self._busy = incoming, start, busy
        self._seen: Delivered = {}
        self._under_way: tuple[Delivered, Callable[[], bool | None]] | None = None

    def look(self) -> None:
        """Start a run where something is new; once the run has looked at it, it is not new any more.

        A run that gave way, because another began to work in the project just then, has looked at nothing: another
        is started once that one has ended.
        """
        if self._under_way:
            delivered, ended = self._under_way
            served = ended()
            if served is None:
                return
            self._under_way = None
            self._seen |= delivered if served else {}
        arrived = folders(self._incoming) if self._incoming.is_dir() else []
        now = {
            f"{folder.name}/{mark}": (folder / mark).stat().st_mtime_ns
            for folder, mark in product(arrived, (MARKER, WITHDRAWN)) if (folder / mark).is_file()
        }  # fmt: skip
        if now.items() - self._seen.items() and not self._busy():
            self._under_way = now, self._start()


@contextmanager
def watching(incoming: Path, deployment: UUID) -> Iterator[None]:
    """Look at the inbox in the background, and start runs of a deployment."""
    arrivals, end = Arrivals(incoming, lambda: start_run(deployment), _is_at_work), threading.Event()

    def watch() -> None:
        while not end.wait(LOOK_EVERY_S):
            try:
                arrivals.look()
            except Exception as error:  # a server that is away for a moment; the next look may go well
                print(f"{incoming}: cannot be watched just now ({error})", flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _is_at_work() -> bool:
    """Whether any process retrains in this project: a served run, one by hand, one that outlived what served it."""
    try:
        with FileLock(LOCK, timeout=0):
            return False
    except Timeout:
        return True


def start_run(deployment: UUID) -> Callable[[], bool | None]:
    """Start a run of a deployment; returns what tells how it ended, as for `Arrivals`: None while it has not."""
    with get_client(sync_client=True) as client:
        started = client.create_flow_run_from_deployment(deployment, name=None)

    def ended() -> bool | None:
        try:
            with get_client(sync_client=True) as client:
                run = client.read_flow_run(started.id)
        except ObjectNotFound:  # somebody deleted it
            return True
        state = run.state
        if state is None or not state.is_final():
            return None
        return state.name != GAVE_WAY  # one that a person cancelled is not begun again

    return ended
