"""The one family of errors that a person is meant to read.

Everything else that reaches the command line is a defect and keeps its traceback.
"""

import errno
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pan_core.secrets import masked


class PanError(Exception):
    """Something a user can put right: says what was wrong, where, what was expected and what to do.

    Args:
        message: For people; its words may change.
        code: For programs and tests; stays the same when the words change. Form: `area.fault`, such as "holdout.empty".
    """

    exit_status = 1
    """Of the stage that it ends, so that whoever runs stages knows what kind of fault it was."""

    code = ""

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code

    def __str__(self) -> str:
        """The message, without passwords: addresses of cameras and databases are named in many."""
        return masked(super().__str__())

    def __repr__(self) -> str:
        """Likewise: Prefect logs it of each try that failed."""
        return masked(super().__repr__())


class ConfigError(PanError):
    """Parameters that cannot be used; carries every fault that was found, not only the first.

    Args:
        source: File, command or argument that holds the parameters.
        faults: One line each, in the form `name: what is wrong`.
        code: See `PanError`.
    """

    code = "config"

    def __init__(self, source: str, faults: Sequence[str], *, code: str = "") -> None:
        self.source, self.faults = source, tuple(faults)
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"{source}: {count} in the parameters:\n{lines}", code=code)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that are wrong, one a fault, in order: the part of each fault before its colon."""
        return tuple(fault.partition(":")[0] for fault in self.faults)

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, tuple[str, ...]], dict[str, Any]]:
        """Arguments and state, so that a worker process can hand it to the one that started it."""
        return type(self), (self.source, self.faults), self.__dict__


class DataError(PanError):
    """Input that is missing, damaged or against its contract."""

    exit_status = 66


class VideoError(DataError):
    """A video that cannot be decoded."""


class GateError(PanError):
    """A measured value is outside the bound that params.yaml sets for it."""

    exit_status = 65


SYSTEM_PACKAGES = {
    "libGL": "libgl1 libglib2.0-0", "libEGL": "libegl1", "libglib": "libglib2.0-0", "libgthread": "libglib2.0-0", "libSM": "libsm6",
    "libXext": "libxext6", "libXrender": "libxrender1", "libX11": "libx11-6", "libxcb": "libxcb1", "libgomp": "libgomp1", "libstdc++": "libstdc++6", "libz": "zlib1g",
}  # fmt: skip
"""Debian's packages of shared libraries that our wheels load and slim images lack."""

REFUSED_BY_SYSTEM = {
    errno.EACCES: "put its permissions right, or name another place",
    errno.EPERM: "put its permissions right, or name another place",
    errno.EROFS: "name a place on a disk that is not read-only",
    errno.ENOSPC: "make space; finished work is kept",
    errno.EDQUOT: "make space; finished work is kept",
    errno.ENOTDIR: "a file is where a folder should be; move it away, or name another place",
    errno.EEXIST: "a file is where a folder should be; move it away, or name another place",
}
"""What to do about what the system refuses."""


def explain_fault(error: BaseException) -> PanError | None:
    """Error for people out of one that the machine is to blame for, None for any other.

    That is a shared library that is missing, as in slim images, or a file that the system does not let this process write.
    """
    if isinstance(error, ImportError) and (found := re.match(r"(?:\S*/)?(lib[\w+.-]*?\.so[\w.]*): (.+)", str(error))):
        library, reason = found.groups()
        package = next(
            (SYSTEM_PACKAGES[name] for name in SYSTEM_PACKAGES if re.match(rf"{re.escape(name)}\W", library)), None
        )
        if "cannot open shared object file" not in reason:  # it is there; a wheel may have brought it
            advice = "it is there and does not fit: remove .venv and run `make setup`, or use a newer system"
        else:
            advice = f"apt-get install {package}" if package else f"install the system's package that has {library}"
        return PanError(f"{library}: this shared library cannot be loaded ({reason}); {advice}", code="system.library")
    # That a file is there already is the machine's fault only where a folder was wanted; else it is ours.
    ours = isinstance(error, FileExistsError) and not Path(str(error.filename)).is_file()
    if isinstance(error, OSError) and error.errno in REFUSED_BY_SYSTEM and isinstance(error.filename, str) and not ours:
        return PanError(
            f"{error.filename2 or error.filename}: {error.strerror}; {REFUSED_BY_SYSTEM[error.errno]}",
            code="system.refused",
        )
    return None
