"""Receipts: what became of each folder in the inbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pan_core.errors import DataError

TAKEN, KNOWN, WAITING, UNLABELLED, REFUSED, WITHDRAWN_NOW = (
    "taken", "known", "waiting", "unlabelled", "refused", "withdrawn",
)  # fmt: skip
"""States of a folder in the inbox."""

NEW, CORRECTED, WITHDRAWN = "new", "corrected", "withdrawn"
"""Changes to the footage."""


@dataclass(frozen=True)
class Receipt:
    """What became of a folder in the inbox.

    Attributes:
        name: Name of the folder.
        state: "taken" now, "known" from before, "waiting" for its marker, "unlabelled", "refused", or "withdrawn".
        reason: Explanation, for people.
        clips: Labelled spans that it adds.
        stamp: Stamp of the folder at that time.
        change: "new", "corrected" or "withdrawn" if the footage has changed by it; else empty.
        code: Code of the refusal; empty if it was not refused.
    """

    name: str
    state: str
    reason: str
    clips: int = 0
    stamp: str = ""
    change: str = ""
    code: str = ""


def changed(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Receipts of deliveries that have changed the footage."""
    return [receipt for receipt in receipts if receipt.change]


def replace_receipts(receipts: Sequence[Receipt], others: Sequence[Receipt]) -> list[Receipt]:
    """Receipts, some of them replaced by those of the same name."""
    named = {receipt.name: receipt for receipt in others}
    return [named.get(receipt.name, receipt) for receipt in receipts]


def may_be_labelled(receipts: Sequence[Receipt]) -> list[str]:
    """Names of the folders in which there may be videos to label."""
    return [receipt.name for receipt in receipts if receipt.state in (TAKEN, KNOWN, UNLABELLED)]


def table_rows(receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """Receipts as rows of a table for people."""
    return [{"delivery": r.name, "state": r.state, "reason": r.reason, "clips": r.clips} for r in receipts]


def require_taken(receipts: Sequence[Receipt]) -> None:
    """Refuse to go on if deliveries came and none could be taken.

    Raises:
        DataError: With the reason of each.
    """
    refused = [receipt for receipt in receipts if receipt.state == REFUSED]
    if refused and not any(receipt.state == TAKEN for receipt in receipts):
        listed = "".join(f"\n  - {receipt.name}: {receipt.reason}" for receipt in refused)
        raise DataError(
            f"no new footage; {len(refused)} deliveries were refused:{listed}", code="retraining.all-refused"
        )
