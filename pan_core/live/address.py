"""Where live video comes from, as a user writes it, and as it may be printed."""

import os
import re
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from pan_core.errors import DataError
from pan_core.files import list_files
from pan_core.secrets import masked
from pan_core.video import VIDEO_SUFFIXES

STREAMS = ("rtsp://", "rtsps://", "http://", "https://")
_NAMED = re.compile(r"([\w -]{1,40})=(.+)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Kind(Enum):
    """What an address names."""

    FILE = "file"
    FOLDER = "folder"
    CAMERA = "camera"
    STREAM = "stream"


@dataclass(frozen=True)
class Address:
    """A source of video.

    Attributes:
        kind: What it names.
        target: What is opened; it may hold a password, so it is never printed.
        name: The same without passwords, for everything that is printed.
    """

    kind: Kind
    target: str
    name: str

    def __repr__(self) -> str:
        return f"Address({self.name!r})"

    @property
    def lasting(self) -> bool:
        """Whether it is expected to go on for ever, so that its end is a loss."""
        return self.kind in (Kind.CAMERA, Kind.STREAM)


def read_address(text: str) -> Address:
    """What a user wrote: a file, a folder of videos, a camera's number or device, or an rtsp or http address.

    `hall=rtsp://...` gives it a name. `${NAME}` in the address of a stream stands for the environment variable, so that a
    password need not be written into a command, where everybody on the machine can read it.

    Raises:
        DataError: If there is no such file, the variable is not set, or the scheme is another.
    """
    if (named := _NAMED.fullmatch(text)) and not Path(text).exists():
        return replace(read_address(named[2]), name=named[1])
    if text.lower().startswith(STREAMS):
        return Address(Kind.STREAM, with_variables(text), masked(text))
    if "://" in text:
        raise DataError(
            f"{masked(text)}: expected an address that begins with {', '.join(STREAMS)}", code="address.scheme"
        )
    if re.fullmatch(r"\d{1,3}", text):
        return Address(Kind.CAMERA, text, f"camera {text}")
    if match := re.fullmatch(r"/dev/video(\d+)", text):
        return Address(Kind.CAMERA, match[1], text)
    path = Path(text)
    if path.is_dir():
        listing = list_files(path)
        if not listing.ending_in(VIDEO_SUFFIXES):
            found = f" ({listing.passed_over[0]})" if listing.passed_over else ""
            raise DataError(
                f"{path}: no video in this folder or below{found}; expected files such as .mp4 or .avi",
                code="address.no-video",
            )
        return Address(Kind.FOLDER, text, text)
    if not path.exists():
        raise DataError(
            f"{text}: no such file; expected a video, a folder of videos, the number of a camera such as 0, or an "
            "address such as rtsp://host/path",
            code="address.missing",
        )
    return Address(Kind.FILE, text, text)


def with_variables(text: str) -> str:
    """A text in which `${NAME}` is replaced by the environment variable.

    Raises:
        DataError: If one is not set.
    """
    return _VARIABLE.sub(_from_environment, text)


def _from_environment(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        raise DataError(
            f"${{{match[1]}}}: this environment variable is not set, and an address names it", code="address.variable"
        )
    return value
