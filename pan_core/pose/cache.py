"""Extracted poses on disk: nothing is extracted twice.

An entry is one file, named by the hash of the video below the identity of the extractor.
"""

import errno
import logging
from dataclasses import replace
from pathlib import Path

from pan_core.errors import PanError
from pan_core.pose.joints_file import DamagedFileError, read_joints, write_joints
from pan_core.pose.tracks import VideoPoses

_log = logging.getLogger(__name__)


class PoseCache:
    """Extracted poses on disk, by video and extractor.

    Args:
        folder: Where the entries lie.
        identity: Identity of the extractor.
    """

    def __init__(self, folder: Path, *, identity: str) -> None:
        self._folder = folder / identity

    def path(self, video_sha256: str) -> Path:
        """File of a video's entry."""
        return self._folder / video_sha256[:2] / f"{video_sha256}.npz"

    def read(self, video_sha256: str) -> VideoPoses | None:
        """A video's poses, or None if there is no whole entry; a damaged entry is logged and removed."""
        path = self.path(video_sha256)
        if not path.is_file():
            return None
        try:
            return replace(read_joints(path, VideoPoses.from_stored), video_sha256=video_sha256)
        except DamagedFileError as error:
            _log.warning("%s: damaged pose cache entry (%s); the video is extracted again", path, error)
            path.unlink(missing_ok=True)
            return None

    def write(self, video_sha256: str, poses: VideoPoses) -> None:
        """Store a video's poses; the entry appears whole or not at all.

        Raises:
            PanError: If the disk is full.
        """
        path = self.path(video_sha256)
        try:
            write_joints(path, *poses.as_stored())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PanError(
                    f"{path.parent}: the disk is full, the poses of a video cannot be stored; make space, then run "
                    "again: finished videos are kept",
                    code="disk.full",
                ) from error
            raise
