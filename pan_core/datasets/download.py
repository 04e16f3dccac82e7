"""Obtain a dataset's archive: from a mirror folder, from an earlier download, or from its official address."""

import shutil
from pathlib import Path

from pan_core.errors import DataError
from pan_core.files import atomic_path, require_space


def obtain(dataset: str, names: tuple[str, ...], *, url: str, size: int, mirror: Path | None, downloads: Path) -> Path:
    """Path of a whole archive.

    Args:
        dataset: Name of the dataset; its folder in the mirror.
        names: File names that serve, the preferred one first; the last part of `url` is the one downloaded.
        url: Official address.
        size: Bytes of the official archive.
        mirror: Folder laid out as `<dataset>/<file>`.
        downloads: Folder for downloaded archives.

    Raises:
        DataError: Where the archive cannot be had; names every place that was tried.
    """
    places = [folder / dataset / name for folder in (mirror, downloads) if folder for name in names]
    found = next((place for place in places if place.is_file()), None)
    return found or _download(url, size, downloads / dataset, tried=places)


def _download(url: str, size: int, folder: Path, tried: list[Path]) -> Path:
    import pooch
    import requests

    require_space(folder, size, f"downloading {url}")
    target = folder / url.rsplit("/", 1)[-1]
    try:
        with atomic_path(target) as partial:
            pooch.HTTPDownloader(progressbar=True, timeout=30)(url, partial, None)
            got = partial.stat().st_size
            if got != size:
                raise DataError(f"{url}: Expected {size} bytes, but got {got}; run again, or put the file at {target}")
    except (requests.RequestException, OSError) as error:
        looked = "".join(f"\n  - {place}" for place in tried)
        raise DataError(
            f"{url}: cannot be downloaded ({error}). Put the archive into one of these places and run again "
            f"(PAN_MIRROR names the mirror folder):{looked}"
        ) from error
    return target


def link_tree(source: Path, target: Path) -> None:
    """Give `target` the files of `source` without a second copy where the file system can link.

    The target appears whole or not at all.
    """
    with atomic_path(target) as partial:
        shutil.copytree(source, partial, copy_function=_link)


def _link(source: str, target: str) -> str:
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
    return target
