"""Jobs for worker processes, which import them by name: jobs that are killed, and one that fails."""

import os
import signal
from pathlib import Path

from pan_core.errors import ConfigError


class JobError(Exception):
    """A job's own error."""


def write_at_second_try(folder: Path, name: str) -> None:
    """Leaves a mark and is killed; with the mark there, does its work."""
    mark = folder / f"{name}.mark"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / name).touch()


def die(folder: Path) -> None:
    """Is killed, every time."""
    with (folder / "deaths").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise JobError


def refuse() -> None:
    raise ConfigError("params.yaml", ["a: wrong", "b: wrong"])
