"""The footage that was taken, as the dataset `surveillance` reads it, and the part of it that decides for good.

Below `data/footage` lie a folder for each delivery with its videos and a manifest.csv, `deliveries.json` with what was taken
and when (a folder that is not in it was never finished), and `holdout.json` with the videos that no network learns. What only
saves work or remembers a refusal lies elsewhere, so that it makes no new version of the footage: see `Memory`.
"""

import errno
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pan_core.datasets.base import Context
from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, Holdout, plain_name
from pan_core.datasets.manifests import is_labelled, read_any, write_manifest
from pan_core.datasets.manifests.manifest import MANIFEST_NAME, video_files
from pan_core.datasets.splits import group_splits, groups_of, with_validation
from pan_core.datasets.surveillance import AUTO, VIDEOS, Surveillance, best_grouping, groupings, place
from pan_core.deliveries.inbox import WITHDRAWN, Delivery, Refused, Rules, folders, is_whole, open_delivery, stamp
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path, read_json, require_space, scratch_folder, write_json
from pan_core.tables import splits_of

LEDGER = "deliveries.json"
ENTRY = {"name": str, "digest": str, "labels": list, "hashes": dict, "taken_at": str}
TAKEN, KNOWN, WAITING, UNLABELLED, REFUSED, TAKEN_BACK = (
    "taken", "known", "waiting", "unlabelled", "refused", "withdrawn",
)  # fmt: skip
"""What becomes of a folder in the inbox."""


@dataclass(frozen=True)
class Receipt:
    """What became of a folder in the inbox.

    Attributes:
        name: The folder.
        state: "taken" now, "known" from before, "waiting" for its marker, "unlabelled", "refused", or "withdrawn".
        reason: Why, in words.
        clips: Labelled spans that it adds.
    """

    name: str
    state: str
    reason: str
    clips: int = 0


class Memory:
    """What is known of deliveries beside the footage itself; without it work is done again, nothing else.

    `stamps` of folders in the inbox as they were when they were taken; `failed`: reason, and stamps of the deliveries that did
    not pass validation together; `version`: digests of the deliveries of the version that was made last.

    Args:
        path: A JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Any]:
        """All of it."""
        empty: dict[str, Any] = {"stamps": {}, "failed": {"reason": "", "stamps": {}}, "version": {}}
        return empty | (read_json(self._path) if self._path.is_file() else {})

    def write(self, **values: Any) -> None:
        """Some of it anew."""
        write_json(self._path, self.read() | values)


class Footage:
    """Footage of all deliveries that were taken.

    Args:
        folder: Made with the first delivery.
        memory: File of what saves work.
    """

    def __init__(self, folder: Path, memory: Path) -> None:
        self.folder, self._memory = folder, Memory(memory)

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
        failed = self._memory.read()["failed"]
        there = {folder.name: folder for folder in arrived}
        # Together: which of several is to blame nobody knows, so a change of one gives all of them another try.
        if any(name not in there or stamp(there[name]) != seen for name, seen in failed["stamps"].items()):
            failed = {"reason": "", "stamps": {}}
            self._memory.write(failed=failed)
        for folder in arrived:
            try:
                if folder.name in failed["stamps"]:
                    raise Refused(failed["reason"])
                receipts.append(self._receive(folder, frozenset(classes), max_unusable, context))
            except Refused as error:
                receipts.append(Receipt(folder.name, REFUSED, str(error)))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                receipts.append(Receipt(folder.name, REFUSED, f"cannot be read: {error}"))
        return receipts

    @property
    def changed(self) -> dict[str, str]:
        """Deliveries that are not in the last version as they are now, withdrawn ones among them, with what became of them."""
        now, before = {entry["name"]: entry["digest"] for entry in self.taken}, self._memory.read()["version"]
        found = {name: "changed" if name in before else "new" for name in now if before.get(name) != now[name]}
        return found | {name: "withdrawn" for name in before if name not in now}

    def keep_version(self) -> None:
        """Remember that all deliveries are in a version now."""
        self._memory.write(version={entry["name"]: entry["digest"] for entry in self.taken})

    def refuse(self, names: Collection[str], incoming: Path, reason: str) -> None:
        """Remember that these did not pass validation together: they are refused until one of them changes in the inbox."""
        self._memory.write(
            failed={"reason": reason, "stamps": {name: stamp(incoming / name) for name in sorted(names)}}
        )

    def hold_out(self, *, group: str, folds: int, share: float, seed: int, context: Context, least: int = 1) -> Holdout:
        """The videos that decide and those that validate, chosen at the first time and the same ever after.

        Where too few clips decide, groups that come for the first time decide, too, until there are enough.

        Args:
            group: What is never on both sides; "auto" for the best that all rows say.
            folds: One part in so many decides.
            share: Of what is left, to validate on.
            seed: Of the draw.
            context: As for a dataset.
            least: Clips that should decide.

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
        if wider := self._widened(holdout, least):
            write_json(path, asdict(wider))
        return wider or holdout

    def _widened(self, holdout: Holdout, least: int) -> Holdout | None:
        """With groups of new deliveries that nothing has learnt from, those with most classes first; None where none is needed."""
        new = {name for name, what in self.changed.items() if what == "new"}
        rows = read_any(self.folder).rows
        missing = least - int(rows["video"].isin(holdout.videos).sum())
        first = ~rows["video"].str.partition("/")[0].isin(new)
        if missing <= 0 or not first.any() or not new:
            return None
        own = groupings(rows)[holdout.group].map(plain_name)
        fresh = rows[~own.isin(set(own[first]))].assign(group=own)
        # A video of several groups decides only where all of them are new.
        fresh = fresh[~fresh["video"].isin(set(rows.loc[~rows.index.isin(fresh.index), "video"]))]
        added: list[str] = []
        for _, clips in sorted(fresh.groupby("group"), key=lambda each: (-each[1]["label"].nunique(), each[0])):
            if missing > 0:
                added += clips["video"].unique().tolist()
                missing -= len(clips)
        return replace(holdout, videos=tuple(sorted({*holdout.videos, *added}))) if added else None

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
        name, taken = folder.name, {entry["name"]: entry for entry in self.taken}
        entry = taken.pop(name, None)
        if (folder / WITHDRAWN).is_file():
            return self._withdraw(name, entry)
        if not is_whole(folder):
            return Receipt(name, WAITING, "has no _SUCCESS yet: its sender has not finished it")
        if video_files(folder) and not is_labelled(folder):
            return Receipt(name, UNLABELLED, f"{len(video_files(folder))} videos without labels")
        seen, stamps = stamp(folder), self._memory.read()["stamps"]
        known = Receipt(name, KNOWN, f"taken on {entry['taken_at'][:10]}" if entry else "")
        # Hashing all footage every night would take as long as reading it.
        if entry and stamps.get(name) == seen:
            return known
        labels = classes | self.labels if classes or taken else frozenset[str]()
        rules = Rules(labels, several=not taken, max_unusable=max_unusable, group=self._group())
        delivery = open_delivery(folder, rules, context)
        if entry and delivery.digest == entry["digest"]:
            self._memory.write(stamps=stamps | {name: seen})
            return known
        if double := _doubles(delivery):
            raise Refused(
                f"{len(double)} of its videos are there twice, such as {double[0]} and {double[1]}: one could test what was learnt from "
                "the other; deliver each once"
            )
        # Another name would bring a video that decides back as one to learn from.
        known_videos = {digest: other["name"] for other in taken.values() for digest in other["hashes"].values()}
        again = [video for video, digest in delivery.hashes.items() if digest in known_videos]
        if again:
            raise Refused(
                f"{len(again)} of its {len(delivery.hashes)} videos were taken before, such as {again[0]} with "
                f"{known_videos[delivery.hashes[again[0]]]}; deliver only what is new"
            )
        if entry:
            self._require_holdout(name, entry, delivery.hashes)
        self._add(delivery, seen, context.progress)
        clips = len(delivery.manifest.rows)
        notes = [f"{clips} clips of {len(delivery.labels)} classes in {len(delivery.videos)} videos"]
        if entry:
            notes.append(f"instead of what was taken on {entry['taken_at'][:10]}")
        if delivery.manifest.unlisted:
            notes.append(f"{len(delivery.manifest.unlisted)} videos without labels")
        if len(delivery.manifest.quarantine):
            notes.append(f"{len(delivery.manifest.quarantine)} rows left out")
        return Receipt(name, TAKEN, ", ".join(notes), clips)

    def _withdraw(self, name: str, entry: dict[str, Any] | None) -> Receipt:
        """Drop a delivery from the footage; its folder in the inbox stays."""
        if not entry:
            return Receipt(name, TAKEN_BACK, f"not in the footage; remove {WITHDRAWN} to have it taken")
        self._require_holdout(name, entry, {})
        self._enter([other for other in self.taken if other["name"] != name])
        shutil.rmtree(self.folder / name)
        return Receipt(name, TAKEN_BACK, f"taken on {entry['taken_at'][:10]}, and now out of the footage again")

    def _require_holdout(self, name: str, entry: dict[str, Any], hashes: Mapping[str, str]) -> None:
        """Refuse to lose a video that decides or validates; its labels may be corrected."""
        path = self.folder / HOLDOUT
        holdout = Holdout.read(path) if path.is_file() else None
        deciding = {*holdout.videos, *holdout.validation} if holdout else set()
        own = [
            video
            for video, digest in entry["hashes"].items()
            if f"{name}/{video}" in deciding and hashes.get(video) != digest
        ]
        if own:
            raise Refused(
                f"{len(own)} of its videos decide or validate, such as {own[0]}, and would be gone or another: no model could be "
                "compared with those before; put them back (their labels may change), or begin anew as docs/retraining.md says"
            )

    def _enter(self, entries: Sequence[Mapping[str, Any]]) -> None:
        write_json(self.folder / LEDGER, {"deliveries": list(entries)})

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
            # Where it takes another's place: killed from here on, the next run takes it again.
            self._enter(others := [other for other in self.taken if other["name"] != delivery.name])
        entry = {
            "name": delivery.name,
            "digest": delivery.digest,
            "labels": sorted(delivery.labels),
            "hashes": delivery.hashes,
            "clips": len(delivery.manifest.rows),
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._enter([*others, entry])
        self._memory.write(stamps=self._memory.read()["stamps"] | {delivery.name: seen})

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
