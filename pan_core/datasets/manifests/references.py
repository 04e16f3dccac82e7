"""Which video on disk an annotation tool means by an address: an upload, a local file, an object in a bucket, a URL."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pan_core.datasets.faults import CodedError
from pan_core.video import is_video_name

# Label Studio puts the first part of a random UUID before the name of an uploaded file.
UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")


class AmbiguousReference(CodedError, ValueError):
    """Several videos on disk would fit an address."""


class VideoIndex:
    """Videos of a folder, to be found by an address that ends as their path does.

    Args:
        videos: Path relative to the folder -> video.
    """

    def __init__(self, videos: Mapping[str, Path]) -> None:
        self._by_name: dict[str, list[str]] = {}
        for relative in videos:
            self._by_name.setdefault(_upload_name(PurePosixPath(relative).name), []).append(relative)

    def find(self, reference: str) -> str | None:
        """The video whose path shares most folders at its end with the address, or None where there is none.

        Raises:
            AmbiguousReference: Where several fit equally well.
        """
        path = address_path(reference)
        for name in (path.name, UPLOAD_PREFIX.sub("", path.name)):
            fitting = self._by_name.get(_upload_name(name), [])
            scores = {relative: _shared_end(PurePosixPath(relative), path.with_name(name)) for relative in fitting}
            best = [relative for relative, score in scores.items() if score == max(scores.values())]
            if len(best) > 1:
                raise AmbiguousReference(
                    f"{reference!r} may be any of {', '.join(best)}; give the files different names",
                    code="reference.ambiguous",
                )
            if best:
                return best[0]
        return None

    def shown(self, reference: str) -> str:
        """Name of an absent video, as a person knows it."""
        return UPLOAD_PREFIX.sub("", address_path(reference).name) or reference


def video_reference(data: Mapping[str, Any]) -> str:
    """Address of a task's video: the value under "video", or the first that ends as a video's name does."""
    values = [data.get("video"), *data.values()]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    videos = [text for text in texts if is_video_name(address_path(text))]
    return (videos or texts or [""])[0]


def address_path(reference: str) -> PurePosixPath:
    """Path in an address; that of a local file stands in its query (`?d=`)."""
    text = reference.strip().replace("\\", "/")
    try:
        parts = urlsplit(text)
    except ValueError:  # such as a bracket that looks like an unfinished IPv6 address
        return PurePosixPath(text)
    local = parse_qs(parts.query).get("d", [])
    path = local[0] if local else unquote(parts.path)
    return PurePosixPath(path if path.strip("/") else "/unknown")


def _upload_name(name: str) -> str:
    """A file's name as an upload changes it: spaces to underscores, other than letters, digits, -_. dropped."""
    return re.sub(r"(?u)[^-\w.]", "", name.strip().replace(" ", "_"))


def _shared_end(one: PurePosixPath, other: PurePosixPath) -> int:
    """How many folders above the name are the same in two paths, counted from the end."""
    count = 0
    for left, right in zip(reversed(one.parent.parts), reversed(other.parent.parts), strict=False):
        if left != right:
            break
        count += 1
    return count
