"""Intake: whatever is whole, new and usable in the inbox is copied into the footage; nothing in the inbox is changed."""

import errno
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from pan_core.datasets.base import Context
from pan_core.datasets.manifests import is_labelled, unread_exports, write_manifest
from pan_core.datasets.manifests.manifest import MANIFEST_NAME, video_files
from pan_core.files import atomic_path, printable_name, require_space
from pan_core.retraining.footage import Footage
from pan_core.retraining.holdout_draw import require_kept
from pan_core.retraining.inbox import WITHDRAWN as WITHDRAWN_MARKER
from pan_core.retraining.inbox import Delivery, DeliveryRefused, Rules, folders, is_whole, open_delivery, stamp
from pan_core.retraining.ledger import Entry, Ledger
from pan_core.retraining.receipts import (
    CORRECTED,
    KNOWN,
    NEW,
    REFUSED,
    TAKEN,
    UNLABELLED,
    WAITING,
    WITHDRAWN,
    WITHDRAWN_NOW,
    Receipt,
)
from pan_core.retraining.withdrawal import groups_of_delivery, withdraw


@dataclass(frozen=True)
class IntakeRules:
    """What is taken.

    Attributes:
        classes: Labels that are announced; of later deliveries those of the footage so far count, too.
        max_unusable: Share of a delivery's rows that may be unusable.
        recipe: Hash of the parameters; a delivery that did not pass validation is tried again with another one.
    """

    classes: frozenset[str] = frozenset()
    max_unusable: float = 0.1
    recipe: str = ""


def receive(
    footage: Footage, incoming: Path, rules: IntakeRules, context: Context, only: Collection[str] | None = None
) -> list[Receipt]:
    """Take whatever is whole, new and usable in the inbox.

    Args:
        footage: Takes it.
        incoming: The inbox.
        rules: What is taken.
        context: As for a dataset.
        only: Folders to look at; all if None.

    Returns:
        One receipt for each folder.

    Raises:
        DataError: If there is no inbox, or the footage is not as its ledger has it.
    """
    arrived = folders(incoming)
    footage.sweep({folder.name for folder in arrived})
    failed = footage.memory.read("failed")
    receipts = []
    for folder in (folder for folder in arrived if only is None or folder.name in only):
        if (name := printable_name(Path(folder.name))) != folder.name:
            receipts.append(
                Receipt(name, REFUSED, "its name is no plain text in UTF-8; rename it", code="delivery.name")
            )
            continue
        seen = stamp(folder)
        try:
            before = failed.get(folder.name, {})
            if (before.get("stamp"), before.get("recipe")) == (seen, rules.recipe):
                raise DeliveryRefused(before["reason"], code="delivery.failed-before")
            receipts.append(_receive(footage, folder, seen, rules, context))
        except DeliveryRefused as error:
            receipts.append(Receipt(folder.name, REFUSED, str(error), code=error.code))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            receipts.append(Receipt(folder.name, REFUSED, f"cannot be read: {error}", code="delivery.unreadable"))
    return receipts


def refuse(footage: Footage, receipt: Receipt, reason: str, recipe: str) -> Receipt:
    """Remember that a delivery did not pass validation: it is refused until it, the parameters or the footage change.

    A withdrawal is tried again by every run.
    """
    if receipt.change == WITHDRAWN:
        return Receipt(
            receipt.name,
            REFUSED,
            f"cannot be withdrawn, and is learnt from on: {reason}",
            code="delivery.cannot-withdraw",
        )
    entry = {"stamp": receipt.stamp, "reason": reason, "recipe": recipe}
    footage.memory.add("failed", receipt.name, entry)
    return Receipt(receipt.name, REFUSED, reason, code="delivery.failed")


def _receive(footage: Footage, folder: Path, seen: str, rules: IntakeRules, context: Context) -> Receipt:
    """Look at one folder, and take it if it is to be taken."""
    name, ledger = folder.name, footage.ledger
    entry = ledger.entry(name)
    if receipt := _settle_unopened(footage, folder, entry, seen):
        return receipt
    others = Ledger(ledger.others(name), ledger.withdrawn)
    delivery = open_delivery(folder, _build_rules(footage, others, rules), context)
    if entry and delivery.digest == entry["digest"]:
        footage.memory.add("stamps", name, [seen, entry["digest"]])
        return Receipt(name, KNOWN, _describe_since(entry))
    require_new(delivery, others)
    if entry:
        require_kept(footage.holdout, entry, delivery.hashes)
    add_delivery(footage, delivery, seen, context)
    return _describe_taken(delivery, entry, seen)


def _settle_unopened(footage: Footage, folder: Path, entry: Entry | None, seen: str) -> Receipt | None:
    """Receipt of a folder whose videos need not be read; None if they must be."""
    name, since = folder.name, _describe_since(entry)
    if (folder / WITHDRAWN_MARKER).is_file():
        if not entry:
            return Receipt(name, WITHDRAWN_NOW, "not in the footage")
        withdraw(footage, entry)
        return Receipt(name, WITHDRAWN_NOW, f"{since}, and now out of the footage again", 0, seen, WITHDRAWN)
    if not is_whole(folder):
        return Receipt(name, WAITING, "has no _SUCCESS yet: its sender has not finished it")
    if (videos := video_files(folder)) and not is_labelled(folder):
        stays = f"; what was {since} stays" if entry else ""
        unread = "".join(f"; {text}" for text in unread_exports(folder))
        return Receipt(name, UNLABELLED, f"{len(videos)} videos without labels{stays}{unread}")
    # Hashing all footage every night would take as long as reading it.
    if entry and footage.memory.read("stamps").get(name) == [seen, entry["digest"]]:
        return Receipt(name, KNOWN, since)
    return None


def _describe_since(entry: Entry | None) -> str:
    return f"taken on {entry['taken_at'][:10]}" if entry else ""


def _build_rules(footage: Footage, others: Ledger, rules: IntakeRules) -> Rules:
    """Rules for a delivery beside the others in the footage."""
    labels = rules.classes | footage.ledger.labels if rules.classes or others.taken else frozenset[str]()
    group = footage.holdout.group if footage.holdout else ""
    return Rules(labels, several=not others.taken, max_unusable=rules.max_unusable, group=group)


def require_new(delivery: Delivery, others: Ledger) -> None:
    """Refuse a delivery that was withdrawn, has a video twice, or has one that another delivery has.

    Args:
        delivery: Can be used.
        others: The ledger without this delivery.

    Raises:
        DeliveryRefused: With the first reason.
    """
    for other in others.withdrawn:
        if (other["name"], other["digest"]) == (delivery.name, delivery.digest):
            raise DeliveryRefused(
                f"was withdrawn on {other['withdrawn_at'][:10]}; deliver it under another name to have it again",
                code="delivery.withdrawn",
            )
    if double := _find_doubles(delivery):
        raise DeliveryRefused(
            f"{len(double)} of its videos are there twice, such as {double[0]} and {double[1]}: one could test what was learnt from "
            "the other; deliver each once",
            code="delivery.doubles",
        )
    # Another name would bring a video that decides back as one to learn from.
    known = {digest: other["name"] for other in others.taken for digest in other["hashes"].values()}
    if again := [video for video, digest in delivery.hashes.items() if digest in known]:
        raise DeliveryRefused(
            f"{len(again)} of its {len(delivery.hashes)} videos were taken before, such as {again[0]} with "
            f"{known[delivery.hashes[again[0]]]}; deliver only what is new",
            code="delivery.taken-before",
        )


def add_delivery(footage: Footage, delivery: Delivery, seen: str, context: Context) -> None:
    """Copy a delivery into the footage, instead of the one of its name if there is one, and enter it in the ledger.

    Args:
        footage: Takes it.
        delivery: Can be used.
        seen: Stamp of its folder before it was read.
        context: Has the progress.

    Raises:
        DeliveryRefused: If it is not what it was any more.
    """
    size = sum(path.stat().st_size for path in delivery.videos.values())
    require_space(footage.folder, size, f"delivery {delivery.name}")
    before = footage.ledger.entry(delivery.name)
    groups = groups_of_delivery(footage.folder, before) if before else {}
    with atomic_path(footage.folder / delivery.name) as partial:
        for done, (name, path) in enumerate(delivery.videos.items(), start=1):
            # No link: whoever writes into the file in the inbox would change the footage.
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, partial / name)
            if context.progress:
                context.progress(done, len(delivery.videos))
        write_manifest(delivery.manifest.rows, partial / MANIFEST_NAME)
        if stamp(delivery.folder) != seen:
            raise DeliveryRefused(
                "was changed while it was taken; the next run takes it when its sender has finished",
                code="delivery.changed",
            )
    entry = {
        "name": delivery.name,
        "digest": delivery.digest,
        "labels": sorted(delivery.labels),
        "hashes": delivery.hashes,
        "clips": len(delivery.manifest.rows),
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "groups": groups,
    }
    footage.ledger.with_entry(entry).write(footage.folder)
    footage.memory.add("stamps", delivery.name, [seen, delivery.digest])


def _describe_taken(delivery: Delivery, before: Entry | None, seen: str) -> Receipt:
    clips = len(delivery.manifest.rows)
    notes = [f"{clips} clips of {len(delivery.labels)} classes in {len(delivery.videos)} videos"]
    if before:
        notes.append(f"instead of what was {_describe_since(before)}")
    if delivery.manifest.unlisted:
        notes.append(f"{len(delivery.manifest.unlisted)} videos without labels")
    if len(delivery.manifest.quarantine):
        notes.append(f"{len(delivery.manifest.quarantine)} rows left out")
    if assumed := delivery.manifest.notes:
        notes.append(f"note: {assumed[0]}" + (f" and {len(assumed) - 1} more" if assumed[1:] else ""))
    return Receipt(delivery.name, TAKEN, ", ".join(notes), clips, seen, CORRECTED if before else NEW)


def _find_doubles(delivery: Delivery) -> list[str]:
    """Videos that another one of the same delivery is the same as."""
    hashes = pd.Series(delivery.hashes)
    return list(hashes[hashes.duplicated(keep=False)].sort_values(kind="stable").index)
