"""The inbox: dated folders that have arrived, and what is wrong with each of them."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pan_core.datasets import labelled_spans
from pan_core.datasets.base import Context
from pan_core.datasets.manifests import Manifest, read_any
from pan_core.datasets.manifests.manifest import footage_files
from pan_core.datasets.probing import probe_all
from pan_core.errors import DataError
from pan_core.files import list_files, sha256_of

MARKER = "_SUCCESS"
"""Empty file that a sender puts into a delivery last, as Hadoop and Spark do: what has it is whole."""

WITHDRAWN = "_WITHDRAWN"
"""Empty file that takes a delivery back out of the footage."""

SHOWN = 3
_DATED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[._-].+)?")


DeliveryFault = tuple[str, str]
"""Code and message of what is wrong with a delivery."""


class DeliveryRefused(DataError):
    """The reason why a delivery is not taken."""


@dataclass(frozen=True)
class Delivery:
    """A whole folder of footage that can be learnt from.

    Attributes:
        name: Of the folder, such as "2026-11-20".
        folder: Where it lies.
        manifest: Its labels.
        videos: Labelled videos, by their path in the manifest.
        hashes: SHA-256 of each of them.
    """

    name: str
    folder: Path
    manifest: Manifest
    videos: dict[str, Path]
    hashes: dict[str, str]

    @property
    def digest(self) -> str:
        """Hash of videos and labels, whatever the order of the rows."""
        rows = self.manifest.rows
        text = rows.sort_values(list(rows.columns)).to_csv(index=False) + json.dumps(self.hashes, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def labels(self) -> set[str]:
        """Classes that it has."""
        return set(self.manifest.rows["label"])


@dataclass(frozen=True)
class Rules:
    """What a delivery must be like.

    Attributes:
        classes: Labels that may occur; empty for any.
        several: Whether it must have two classes or more: nothing can be learnt from one alone.
        max_unusable: Share of its rows that may be unusable.
        group: What every row must say, since the holdout is made of it: one of `holdout.GROUPINGS`; empty for nothing.
    """

    classes: frozenset[str] = frozenset()
    several: bool = False
    max_unusable: float = 1.0
    group: str = ""


def folders(incoming: Path) -> list[Path]:
    """Folders that lie in the inbox, by name; hidden ones are passed over.

    Raises:
        DataError: Where there is no inbox.
    """
    if not incoming.is_dir():
        raise DataError(
            f"{incoming}: no such folder; expected the inbox, with a folder for each delivery", code="inbox.missing"
        )
    return sorted(path for path in incoming.iterdir() if path.is_dir() and not path.name.startswith("."))


def is_whole(folder: Path) -> bool:
    """Whether its sender has finished it."""
    return (folder / MARKER).is_file()


def stamp(folder: Path) -> str:
    """Hash of the names, sizes and times of all files in a folder: while it is the same, nobody has changed them."""
    files = list_files(folder, hidden=True).files
    found = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def check_name(folder: Path) -> None:
    """Refuse a folder that is not named by a day.

    Raises:
        Refused: With what is expected.
    """
    found = _DATED.fullmatch(folder.name)
    try:
        if found:
            date(*(int(part) for part in found.groups()))
            return
    except ValueError:
        pass
    raise DeliveryRefused(
        "expected a name that begins with a day, such as 2026-11-20 or 2026-11-20-north", code="delivery.name"
    )


def open_delivery(folder: Path, rules: Rules, context: Context) -> Delivery:
    """Read and check a whole folder.

    Args:
        folder: Has its marker.
        rules: What it must be like.
        context: Where what was found in videos is remembered, and how many processes may look.

    Raises:
        Refused: With every reason.
    """
    check_name(folder)
    try:
        manifest = read_any(folder)
    except DataError as error:
        raise DeliveryRefused(str(error), code="delivery.manifest") from error
    if manifest.missing:
        raise DeliveryRefused(
            f"its manifest names {len(manifest.missing)} videos that are not there: {_shorten(manifest.missing)}",
            code="delivery.videos-missing",
        )
    listed = set(manifest.rows["video"])
    videos = {name: path for name, path in footage_files(folder).items() if name in listed}
    faults = [*_find_label_faults(manifest, rules), *_find_unusable(manifest, videos, rules, context)]
    if faults:
        raise DeliveryRefused("; ".join(reason for _, reason in faults), code=faults[0][0])
    return Delivery(folder.name, folder, manifest, videos, {name: sha256_of(path) for name, path in videos.items()})


def _find_label_faults(manifest: Manifest, rules: Rules) -> Iterator[DeliveryFault]:
    labels = set(manifest.rows["label"])
    if rules.classes and (unknown := sorted(labels - rules.classes)):
        yield (
            "delivery.unknown-labels",
            f"labels that nobody has announced: {_shorten(unknown)}; known are {', '.join(sorted(rules.classes))}; "
            "correct them, or add them to retrain.classes in params.yaml",
        )
    if rules.several and len(labels) < 2:
        yield (
            "delivery.one-class",
            f"all of one class ({', '.join(labels)}), and there is no other footage to tell it from",
        )
    column = {"day": "recorded_at"}.get(rules.group, rules.group)
    if column and (lacking := int((manifest.rows[column] == "").sum())):
        yield (
            "delivery.no-group",
            f"{lacking} of {len(manifest.rows)} rows have no {column}, by which clips are kept out of training; fill in that column "
            f"of the manifest, or {column} in the data of the tasks of Label Studio",
        )


def _find_unusable(
    manifest: Manifest, videos: dict[str, Path], rules: Rules, context: Context
) -> Iterator[DeliveryFault]:
    """Rows that make no sense, and rows of videos that cannot be read, if they are too many."""
    probed = probe_all(
        videos.values(), cache=context.cache / "probes" / "surveillance.jsonl", workers=context.workers,
        remember=context.remember, progress=context.progress,
    )  # fmt: skip
    good, failed = labelled_spans.clip_table(
        manifest.rows, {name: probed[path] for name, path in videos.items()}, source="delivery"
    )
    lost = len(manifest.quarantine) + len(failed)
    whole = len(manifest.quarantine) + len(manifest.rows)
    if lost > rules.max_unusable * whole or good.empty:
        reasons = [*manifest.quarantine["reason"], *failed["reason"].unique()]
        yield (
            "delivery.unusable-rows",
            f"{lost} of {whole} rows cannot be used, validate.max_quarantined allows {rules.max_unusable:.0%}: "
            f"{'; '.join(reasons[:SHOWN])}",
        )


def _shorten(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
