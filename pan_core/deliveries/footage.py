"""The footage that was taken, as the dataset `surveillance` reads it, and the part of it that decides for good.

Below `data/footage` lie a folder for each delivery with its videos and a manifest.csv, `deliveries.json` with what was taken
and when (a folder that is not in it was never finished), and `holdout.json` with the videos that no network learns.
"""

import errno
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pan_core.datasets.base import Context
from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, Holdout
from pan_core.datasets.manifests import is_labelled, read_any, write_manifest
from pan_core.datasets.manifests.manifest import MANIFEST_NAME, video_files
from pan_core.datasets.splits import group_splits, groups_of, with_validation
from pan_core.datasets.surveillance import AUTO, VIDEOS, Surveillance, best_grouping, place
from pan_core.deliveries.inbox import Delivery, Refused, Rules, folders, is_whole, open_delivery, stamp
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path, read_json, require_space, scratch_folder, write_json
from pan_core.tables import splits_of

LEDGER = "deliveries.json"
ENTRY = {"name": str, "digest": str, "labels": list, "hashes": dict, "taken_at": str}
TAKEN, KNOWN, WAITING, UNLABELLED, REFUSED = "taken", "known", "waiting", "unlabelled", "refused"
"""What becomes of a folder in the inbox."""


@dataclass(frozen=True)
class Receipt:
    """What became of a folder in the inbox.

    Attributes:
        name: The folder.
        state: "taken" now, "known" from before, "waiting" for its marker, "unlabelled", or "refused".
        reason: Why, in words.
        clips: Labelled spans that it adds.
    """

    name: str
    state: str
    reason: str
    clips: int = 0


class Footage:
    """Footage of all deliveries that were taken.

    Args:
        folder: Made with the first delivery.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The ledger: name, digest, labels, clips and time of every delivery, in their order."""
        path = self.folder / LEDGER
        if not path.is_file():
            return []
        try:
            entries: list[dict[str, Any]] = read_json(path)["deliveries"]
            if all(isinstance(entry[name], kind) for entry in entries for name, kind in ENTRY.items()):
                return entries
        except (PanError, KeyError, TypeError, AttributeError):
            pass
        raise DataError(f"{path}: damaged; {BRING_BACK}")

    @property
    def labels(self) -> set[str]:
        """Classes of all footage."""
        return {label for entry in self.taken for label in entry["labels"]}

    def receive(
        self, incoming: Path, *, classes: Sequence[str], max_unusable: float, context: Context
    ) -> list[Receipt]:
        """Take whatever is whole, new and usable in the inbox; nothing there is changed.

        Args:
            incoming: The inbox.
            classes: Labels that are announced; of later deliveries those of the footage so far count, too.
            max_unusable: Share of a delivery's rows that may be unusable.
            context: As for a dataset.

        Returns:
            One receipt for each folder.

        Raises:
            DataError: Where there is no inbox, or the footage is not as its ledger has it.
        """
        arrived = folders(incoming)
        self._check_whole({folder.name for folder in arrived})
        receipts = []
        for folder in arrived:
            try:
                receipts.append(self._receive(folder, frozenset(classes), max_unusable, context))
            except Refused as error:
                receipts.append(Receipt(folder.name, REFUSED, str(error)))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                receipts.append(Receipt(folder.name, REFUSED, f"cannot be read: {error}"))
        return receipts

    def hold_out(self, *, group: str, folds: int, share: float, seed: int, context: Context) -> Holdout:
        """The videos that decide and those that validate, chosen at the first time and the same ever after.

        Args:
            group: What is never on both sides; "auto" for the best that all rows say.
            folds: One part in so many decides.
            share: Of what is left, to validate on.
            seed: Of the draw.
            context: As for a dataset.

        Raises:
            DataError: Where the footage has too few groups to set some apart, or the holdout is gone or was drawn by another
                group.
        """
        path = self.folder / HOLDOUT
        if not path.is_file():
            if self.folder.with_suffix(".dvc").is_file():
                raise DataError(f"{path}: is gone; a new one would test on what models have learnt from; {BRING_BACK}")
            write_json(path, asdict(self._drawn(group, folds, share, seed, context)))
        holdout = Holdout.read(path)
        if group not in (AUTO, holdout.group):
            raise DataError(
                f"surveillance.group is {group}, but the holdout of {self.folder} was drawn by {holdout.group} and stays, or no two "
                f"versions could be compared; set surveillance.group to auto or {holdout.group}"
            )
        return holdout

    def _drawn(self, group: str, folds: int, share: float, seed: int, context: Context) -> Holdout:
        """Test and validation part of that split by group whose test part has most of the classes that are learnt; of equals the first."""
        group = best_grouping(read_any(self.folder).rows) if group == AUTO else group
        options = {"folder": str(self.folder), "group": group}
        with scratch_folder(self.folder.parent, "holdout") as scratch:
            dataset, context = Surveillance(), replace(context, options=options)
            dataset.fetch(scratch / "raw", context)
            clips = dataset.catalogue(scratch / "raw", context).clips
        groups = groups_of(clips).nunique()
        if groups < 3:
            raise DataError(
                f"{self.folder}: of its {groups} groups (by {group}) one must decide and two be learnt from, 3 are needed; "
                "deliver recordings of other people or places, or set surveillance.group to what they differ in"
            )
        clips = group_splits(
            clips, folds=min(folds, groups, max(2, int(clips["label"].value_counts().max()))), seed=seed
        )
        split = max((f"split{number}" for number in splits_of(clips)), key=lambda name: _classes_of_both(clips, name))
        parts = with_validation(clips, split, share=share, seed=seed)
        videos = clips["path"].str.removeprefix(f"{VIDEOS}/")
        test, val = (tuple(sorted(videos[parts == part].unique())) for part in ("test", "val"))
        return Holdout(group, test, val)

    def _receive(self, folder: Path, classes: frozenset[str], max_unusable: float, context: Context) -> Receipt:
        taken = {entry["name"]: entry for entry in self.taken}
        if not is_whole(folder):
            return Receipt(folder.name, WAITING, "has no _SUCCESS yet: its sender has not finished it")
        if video_files(folder) and not is_labelled(folder):
            return Receipt(folder.name, UNLABELLED, f"{len(video_files(folder))} videos without labels")
        known = classes | self.labels if classes or taken else frozenset[str]()
        seen = stamp(folder)
        if folder.name in taken:
            entry = taken[folder.name]
            # Hashing all footage every night would take as long as reading it. What it must be like was asked when it came.
            if seen != entry.get("stamp") and open_delivery(folder, Rules(), context).digest != entry["digest"]:
                raise Refused("has changed since it was taken; deliver what is new under another name")
            return Receipt(folder.name, KNOWN, f"taken on {entry['taken_at'][:10]}")
        rules = Rules(known, several=not taken, max_unusable=max_unusable, group=self._group())
        delivery = open_delivery(folder, rules, context)
        if double := _doubles(delivery):
            raise Refused(
                f"{len(double)} of its videos are there twice, such as {double[0]} and {double[1]}: one could test what was learnt from "
                "the other; deliver each once"
            )
        # Another name would bring a video that decides back as one to learn from.
        known_videos = {digest: entry["name"] for entry in taken.values() for digest in entry["hashes"].values()}
        again = [name for name, digest in delivery.hashes.items() if digest in known_videos]
        if again:
            raise Refused(
                f"{len(again)} of its {len(delivery.hashes)} videos were taken before, such as {again[0]} with "
                f"{known_videos[delivery.hashes[again[0]]]}; deliver only what is new"
            )
        self._add(delivery, seen, context.progress)
        clips = len(delivery.manifest.rows)
        notes = [f"{clips} clips of {len(delivery.labels)} classes in {len(delivery.videos)} videos"]
        if delivery.manifest.unlisted:
            notes.append(f"{len(delivery.manifest.unlisted)} videos without labels")
        if len(delivery.manifest.quarantine):
            notes.append(f"{len(delivery.manifest.quarantine)} rows left out")
        return Receipt(folder.name, TAKEN, ", ".join(notes), clips)

    def _group(self) -> str:
        path = self.folder / HOLDOUT
        return Holdout.read(path).group if path.is_file() else ""

    def _add(self, delivery: Delivery, seen: str, progress: Callable[[int, int], None] | None) -> None:
        size = sum(path.stat().st_size for path in delivery.videos.values())
        require_space(self.folder, size, f"delivery {delivery.name}")
        with atomic_path(self.folder / delivery.name) as partial:
            for done, (name, path) in enumerate(delivery.videos.items(), start=1):
                place(path, partial / name)
                if progress:
                    progress(done, len(delivery.videos))
            write_manifest(delivery.manifest.rows, partial / MANIFEST_NAME)
            if stamp(delivery.folder) != seen:
                raise Refused("was changed while it was taken; the next run takes it when its sender has finished")
        entry = {
            "name": delivery.name,
            "digest": delivery.digest,
            "labels": sorted(delivery.labels),
            "hashes": delivery.hashes,
            "stamp": seen,
            "clips": len(delivery.manifest.rows),
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.folder / LEDGER, {"deliveries": [*self.taken, entry]})

    def _check_whole(self, arrived: Collection[str]) -> None:
        """Compare folders and ledger; what a killed process copied but did not enter is dropped, it still lies in the inbox."""
        if not self.folder.is_dir():
            return
        taken, there = self.taken, {folder.name for folder in folders(self.folder)}
        entered = {entry["name"] for entry in taken}
        if lost := sorted(entered - there):
            raise DataError(f"{self.folder}: {', '.join(lost)} is gone; {BRING_BACK}")
        if strange := sorted(there - entered - set(arrived)):
            raise DataError(f"{self.folder}: {', '.join(strange)} is not in {LEDGER}; move it away, or {BRING_BACK}")
        videos = (self.folder / entry["name"] / video for entry in taken for video in entry["hashes"])
        if absent := [path for path in videos if not path.is_file()]:
            raise DataError(f"{self.folder}: {len(absent)} videos are gone, such as {absent[0]}; {BRING_BACK}")
        for name in there - entered:
            shutil.rmtree(self.folder / name)


def _doubles(delivery: Delivery) -> list[str]:
    """Videos that another one of the same delivery is the same as."""
    hashes = pd.Series(delivery.hashes)
    return list(hashes[hashes.duplicated(keep=False)].sort_values(kind="stable").index)


def _classes_of_both(clips: pd.DataFrame, split: str) -> int:
    """How many classes have clips in the test part and in the rest."""
    test = clips[split] == "test"
    return len(set(clips.loc[test, "label"]) & set(clips.loc[~test, "label"]))


def require_taken(receipts: Sequence[Receipt]) -> None:
    """Refuse to go on where deliveries came and none could be taken.

    Raises:
        DataError: With the reason of each.
    """
    refused = [receipt for receipt in receipts if receipt.state == REFUSED]
    if refused and not any(receipt.state == TAKEN for receipt in receipts):
        listed = "".join(f"\n  - {receipt.name}: {receipt.reason}" for receipt in refused)
        raise DataError(f"no new footage; {len(refused)} deliveries were refused:{listed}")
