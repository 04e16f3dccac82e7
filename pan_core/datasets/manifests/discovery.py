"""Find out how a folder of footage is labelled, and compare the labels with the videos that are there."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from pan_core.datasets.manifests.csv_file import read_manifest
from pan_core.datasets.manifests.gmdcsa24_lists import is_gmdcsa24, read_gmdcsa24
from pan_core.datasets.manifests.label_studio import is_label_studio, read_label_studio, unread_export
from pan_core.datasets.manifests.manifest import (
    MANIFEST_NAME,
    REQUIRED,
    Manifest,
    assemble,
    combine,
    footage_files,
    video_files,
)
from pan_core.errors import DataError
from pan_core.files import list_files
from pan_core.pose.records import is_removed
from pan_core.tables import check_table
from pan_core.video import VIDEO_SUFFIXES, is_video_name

AUTO = "auto"
EXPECTED = (
    f"expected {MANIFEST_NAME} ({', '.join(REQUIRED)}, camera, recorded_at) in it or in its subfolders, the lists of "
    "GMDCSA24, or a Label Studio export (*.json), beside the videos"
)


def read_any(folder: Path, *, manifest: str = AUTO, now: datetime | None = None, removed: bool = False) -> Manifest:
    """Labels of a folder of footage, and what is absent or not named.

    Args:
        folder: Videos with their labels, perhaps in dated subfolders with a manifest in each.
        manifest: "auto", or the name of a manifest CSV or a Label Studio export in the folder.
        now: See `assemble`.
        removed: Whether videos of which only the record is left are there, too.

    Raises:
        DataError: Where the folder does not exist, is empty, or has no labels that can be used.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; {EXPECTED}; or set surveillance.folder in params.yaml", code="footage.no-folder"
        )
    if not any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DataError(f"{folder}: empty; {EXPECTED}", code="footage.empty")
    now = now or datetime.now(UTC)
    files, passed_over = footage_files(folder, removed=removed), list_files(folder).passed_over
    videos = {name: path for name, path in files.items() if is_video_name(path)}
    sources = _find_sources(folder) if manifest == AUTO else [_find_named(folder, manifest)]
    if not sources:
        if unread := unread_exports(folder):
            raise DataError(f"{folder}: no labels that can be read: {'; '.join(unread)}", code="label-studio.no-labels")
        kinds = ", ".join(sorted({path.suffix.lower() or path.name for path in files.values()})[:8])
        raise DataError(
            f"{folder}: no labels found among its files ({kinds or 'no files'}); {EXPECTED}", code="footage.no-labels"
        )
    whole = combine(_read_each(sources, folder, files, now))
    if whole.rows.empty:
        reasons = "".join(f"\n  - {row.clip_id}: {row.reason}" for row in whole.quarantine.head(5).itertuples())
        absent = f"; {len(whole.missing)} listed videos are absent, such as {whole.missing[0]}" if whole.missing else ""
        raise DataError(f"{folder}: no usable label{absent}{reasons}", code="footage.no-usable-label")
    whole = _find_in_any_case(whole, files)
    unread = unread_exports(folder) if manifest == AUTO and is_label_studio(sources[0]) else []
    listed = set(whole.rows["video"])
    return Manifest(
        whole.rows,
        whole.quarantine,
        # What is listed is tried, whatever its name ends in.
        missing=tuple(sorted({*whole.missing, *(listed - set(files))})),
        unlisted=tuple(sorted(set(videos) - listed)),
        notes=(*whole.notes, *(f"passed over: {line}" for line in (*unread, *passed_over))),
    )


def unread_exports(folder: Path) -> list[str]:
    """Exports of Label Studio in a folder that have no labels that can be read, each with what to do."""
    return [text for path in list_files(folder).files if (text := unread_export(path))]


def _find_in_any_case(manifest: Manifest, files: Collection[str]) -> Manifest:
    """The manifest with the files' own names where a name differs from exactly one in case only, with a note on each."""
    absent = sorted(set(manifest.rows["video"]) - set(files))
    by_case: dict[str, list[str]] = {}
    for name in sorted(files) if absent else ():
        by_case.setdefault(name.casefold(), []).append(name)
    fitting = {name: by_case.get(name.casefold(), []) for name in absent}
    taken = {name: found[0] for name, found in fitting.items() if len(found) == 1}
    notes = [f"{name!r} is taken for {found}, they differ in case only" for name, found in taken.items()]
    notes += [
        f"{name!r} may be {' or '.join(found)}, which differ in case only; write the one that is meant"
        for name, found in fitting.items()
        if len(found) > 1
    ]
    rows = manifest.rows.assign(video=manifest.rows["video"].replace(taken))
    renamed = replace(manifest, rows=rows, notes=(*manifest.notes, *notes))
    return combine([renamed]) if taken else renamed


def is_labelled(folder: Path) -> bool:
    """Whether a folder of footage has any file with labels, usable or not."""
    return bool(_find_sources(folder))


def unlabelled_videos(folder: Path) -> dict[str, Path]:
    """Videos below a folder that no label names, by their path in it; all of them where it has no labels.

    Raises:
        DataError: Where it has no videos, or labels that cannot be used.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one with videos", code="footage.no-folder")
    known = video_files(folder, removed=True)
    if not known:
        raise DataError(
            f"{folder}: no videos in it or below; expected files such as {', '.join(sorted(VIDEO_SUFFIXES))}",
            code="footage.no-videos",
        )
    unlisted = read_any(folder, removed=True).unlisted if _find_sources(folder) else known
    return {name: known[name] for name in unlisted if not is_removed(known[name])}


def _find_sources(folder: Path) -> list[Path]:
    """Files with labels, of the first kind that is there; the folder itself stands for the lists of GMDCSA24."""
    visible = list_files(folder).files
    manifests = [path for path in visible if path.name.lower() == MANIFEST_NAME]
    if manifests:
        return manifests
    if is_gmdcsa24(folder):
        return [folder]
    return [path for path in visible if path.suffix.lower() == ".json" and is_label_studio(path)]


def _find_named(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        near = [item.name for item in sorted(folder.iterdir()) if item.suffix.lower() in (".csv", ".json")]
        raise DataError(
            f"{path}: no such file; the folder has {', '.join(near) or 'no CSV or JSON'}; {EXPECTED}",
            code="footage.no-file",
        )
    return path


def _read_each(sources: list[Path], folder: Path, videos: dict[str, Path], now: datetime) -> list[Manifest]:
    """Every source; of several, one that cannot be used goes to quarantine as a whole and the others go on."""
    parts = []
    for path in sources:
        try:
            parts.append(_read(path, folder, videos, now))
        except DataError as error:
            if len(sources) == 1:
                raise
            row = {"clip_id": path.relative_to(folder).as_posix(), "stage": "fetch", "reason": str(error)}
            nothing = assemble([])
            parts.append(replace(nothing, quarantine=check_table(pd.DataFrame([row]), "quarantine", str(path))))
    return parts


def _read(path: Path, folder: Path, videos: dict[str, Path], now: datetime) -> Manifest:
    if path == folder:
        return read_gmdcsa24(folder)
    if path.suffix.lower() == ".json":
        return read_label_studio(path, root=folder, videos=videos)
    return read_manifest(path, root=folder, now=now)
