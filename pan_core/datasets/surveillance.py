"""Footage of one's own: a folder of videos with a manifest of labelled spans.

A clip is one span of the manifest; labels that hold at the same time in the same video become its segments, so that
they are learned together. See `pan_core.datasets.manifests` for what may lie in the folder. Where it has a holdout.json, the
videos in it are the test part of the one split; see `pan_core.datasets.holdout`.
"""

import logging
import shutil
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pandas as pd

from pan_core.datasets import labelled_spans
from pan_core.datasets.base import Catalogue, Context, Dataset, Facts
from pan_core.datasets.holdout import GROUPINGS, HOLDOUT, SPLIT, Holdout, plain_name
from pan_core.datasets.manifests import Manifest, read_any, read_manifest, write_manifest
from pan_core.datasets.manifests.manifest import MANIFEST_NAME, footage_files
from pan_core.datasets.probing import probe_all
from pan_core.errors import DataError
from pan_core.files import atomic_path, read_json, require_space, write_json
from pan_core.pose.records import is_removed, read_info, record_of
from pan_core.tables import read_table, write_table

_log = logging.getLogger(__name__)

VIDEOS = "videos"
QUARANTINE = "quarantine.parquet"
FINDINGS = "findings.json"
AUTO = "auto"
SHOWN = 5


class Surveillance(Dataset):
    """Adapter of a folder of labelled footage.

    Options: `folder`, `manifest` ("auto" or a file's name) and `group` ("auto" or one of `GROUPINGS`): what is never
    on both sides of a split.
    """

    name = "surveillance"
    facts: ClassVar = Facts("Footage of your own", how="put videos and a manifest into surveillance.folder")

    def source(self, context: Context) -> Path:
        """Folder with the videos and their labels."""
        return Path(context.options.get("folder", "data/incoming"))

    def configured(self, context: Context) -> Path | None:
        """The folder of the footage."""
        return self.source(context)

    def grouping(self, context: Context) -> str:
        """What clips of one group have in common, or "auto"."""
        return context.options.get("group", AUTO)

    def fetch(self, folder: Path, context: Context) -> None:
        """Link the labelled videos below `folder`, with the labels in one form and what was found out about them."""
        source = self.source(context)
        manifest = read_any(source, manifest=context.options.get("manifest", AUTO), removed=True)
        files = footage_files(source, removed=True)
        videos = {name: record_of(path) if is_removed(path) else path for name, path in files.items()}
        listed = sorted(set(manifest.rows["video"]) & set(videos))
        if not listed:
            raise DataError(
                f"{source}: none of the {len(manifest.missing)} listed videos is there, such as {manifest.missing[0]}; "
                "expected them at these paths below the folder",
                code="footage.no-listed-video",
            )
        _log_notes(manifest)
        require_space(folder.parent, sum(videos[name].stat().st_size for name in listed), f"footage from {source}")
        with atomic_path(folder) as partial:
            for done, name in enumerate(listed, start=1):
                target = partial / VIDEOS / name
                place(videos[name], record_of(target) if is_removed(files[name]) else target)
                if context.progress:
                    context.progress(done, len(listed))
            write_manifest(manifest.rows, partial / MANIFEST_NAME)
            write_table(manifest.quarantine, "quarantine", partial / QUARANTINE)
            found = {"missing": manifest.missing, "unlisted": manifest.unlisted, "notes": manifest.notes}
            write_json(partial / FINDINGS, {key: list(value) for key, value in found.items()})
            if (source / HOLDOUT).is_file():
                shutil.copy2(source / HOLDOUT, partial / HOLDOUT)

    def catalogue(self, folder: Path, context: Context) -> Catalogue:
        """One clip a span; the only split there may be is that of a holdout."""
        manifest = read_manifest(folder / MANIFEST_NAME)
        rows = manifest.rows
        missing = read_json(folder / FINDINGS)["missing"]
        rows = rows[~rows["video"].isin(missing)].reset_index(drop=True)
        paths = {name: folder / VIDEOS / name for name in rows["video"].unique()}
        removed = {path: read_info(path) for path in paths.values() if is_removed(path)}
        probed = removed | probe_all(
            (path for path in paths.values() if path not in removed),
            cache=context.cache / "probes" / f"{self.name}.jsonl",
            remember=context.remember,
            workers=context.workers,
            progress=context.progress,
        )
        clips, failed = labelled_spans.clip_table(
            rows, {name: probed[path] for name, path in paths.items()}, source=self.name
        )
        if clips.empty:
            reason = f", such as {failed['reason'].iloc[0]}" if len(failed) else ""
            raise DataError(
                f"{folder}: none of {len(rows)} labelled spans can be used{reason}", code="footage.no-usable-span"
            )
        rows = rows.loc[clips.index]
        if (folder / HOLDOUT).is_file():
            holdout = Holdout.read(folder / HOLDOUT)
            # Its parts go by videos, so a group need not be joined with those that it shares a video with.
            grouping, clips["group"] = holdout.group, groupings(rows)[holdout.group]
            clips[SPLIT] = holdout.split(clips["path"], clips["group"])
        else:
            grouping = self.grouping(context)
            grouping = best_grouping(rows) if grouping == AUTO else grouping
            clips["group"] = group_of(clips, rows, grouping)
        clips["path"] = VIDEOS + "/" + clips["path"]
        stored = read_table("quarantine", folder / QUARANTINE)
        # The source had lines of the same numbers.
        again = manifest.quarantine.assign(clip_id="stored " + manifest.quarantine["clip_id"])
        quarantine = pd.concat([stored, again, failed], ignore_index=True)
        return Catalogue(clips.reset_index(drop=True), quarantine, missing=tuple(missing), grouping=grouping)

    def segments(self, folder: Path, clips: pd.DataFrame) -> pd.DataFrame:
        """All labels that hold in each clip's frames, its own among them."""
        manifest = read_manifest(folder / MANIFEST_NAME)
        for row in manifest.quarantine.itertuples(index=False):
            _log.warning("no segment of %s: %s", row.clip_id, row.reason)
        rows = manifest.rows
        rows["path"] = VIDEOS + "/" + rows["video"]
        return labelled_spans.segment_table(rows, clips)


def group_of(clips: pd.DataFrame, rows: pd.DataFrame, grouping: str) -> pd.Series:
    """Group of every clip; clips of one video are always of one group, because their frames are the same.

    Args:
        clips: Clip table.
        rows: The manifest's rows of the same index.
        grouping: "auto" takes the first of `GROUPINGS` that is given for every clip and has two values or more.

    Raises:
        DataError: Where a grouping was asked for that some rows lack.
    """
    rows = rows.assign(video=clips["path"])
    values = groupings(rows)
    if grouping == AUTO:
        grouping = best_grouping(rows)
    elif grouping not in GROUPINGS:
        raise DataError(f"group: expected {AUTO}, {', '.join(GROUPINGS)}, but got {grouping!r}", code="group.unknown")
    if lacking := int((values[grouping] == "").sum()):
        column = "recorded_at" if grouping == "day" else grouping
        raise DataError(
            f"group: {grouping!r} was asked for, but {lacking} of {len(values)} rows have no {column}; fill the column "
            f"or set surveillance.group to {AUTO}",
            code="group.lacking",
        )
    return labelled_spans.joined_by_video(values[grouping], clips["path"])


def best_grouping(rows: pd.DataFrame) -> str:
    """The first of `GROUPINGS` that is given for every row of a manifest and has two values or more; else "video"."""
    values = groupings(rows)
    return next(name for name in GROUPINGS if name == "video" or _serves(values[name]))


def groupings(rows: pd.DataFrame) -> pd.DataFrame:
    """What each row of a manifest says of every one of `GROUPINGS`; empty where it says nothing."""
    return pd.DataFrame(
        {
            "subject": _unify_spelling(rows["subject"]),
            "camera": _unify_spelling(rows["camera"]),
            "day": [datetime.fromisoformat(text).date().isoformat() if text else "" for text in rows["recorded_at"]],
            "video": rows["video"],
        },
        index=rows.index,
    )


def _unify_spelling(names: pd.Series) -> pd.Series:
    """Names that are one when written plainly, as the first of them is spelt."""
    return names.groupby(names.map(plain_name)).transform("first")


def _serves(values: pd.Series) -> bool:
    return bool((values != "").all()) and values.nunique() > 1


def place(source: Path, target: Path) -> None:
    """The file at another place, without a second copy where the file system can link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _log_notes(manifest: Manifest) -> None:
    """Log what a person may want to put right."""
    for note in manifest.notes[:SHOWN]:
        _log.warning("%s", note)
    if (more := len(manifest.notes) - SHOWN) > 0:
        _log.warning("%d more notes in %s", more, FINDINGS)
    if unlisted := manifest.unlisted:
        shown = ", ".join(unlisted[:SHOWN])
        _log.warning("%d videos have no usable label and are left out, such as %s", len(unlisted), shown)
