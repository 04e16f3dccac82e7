"""The footage that was taken, as the dataset `surveillance` reads it, and the part of it that decides for good.

Below `data/footage` lie a folder for each delivery with its videos and a manifest.csv, `deliveries.json` with what was taken
and when (a folder that is not in it was never finished), and `holdout.json` with the videos that no network learns. What only
saves work or remembers a refusal lies elsewhere, so that it makes no new version of the footage: see `Memory`. Between runs the
footage is that of its last version: what a run changes stands on trial (`begin`, `recover`, `end`).
"""

import errno
import logging
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from pan_core.datasets.base import Context
from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, SPLIT, Holdout, plain_name
from pan_core.datasets.manifests import is_labelled, read_any, write_manifest
from pan_core.datasets.manifests.manifest import MANIFEST_NAME, video_files
from pan_core.datasets.splits import group_splits, groups_of, with_validation
from pan_core.datasets.surveillance import AUTO, VIDEOS, Surveillance, best_grouping, groupings, place
from pan_core.errors import DataError, PanError
from pan_core.files import atomic_path, read_json, require_space, scratch_folder, write_json
from pan_core.retraining.inbox import (
    WITHDRAWN,
    Delivery,
    DeliveryRefused,
    Rules,
    folders,
    is_whole,
    open_delivery,
    stamp,
)
from pan_core.tables import splits_of

_log = logging.getLogger(__name__)

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
        stamp: Of the folder as it was then.
        change: "new", "corrected" or "withdrawn" where the footage is another than before; else empty.
    """

    name: str
    state: str
    reason: str
    clips: int = 0
    stamp: str = ""
    change: str = ""


class Memory:
    """What is known beside the footage itself; without it work is done again, nothing else.

    `stamps` of folders in the inbox as they were when they were taken, each with the digest of what was taken; `failed`:
    stamp, reason and recipe of deliveries that did not pass validation; `told`: reasons of refusals that a run has failed
    with; `shut`: reasons of challengers that a gate refused, by data and recipe.

    Args:
        path: A JSON file; one that is damaged counts as empty.
    """

    PARTS: ClassVar = {"stamps": list, "failed": dict, "told": str, "shut": str}

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, part: str) -> dict[str, Any]:
        """One of `PARTS`."""
        return self._all()[part]

    def write(self, part: str, values: Mapping[str, Any]) -> None:
        """One of `PARTS` anew."""
        write_json(self._path, self._all() | {part: dict(values)})

    def _all(self) -> dict[str, dict[str, Any]]:
        try:
            stored: Any = read_json(self._path) if self._path.is_file() else {}
            return {
                part: {name: value for name, value in dict(stored.get(part, {})).items() if isinstance(value, kind)}
                for part, kind in self.PARTS.items()
            }
        except (PanError, AttributeError, TypeError, ValueError):
            _log.warning("%s: damaged, and taken for empty", self._path)
            return {part: {} for part in self.PARTS}


class Footage:
    """Footage of all deliveries that were taken.

    Args:
        folder: Made with the first delivery.
        memory: File of what saves work.
    """

    def __init__(self, folder: Path, memory: Path) -> None:
        self.folder, self.memory = folder, Memory(memory)
        self._before = folder.with_name(f".{folder.name}.before")

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The ledger: name, digest, labels, clips and time of every delivery, in their order."""
        return self._ledger()[0]

    def _ledger(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Deliveries that are in the footage, and those that were withdrawn."""
        path = self.folder / LEDGER
        if not path.is_file():
            return [], []
        try:
            stored = read_json(path)
            entries, withdrawn = stored["deliveries"], stored.get("withdrawn", [])
            if all(isinstance(entry[name], kind) for entry in (*entries, *withdrawn) for name, kind in ENTRY.items()):
                return entries, withdrawn
        except (PanError, KeyError, TypeError, AttributeError):
            pass
        raise DataError(f"{path}: damaged; {BRING_BACK}")

    @property
    def hashes(self) -> frozenset[str]:
        """SHA-256 of all videos."""
        return frozenset(digest for entry in self.taken for digest in entry["hashes"].values())

    @property
    def holdout(self) -> Holdout | None:
        """The videos that decide and validate, None before they are drawn."""
        path = self.folder / HOLDOUT
        return Holdout.read(path) if path.is_file() else None

    @property
    def versioned(self) -> bool:
        """Whether it was ever given to DVC."""
        return self.folder.with_suffix(".dvc").is_file()

    @property
    def version(self) -> str:
        """What DVC says of the footage as it was last given to it; empty where it never was."""
        return self.folder.with_suffix(".dvc").read_text() if self.versioned else ""

    def begin(self) -> None:
        """Put the footage by as it is, without a second copy where the file system can link: until `end` it can be brought back.

        Raises:
            DataError: Where it is a link, whose target cannot be exchanged.
        """
        if self.folder.is_symlink():
            raise DataError(f"{self.folder}: is a link; move what it points to here, or mount it above this folder")
        self.recover()
        with atomic_path(self._before) as partial:
            partial.mkdir()
            write_json(partial / "state.json", {"version": self.version, "there": self.folder.is_dir()})
            if self.folder.is_dir():
                shutil.copytree(
                    self.folder, partial / "footage", copy_function=lambda one, other: place(Path(one), Path(other))
                )

    def recover(self) -> None:
        """Bring the footage back to where it was when `begin` was called last, unless `end` was.

        Where it has another version since, its trial had gone well, or a person has put something else in its place.
        """
        if not self._before.is_dir():
            return
        state, kept = read_json(self._before / "state.json"), self._before / "footage"
        if self.versioned and not self.version.endswith("\n"):
            # DVC writes the file in place: killed in the middle of that, there is no other version.
            place = self.folder.with_suffix(".dvc")
            if state["version"]:
                with atomic_path(place) as partial:
                    partial.write_text(state["version"])
            else:
                place.unlink()
        # Killed in here after the footage was back, the copy is gone.
        if state["version"] == self.version and (kept.is_dir() or not state["there"]):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)
            if state["there"]:
                kept.rename(self.folder)
        self.end()

    def end(self) -> None:
        """The footage as it is now is to stay."""
        if self._before.is_dir():
            with scratch_folder(self.folder.parent, "before") as scratch:
                self._before.rename(scratch / "before")

    @property
    def labels(self) -> set[str]:
        """Classes of all footage."""
        return {label for entry in self.taken for label in entry["labels"]}

    def receive(
        self,
        incoming: Path,
        *,
        classes: Sequence[str],
        max_unusable: float,
        context: Context,
        recipe: str = "",
        only: Collection[str] | None = None,
    ) -> list[Receipt]:
        """Take whatever is whole, new and usable in the inbox; nothing there is changed.

        Args:
            incoming: The inbox.
            classes: Labels that are announced; of later deliveries those of the footage so far count, too.
            max_unusable: Share of a delivery's rows that may be unusable.
            context: As for a dataset.
            recipe: Of the parameters; what did not pass validation with others is tried again.
            only: Folders to look at; all where None.

        Returns:
            One receipt for each folder.

        Raises:
            DataError: Where there is no inbox, or the footage is not as its ledger has it.
        """
        arrived = folders(incoming)
        self._check_whole({folder.name for folder in arrived})
        receipts = []
        failed = self.memory.read("failed")
        for folder in (folder for folder in arrived if only is None or folder.name in only):
            seen = stamp(folder)
            try:
                told = failed.get(folder.name, {})
                if (told.get("stamp"), told.get("recipe")) == (seen, recipe):
                    raise DeliveryRefused(told["reason"])
                receipts.append(self._receive(folder, seen, frozenset(classes), max_unusable, context))
            except DeliveryRefused as error:
                receipts.append(Receipt(folder.name, REFUSED, str(error)))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                receipts.append(Receipt(folder.name, REFUSED, f"cannot be read: {error}"))
        return receipts

    def refuse(self, receipt: Receipt, reason: str, recipe: str) -> Receipt:
        """Remember that a delivery did not pass validation: it is refused until it, the parameters or the footage change.

        A withdrawal is tried again by every run.
        """
        if receipt.change == "withdrawn":
            return Receipt(receipt.name, REFUSED, f"cannot be withdrawn, and is learnt from on: {reason}")
        entry = {"stamp": receipt.stamp, "reason": reason, "recipe": recipe}
        self.memory.write("failed", self.memory.read("failed") | {receipt.name: entry})
        return Receipt(receipt.name, REFUSED, reason)

    def require_group(self, group: str) -> None:
        """Refuse another grouping than that of the holdout, where there is one.

        Raises:
            DataError: With the one that it was drawn by.
        """
        holdout = self.holdout
        if holdout and group not in (AUTO, holdout.group):
            raise DataError(
                f"surveillance.group is {group}, but the holdout of {self.folder} was drawn by {holdout.group} and stays, or no two "
                f"versions could be compared; set surveillance.group to auto or {holdout.group}"
            )

    def hold_out(
        self,
        *,
        group: str,
        folds: int,
        share: float,
        seed: int,
        context: Context,
        least: int = 1,
        new: Collection[str] = (),
    ) -> Holdout:
        """The videos that decide and those that validate, chosen at the first time and the same ever after.

        Where too few clips decide, groups that come for the first time decide, too, until there are enough.

        Args:
            group: What is never on both sides; "auto" for the best that all rows say.
            folds: One part in so many decides.
            share: Of what is left, to validate on.
            seed: Of the draw.
            context: As for a dataset.
            least: Clips that should decide.
            new: Deliveries of which nothing was ever learnt.

        Raises:
            DataError: Where the footage has too few groups to set some apart, or the holdout is gone, was drawn by another
                group, or has a video without a usable clip.
        """
        path = self.folder / HOLDOUT
        if not path.is_file():
            if self.versioned:
                raise DataError(f"{path}: is gone; a new one would test on what models have learnt from; {BRING_BACK}")
            write_json(path, asdict(self._drawn(group, folds, share, seed, context)))
            return Holdout.read(path)
        self.require_group(group)
        holdout = Holdout.read(path)
        clips = self._catalogued(holdout.group, context)
        if new and (wider := self._widened(holdout, clips, least, frozenset(new))):
            write_json(path, asdict(holdout := wider))
        parts = set(holdout.split(clips["path"], clips["group"]))
        if lacking := [part for part in ("train", "val", "test") if part not in parts]:
            raise DataError(
                f"{path}: no clip would be left for {' and '.join(lacking)}; see what was corrected or withdrawn"
            )
        return holdout

    def _widened(self, holdout: Holdout, clips: pd.DataFrame, least: int, new: frozenset[str]) -> Holdout | None:
        """With groups that come for the first time, those with most classes first; None where none is needed, or none comes."""
        missing = least - int((clips[SPLIT] == "test").sum())
        groups = clips["group"].map(plain_name)
        fresh = clips["path"].str.partition("/")[0].isin(new)
        # Somebody who was there before may have been learnt from, also by a recognizer that outlives a withdrawal.
        entries, withdrawn = self._ledger()
        before = {name for entry in (*entries, *withdrawn) for name in entry.get("groups", {}).get(holdout.group, ())}
        fresh &= ~groups.isin(before | set(groups[~fresh]))
        fresh &= ~clips["path"].isin({*holdout.videos, *holdout.validation})
        # A video of several groups decides only where all of them are new.
        fresh &= ~clips["path"].isin(set(clips.loc[~fresh, "path"]))
        added: list[str] = []
        found = clips[fresh].assign(group=groups[fresh])
        for _, own in sorted(found.groupby("group"), key=lambda each: (-each[1]["label"].nunique(), each[0])):
            if missing > 0:
                added += own["path"].unique().tolist()
                missing -= len(own)
        return replace(holdout, videos=tuple(sorted({*holdout.videos, *added}))) if added else None

    def _catalogued(self, group: str, context: Context) -> pd.DataFrame:
        """Clip table of the footage as the pipeline will read it, but for paths, which are those below the footage."""
        options = {"folder": str(self.folder), "group": group}
        with scratch_folder(self.folder.parent, "holdout") as scratch:
            dataset, context = Surveillance(), replace(context, options=options)
            dataset.fetch(scratch / "raw", context)
            clips = dataset.catalogue(scratch / "raw", context).clips
        return clips.assign(path=clips["path"].str.removeprefix(f"{VIDEOS}/"))

    def _drawn(self, group: str, folds: int, share: float, seed: int, context: Context) -> Holdout:
        """Test and validation part of that split by group whose test part has most of the classes that are learnt; of equals the first."""
        group = best_grouping(read_any(self.folder).rows) if group == AUTO else group
        clips = self._catalogued(group, context)
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
        test, val = (tuple(sorted(clips["path"][parts == part].unique())) for part in ("test", "val"))
        return Holdout(group, test, val)

    def _receive(
        self, folder: Path, seen: str, classes: frozenset[str], max_unusable: float, context: Context
    ) -> Receipt:
        name, (entries, withdrawn) = folder.name, self._ledger()
        taken = {entry["name"]: entry for entry in entries}
        entry = taken.pop(name, None)
        since = f"taken on {entry['taken_at'][:10]}" if entry else ""
        if (folder / WITHDRAWN).is_file():
            if not entry:
                return Receipt(name, TAKEN_BACK, "not in the footage")
            self._withdraw(entry)
            return Receipt(name, TAKEN_BACK, f"{since}, and now out of the footage again", 0, seen, "withdrawn")
        if not is_whole(folder):
            return Receipt(name, WAITING, "has no _SUCCESS yet: its sender has not finished it")
        if video_files(folder) and not is_labelled(folder):
            stays = f"; what was {since} stays" if entry else ""
            return Receipt(name, UNLABELLED, f"{len(video_files(folder))} videos without labels{stays}")
        # Hashing all footage every night would take as long as reading it.
        stamps = self.memory.read("stamps")
        if entry and stamps.get(name) == [seen, entry["digest"]]:
            return Receipt(name, KNOWN, since)
        labels = classes | self.labels if classes or taken else frozenset[str]()
        rules = Rules(labels, several=not taken, max_unusable=max_unusable, group=self._group())
        delivery = open_delivery(folder, rules, context)
        if entry and delivery.digest == entry["digest"]:
            self.memory.write("stamps", stamps | {name: [seen, entry["digest"]]})
            return Receipt(name, KNOWN, since)
        for other in withdrawn:
            if (other["name"], other["digest"]) == (name, delivery.digest):
                raise DeliveryRefused(
                    f"was withdrawn on {other['withdrawn_at'][:10]}; deliver it under another name to have it again"
                )
        if double := _doubles(delivery):
            raise DeliveryRefused(
                f"{len(double)} of its videos are there twice, such as {double[0]} and {double[1]}: one could test what was learnt from "
                "the other; deliver each once"
            )
        # Another name would bring a video that decides back as one to learn from.
        known_videos = {digest: other["name"] for other in taken.values() for digest in other["hashes"].values()}
        again = [video for video, digest in delivery.hashes.items() if digest in known_videos]
        if again:
            raise DeliveryRefused(
                f"{len(again)} of its {len(delivery.hashes)} videos were taken before, such as {again[0]} with "
                f"{known_videos[delivery.hashes[again[0]]]}; deliver only what is new"
            )
        if entry:
            self._require_holdout(entry, delivery.hashes)
        self._add(delivery, seen, context.progress)
        clips = len(delivery.manifest.rows)
        notes = [f"{clips} clips of {len(delivery.labels)} classes in {len(delivery.videos)} videos"]
        if entry:
            notes.append(f"instead of what was {since}")
        if delivery.manifest.unlisted:
            notes.append(f"{len(delivery.manifest.unlisted)} videos without labels")
        if len(delivery.manifest.quarantine):
            notes.append(f"{len(delivery.manifest.quarantine)} rows left out")
        return Receipt(name, TAKEN, ", ".join(notes), clips, seen, "corrected" if entry else "new")

    def _withdraw(self, entry: Mapping[str, Any]) -> None:
        """Drop a delivery from the footage, from what decides too; its folder in the inbox stays."""
        entries, withdrawn = self._ledger()
        holdout, own = self.holdout, f"{entry['name']}/"
        if holdout:
            videos, validation = (
                tuple(video for video in part if not video.startswith(own))
                for part in (holdout.videos, holdout.validation)
            )
            if not (videos and validation):
                raise DeliveryRefused(
                    "all videos that decide, or all that validate, are in it, and without them no two models could be compared; "
                    "begin anew as docs/retraining.md says"
                )
            write_json(self.folder / HOLDOUT, asdict(replace(holdout, videos=videos, validation=validation)))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._enter(
            [other for other in entries if other["name"] != entry["name"]],
            [*withdrawn, {**entry, "groups": self._groups(entry), "withdrawn_at": now}],
        )
        shutil.rmtree(self.folder / entry["name"])

    def _groups(self, entry: Mapping[str, Any]) -> dict[str, list[str]]:
        """Everybody and everything, by kind of group, that a delivery has or had before a correction."""
        said, before = groupings(read_any(self.folder / entry["name"]).rows), entry.get("groups", {})
        return {
            name: sorted({plain_name(value) for value in said[name] if value} | set(before.get(name, ())))
            for name in said
        }

    def _require_holdout(self, entry: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
        """Refuse a correction that loses a video that decides or validates; its labels may be corrected."""
        holdout = self.holdout
        deciding = {*holdout.videos, *holdout.validation} if holdout else set()
        lost = [
            video
            for video, digest in entry["hashes"].items()
            if f"{entry['name']}/{video}" in deciding and hashes.get(video) != digest
        ]
        if lost:
            raise DeliveryRefused(
                f"{len(lost)} of its videos decide or validate, such as {lost[0]}, and would be gone or another; put them back (their "
                f"labels may change), or withdraw the whole delivery by {WITHDRAWN}"
            )

    def _enter(self, entries: Sequence[Mapping[str, Any]], withdrawn: Sequence[Mapping[str, Any]]) -> None:
        write_json(self.folder / LEDGER, {"deliveries": list(entries), "withdrawn": list(withdrawn)})

    def _group(self) -> str:
        return self.holdout.group if self.holdout else ""

    def _add(self, delivery: Delivery, seen: str, progress: Callable[[int, int], None] | None) -> None:
        size = sum(path.stat().st_size for path in delivery.videos.values())
        require_space(self.folder, size, f"delivery {delivery.name}")
        entries, withdrawn = self._ledger()
        before = next((self._groups(other) for other in entries if other["name"] == delivery.name), {})
        with atomic_path(self.folder / delivery.name) as partial:
            for done, (name, path) in enumerate(delivery.videos.items(), start=1):
                # No link: whoever writes into the file in the inbox would change the footage.
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, partial / name)
                if progress:
                    progress(done, len(delivery.videos))
            write_manifest(delivery.manifest.rows, partial / MANIFEST_NAME)
            if stamp(delivery.folder) != seen:
                raise DeliveryRefused(
                    "was changed while it was taken; the next run takes it when its sender has finished"
                )
        entry = {
            "name": delivery.name,
            "digest": delivery.digest,
            "labels": sorted(delivery.labels),
            "hashes": delivery.hashes,
            "clips": len(delivery.manifest.rows),
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "groups": before,
        }
        self._enter([*(other for other in entries if other["name"] != delivery.name), entry], withdrawn)
        self.memory.write("stamps", self.memory.read("stamps") | {delivery.name: [seen, delivery.digest]})

    def _check_whole(self, arrived: Collection[str]) -> None:
        """Compare folders and ledger; what a killed process copied but did not enter is dropped, it still lies in the inbox."""
        if not self.folder.is_dir():
            return
        with scratch_folder(self.folder, "sweep"):  # which removes what a killed process left behind
            pass
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
