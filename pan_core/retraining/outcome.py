"""Outcome of a retraining: the name and the message with which a run ends, and the decision as Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan_core.errors import PanError
from pan_core.files import read_json
from pan_core.retraining.memory import DeliveryMemory
from pan_core.retraining.receipts import KNOWN, REFUSED, TAKEN, Receipt, require_taken
from pan_core.workspace import paths
from pan_core.workspace.failures import RefusedError

NOTHING_NEW, PROMOTED, NOT_PROMOTED = "NothingNew", "Promoted", "Refused"
"""Names with which a retraining ends well."""

ABOUT = "Whether the challenger took the champion's place"
NO_DELIVERY = "the footage has no delivery yet"


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        name: `NOTHING_NEW`, `PROMOTED` or `NOT_PROMOTED`.
        message: Explanation, for people.
        page: The decision as Markdown; empty if there was none.
    """

    name: str
    message: str
    page: str = ""


@dataclass(frozen=True)
class RunNotes:
    """What a run reports beside its decision.

    Attributes:
        receipts: What became of the inbox.
        away: Why not all could be fetched from the source; empty if it could.
        champion: Version of the recognizer in use, 0 for none.
        withdrawn: Videos that it learnt from and the footage does not have any more.
    """

    receipts: list[Receipt]
    away: str = ""
    champion: int = 0
    withdrawn: int = 0

    @property
    def lines(self) -> list[str]:
        """What every message ends with."""
        gone = f"{self.withdrawn} videos that are not in the footage any more"
        learnt = [f"the champion, version {self.champion}, learnt from {gone}"] if self.withdrawn else []
        return learnt + ([self.away] if self.away else [])


def end_without_training(reason: str, notes: RunNotes, memory: DeliveryMemory) -> Outcome:
    """Outcome of a run that had nothing to do.

    Deliveries that are refused fail a run once for each reason: what nobody corrects must not fail every night.

    Raises:
        PanError: If that is because the source could not be read, or because all that came was refused.
    """
    others = [f"{r.name} is {r.state}: {r.reason}" for r in notes.receipts if r.state not in (TAKEN, KNOWN)]
    if notes.away:
        raise PanError("; ".join([notes.away, *others]), code="retraining.source-away")
    reported = memory.read("told")
    if _report_refusals(notes, memory).items() - reported.items():
        require_taken(notes.receipts)
    return Outcome(NOTHING_NEW, "; ".join([reason, *notes.lines, *others]))


def end_at_gate(error: RefusedError, notes: RunNotes, memory: DeliveryMemory) -> Outcome:
    """Outcome of a challenger that did not get as far as a comparison."""
    page = f"# Refused at the stage {error.stage}\n\n{error.reason}"
    return Outcome(NOT_PROMOTED, _join_message(str(error), notes, memory), page)


def end_decided(folder: Path, notes: RunNotes, memory: DeliveryMemory) -> Outcome:
    """Outcome of a decision.

    Args:
        folder: Workspace in which the stage promote has run.
        notes: What else there is to report.
        memory: Remembers which refusals were reported.
    """
    found = read_json(folder / paths.result("promote"))
    name = PROMOTED if found["promoted"] else NOT_PROMOTED
    message = _join_message(f"{found['challenger']}: {found['reason']}", notes, memory)
    page = _describe_decision(found, folder / paths.PROMOTION)
    return Outcome(NOTHING_NEW if found["already"] else name, message, page)


def _describe_decision(found: Mapping[str, Any], page: Path) -> str:
    """A decision with its conditions, as Markdown."""
    rows = "\n".join(
        f"| {check['name']} | {check['found']} | {check['allowed']} | {'yes' if check['passed'] else 'no'} |"
        for check in found["checks"]
    )
    return (
        f"# {found['challenger']}: {found['reason']}\n\n| condition | found | allowed | holds |\n| --- | --- | --- | --- |\n{rows}\n\n"
        f"[the decision as a page]({page.resolve().as_uri()})"
    )


def _join_message(reason: str, notes: RunNotes, memory: DeliveryMemory) -> str:
    refused = [f"{name} was refused: {why}" for name, why in _report_refusals(notes, memory).items()]
    return "; ".join([reason, *refused, *notes.lines])


def _report_refusals(notes: RunNotes, memory: DeliveryMemory) -> dict[str, str]:
    """Reasons of refusals, remembered as reported."""
    refused = {receipt.name: receipt.reason for receipt in notes.receipts if receipt.state == REFUSED}
    memory.write("told", refused)
    return refused
