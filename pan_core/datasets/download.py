"""Obtain a dataset's file: from a mirror folder, from an earlier download, or from where it is offered.

Whatever has the final name is whole: a download grows under another name and moves when its length, its beginning and
its checksum are right. One process at a time downloads a file (filelock); the others wait and find it.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pan_core.datasets.base import Context, Progress, RemoteFile
from pan_core.datasets.faults import Fault, FaultsError
from pan_core.datasets.transfer import TransferError, discard, transfer
from pan_core.errors import DataError
from pan_core.files import atomic_path, digest_of, write_json
from pan_core.progress import progress_bar

MB = 1_000_000


def obtain(dataset: str, file: RemoteFile, context: Context) -> Path:
    """Path of a whole file, or of a folder that serves as well.

    Looked for in the mirror folder, then among the downloads, under its name and the names that serve instead; then
    downloaded from its addresses in order. A checksum is compared where one is known; where none is, the SHA-256 of
    the first download is kept beside it as `<name>.sha256` and compared from then on; see `reading` for what ends
    that. A file is hashed again only when its size or its time of change differ from the last time.

    Args:
        dataset: Name of the dataset; its folder in the mirror and among the downloads.
        file: The file.
        context: Where the mirror and the cache are, and whether the network may be used.

    Raises:
        DataError: Where the file is wrong or cannot be had; names every place that was looked at.
        PanError: Where the disk cannot hold it.
    """
    downloads = context.cache / "downloads" / dataset
    roots = [folder for folder in (context.mirror and context.mirror / dataset, downloads) if folder]
    places = [root / name for root in roots for name in (file.name, *file.instead)]
    target = downloads / file.name
    found = next((place for place in places if _is_there(place)), None)
    if found and found != target:
        if found.name == file.name and found.is_file() and file.checksum:
            _verify(found, file.checksum, downloads, "put the right file there, or remove it")
        return found
    if not found and (not context.download or not file.urls):
        raise _describe_absence(dataset, file, context, places)
    _bring(dataset, file, context, places, target)
    return target


@contextmanager
def reading(path: Path, context: Context) -> Iterator[None]:
    """Read what `obtain` gave.

    Where it turns out to be damaged, the checksum that was recorded of it is forgotten: a file that was bad from the
    first is no measure for the next.
    """
    try:
        yield
    except DataError:
        if path.is_relative_to(context.cache / "downloads"):
            _record_path(path).unlink(missing_ok=True)
        raise


def link_tree(source: Path, target: Path) -> None:
    """Give `target` the files of `source` without a second copy where the file system can link.

    The target appears whole or not at all.
    """
    with atomic_path(target) as partial:
        shutil.copytree(source, partial, copy_function=_link)


def _is_there(place: Path) -> bool:
    return place.is_file() or (place.is_dir() and any(place.iterdir()))


def _bring(dataset: str, file: RemoteFile, context: Context, places: list[Path], target: Path) -> None:
    from filelock import FileLock  # late: start-up

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not _is_there(target):
            faults = _download(file, target)
            if faults:
                raise _describe_absence(dataset, file, context, places, faults)
        elif target.is_file():
            _check_kept(file, target)


def _download(file: RemoteFile, target: Path) -> list[Fault]:
    """Try every address; the faults of all of them where none gives the file."""
    partial = target.with_name(f"{target.name}.part")
    checksum = file.checksum or _read_record(target)
    faults: list[Fault] = []
    for url in file.urls:
        try:
            with progress_bar(f"download {file.name}", "MB") as bar:
                megabytes = _in_megabytes(bar)
                transfer(url, partial, name=file.name, size=file.size, checked=bool(checksum), progress=megabytes)
            if conflict := _accept(partial, target, file.checksum):
                return [Fault(f"{url}: {conflict}", "transfer.other-file")]
            return []
        except TransferError as error:
            faults.append(Fault(f"{url}: {error}", error.code))
        except OSError as error:
            raise DataError(
                f"{partial}: cannot be written ({error}); free the place, then run again", code="download.not-written"
            ) from error
    return faults


def _in_megabytes(bar: Progress) -> Progress:
    return lambda done, total: bar(done // MB, total // MB)


def _accept(partial: Path, target: Path, published: str) -> str:
    """Give a whole file its name; what stands against it where it is not the file of the first download."""
    recorded = "" if published else _read_record(target)
    found = _compute_checksum(partial, published or "sha256:")
    if published and found != published:
        discard(partial)
        raise TransferError(
            f"gives a wrong file: it has {found}, expected {published}; it was removed", code="transfer.wrong-checksum"
        )
    if recorded and found != recorded:
        # Nobody knows which of the two is right, and it may have taken hours: a person decides, nothing is removed.
        return (
            f"gives another file than at first: it has {found}, expected {recorded}. It is kept as {partial}: to take "
            f"it, delete {_record_path(target)} and run again; to download anew, delete {partial}"
        )
    if not published:
        _write_record(target, found)
    partial.replace(target)
    discard(partial)
    write_json(_memo_path(target.parent, target), _describe_state(target, found))
    return ""


def _check_kept(file: RemoteFile, target: Path) -> None:
    advice = "delete it and run again"
    size = target.stat().st_size
    if file.size is not None and size != file.size:
        raise DataError(f"{target}: has {size} bytes, expected {file.size}; {advice}", code="file.wrong-size")
    checksum = file.checksum or _read_record(target)
    if checksum:
        _verify(target, checksum, target.parent, advice)
    else:
        _write_record(target, _compute_checksum(target, "sha256:"))


def _verify(path: Path, checksum: str, downloads: Path, advice: str) -> None:
    memo = _memo_path(downloads, path)
    try:
        known = json.loads(memo.read_text())
    except (FileNotFoundError, ValueError):
        known = None
    if known == _describe_state(path, checksum):
        return
    found = _compute_checksum(path, checksum)
    if found != checksum:
        raise DataError(
            f"{path}: has {found}, expected {checksum}; it is damaged or another file: {advice}",
            code="file.wrong-checksum",
        )
    write_json(memo, _describe_state(path, checksum))


def _describe_state(path: Path, checksum: str) -> dict[str, object]:
    stat = path.stat()
    return {"path": str(path.absolute()), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "checksum": checksum}


def _memo_path(downloads: Path, path: Path) -> Path:
    return downloads / f"{path.name}.verified.json"


def _compute_checksum(path: Path, like: str) -> str:
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{digest_of(path, algorithm)}"


def _record_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _write_record(target: Path, checksum: str) -> None:
    # The form that `sha256sum --check` reads.
    with atomic_path(_record_path(target)) as partial:
        partial.write_text(f"{checksum.removeprefix('sha256:')}  {target.name}\n")


def _read_record(target: Path) -> str:
    record = _record_path(target)
    return f"sha256:{record.read_text().split()[0]}" if record.is_file() else ""


def _describe_absence(
    dataset: str, file: RemoteFile, context: Context, places: list[Path], faults: Sequence[Fault] = ()
) -> FaultsError:
    if faults:
        code, reason = "file.not-downloaded", "cannot be downloaded:" + "".join(f"\n  - {fault}" for fault in faults)
        reason += "\nRun again to go on where it stopped, or get it by other means."
    elif file.urls:
        code, reason = "file.offline", "is not at hand, and downloads are switched off. It is offered at:"
        reason += "".join(f"\n  - {url}" for url in file.urls)
    else:
        code, reason = (
            "file.not-offered",
            "is not at hand and cannot be downloaded by a program: ask its publishers for it.",
        )
    mirror = "" if context.mirror else " Set PAN_MIRROR to a folder of your own to have more places."
    looked = "".join(f"\n  - {place}" for place in places)
    message = f"{dataset}: {file.name} {reason}\nThen it belongs in one of these places:{looked}{mirror}"
    return FaultsError(message, faults, code=code)


def _link(source: str, target: str) -> str:
    try:
        # A link to a link would be broken in another folder where that one is relative.
        Path(target).hardlink_to(Path(source).resolve())
    except OSError:
        shutil.copy2(source, target)
    return target
