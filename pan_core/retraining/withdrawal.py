"""Withdrawal: a delivery is taken out of the footage again, from what decides, too."""

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pan_core.datasets.holdout import HOLDOUT, plain_name
from pan_core.datasets.manifests import read_any
from pan_core.datasets.surveillance import groupings
from pan_core.files import write_json
from pan_core.retraining.footage import Footage
from pan_core.retraining.holdout_draw import without_delivery
from pan_core.retraining.ledger import Entry


def withdraw(footage: Footage, entry: Entry) -> None:
    """Drop a delivery from the footage; its folder in the inbox stays.

    The ledger remembers it, with everybody who was in it: a model may have learnt from them.

    Args:
        footage: Has the delivery.
        entry: Its entry in the ledger.

    Raises:
        DeliveryRefused: If nothing would be left to decide, or nothing to validate.
    """
    if holdout := footage.holdout:
        write_json(footage.folder / HOLDOUT, asdict(without_delivery(holdout, entry["name"])))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    gone = {**entry, "groups": groups_of_delivery(footage.folder, entry), "withdrawn_at": now}
    footage.ledger.with_withdrawn(gone).write(footage.folder)
    shutil.rmtree(footage.folder / entry["name"])


def groups_of_delivery(folder: Path, entry: Entry) -> dict[str, list[str]]:
    """Everybody and everything, by kind of group, that a delivery has, or had before a correction.

    Args:
        folder: The footage.
        entry: Entry of the delivery in the ledger.
    """
    found, before = groupings(read_any(folder / entry["name"]).rows), entry.get("groups", {})
    return {
        name: sorted({plain_name(value) for value in found[name] if value} | set(before.get(name, ())))
        for name in found
    }
