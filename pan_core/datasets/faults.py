"""Faults in words for people, each with a code for programs and tests.

A code has the form `area.fault` and stays the same when the words change. `PanError` has one too.
"""

from collections.abc import Iterable

from pan_core.errors import DataError


class Fault(str):
    """What is wrong with one line, row or clip.

    Args:
        text: The words.
        code: Their code; that of `text` if it is a fault itself and none is given.
    """

    code: str

    def __new__(cls, text: object, code: str = "") -> "Fault":
        """A text that carries its code."""
        fault = super().__new__(cls, text)
        fault.code = code or getattr(text, "code", "")
        return fault


class FaultsError(DataError):
    """Several faults in one message.

    Args:
        message: The message with the faults.
        faults: The faults on their own.
        code: Code of the error as a whole.
    """

    def __init__(self, message: str = "", faults: Iterable[str] = (), *, code: str = "") -> None:
        super().__init__(message, code=code)
        self.faults = tuple(faults)

    @property
    def codes(self) -> tuple[str, ...]:
        """Code of each fault; empty for a fault without one."""
        return tuple(getattr(fault, "code", "") for fault in self.faults)


class CodedError(Exception):
    """An error that never reaches the user by itself, with a code."""

    code = ""

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code
