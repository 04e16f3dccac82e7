"""Failure files: why the last run of a stage failed, for the program that started it.

A stage runs as a command of DVC, and of a command only the exit status and the printed text arrive. So the stage
writes its error to `paths.failure(stage)`, and removes the file when it starts.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pan_core.errors import DataError, GateError, PanError
from pan_core.files import read_json, write_json
from pan_core.workspace import paths

_log = logging.getLogger(__name__)

BOUND, INPUT, OTHER = "bound", "input", "other"
"""Kinds: a measured value is outside the bounds of params.yaml; the input is at fault; anything else."""


class StageError(PanError):
    """A DVC stage that failed; the message carries the last lines that it wrote."""


class LockedError(StageError):
    """Another DVC run is at work in this project."""


class RefusedError(StageError):
    """A stage that refused its input, or whose measured value is out of bounds; the message is the stage's own.

    Attributes:
        stage: Its name.
        reason: Its message.
        measured: True if a measured value is outside the bounds of params.yaml; False if its input is at fault.
    """

    def __init__(self, stage: str, reason: str, measured: bool, *, code: str = "") -> None:
        self.stage, self.reason, self.measured = stage, reason, measured
        super().__init__(f"stage {stage}: {reason}", code=code)

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[str, str, bool], dict[str, object]]:
        """All arguments and the code, so that it can go from one process to another."""
        return type(self), (self.stage, self.reason, self.measured), self.__dict__


@dataclass(frozen=True)
class StageFailure:
    """The error of a stage.

    Attributes:
        stage: Name of the stage.
        code: Code of the error; empty if it has none.
        message: Its message, without passwords.
        exit_status: Exit status of the stage.
        kind: `BOUND`, `INPUT` or `OTHER`.
    """

    stage: str
    code: str
    message: str
    exit_status: int
    kind: str

    @classmethod
    def of(cls, stage: str, error: PanError) -> "StageFailure":
        """Describe an error of a stage."""
        kind = BOUND if isinstance(error, GateError) else INPUT if isinstance(error, DataError) else OTHER
        return cls(stage, error.code, str(error), error.exit_status, kind)

    @property
    def refusal(self) -> RefusedError | None:
        """The error that the starter of the stage raises; None if neither a bound nor the input is the reason."""
        if self.kind == OTHER:
            return None
        return RefusedError(self.stage, self.message, self.kind == BOUND, code=self.code)


@contextmanager
def recorded_failure(stage: str) -> Iterator[None]:
    """Write the failure file of a stage if the block raises a `PanError`; remove the one from before first."""
    clear_failure(stage)
    try:
        yield
    except PanError as error:
        try:
            write_json(paths.failure(stage), asdict(StageFailure.of(stage, error)))
        except OSError as reason:  # a full disk, which is what the error itself says then
            _log.warning("%s: not written (%s)", paths.failure(stage), reason)
        raise


def clear_failure(stage: str, folder: Path = Path()) -> None:
    """Remove the failure file of a stage, if there is one.

    Args:
        stage: Name of the stage.
        folder: The project's root, or a workspace.
    """
    with suppress(NotADirectoryError):
        (folder / paths.failure(stage)).unlink(missing_ok=True)


def read_failure(stage: str, folder: Path = Path()) -> StageFailure | None:
    """Read the failure file of a stage; None if there is none, or it is damaged."""
    path = folder / paths.failure(stage)
    if not path.is_file():
        return None
    try:
        return StageFailure(**read_json(path))
    except (PanError, TypeError):
        return None
