"""The recognizer in use, taken over from the registry while cameras are watched."""

import logging
import threading
from collections.abc import Callable, Hashable

from pan_core.errors import PanError
from pan_core.recognition.recognizer import Recognizer

logger = logging.getLogger(__name__)

CHECK_S = 10.0


class ModelReloader:
    """Gives the newest recognizer that is in use; a context manager that looks for another in the background.

    Whoever asks never waits: another one is loaded beside the one that works, and handed out when it is whole. One that
    cannot be loaded leaves the old one in its place, and so does a registry that has none any more.

    Args:
        version: Which one is in use, None while none is registered; called in the background.
        load: Loads that one.
        every_s: Seconds between two looks.

    Attributes:
        fault: Why the newest one is not used; empty otherwise.
    """

    def __init__(
        self, version: Callable[[], Hashable | None], load: Callable[[], Recognizer], *, every_s: float = CHECK_S
    ) -> None:
        self._version_now, self._load, self._every_s = version, load, every_s
        self._version = version()
        self._current = load()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)
        self.fault = ""

    def __call__(self) -> Recognizer:
        """The recognizer in use."""
        return self._current

    def __enter__(self) -> "ModelReloader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(timeout=self._every_s)

    def _run(self) -> None:
        while not self._closed.wait(self._every_s):
            try:
                version = self._version_now()
                if version is None and self._version is not None:
                    raise PanError(f"there is none any more; {self._current.name} goes on", code="champion.gone")
                if version != self._version:
                    self._take(version)
                self.fault = ""
            except Exception as error:  # whatever is wrong there, cameras are watched on
                if str(error) != self.fault:
                    logger.warning("the registry's champion is not used: %s", error)
                self.fault = str(error)

    def _take(self, version: Hashable) -> None:
        """Load another one; where the registry changed meanwhile, what was loaded may be another still."""
        loaded = self._load()
        if self._version_now() == version:
            self._current, self._version = loaded, version
            logger.info("recognizer: %s", loaded.name)
