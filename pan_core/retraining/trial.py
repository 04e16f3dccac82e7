"""Trial of new footage: what does not pass validation leaves the footage as it was.

If several deliveries together do not pass, each is tried by itself and makes a version of its own.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pan_core.errors import DataError
from pan_core.retraining.decision import blames_footage
from pan_core.retraining.footage import Footage
from pan_core.retraining.intake import refuse
from pan_core.retraining.receipts import NEW, REFUSED, WITHDRAWN, Receipt, changed, replace_receipts
from pan_core.workspace.failures import RefusedError


@dataclass(frozen=True)
class TrialSteps:
    """Steps of a trial, which others schedule.

    Attributes:
        receive: Takes what is in the inbox, or only the folders that it is given; returns a receipt for each.
        hold_out: Chooses the holdout; is given the deliveries that are new.
        check: Brings the stages up to date that check the footage; returns their names.
        keep: Makes a version of the footage.
    """

    receive: Callable[[Collection[str] | None], list[Receipt]]
    hold_out: Callable[[list[str]], object]
    check: Callable[[], list[str]]
    keep: Callable[[], object]


@dataclass(frozen=True)
class TrialResult:
    """What became of the inbox.

    Attributes:
        receipts: One for each folder.
        done: Stages that are up to date with the footage as it is now.
    """

    receipts: list[Receipt]
    done: list[str]

    @property
    def changed(self) -> bool:
        """Whether the footage is another than before."""
        return bool(changed(self.receipts))


class Trial:
    """Takes what has arrived and passes validation.

    Args:
        footage: Takes it.
        recipe: Hash of the parameters.
        steps: The steps.
    """

    def __init__(self, footage: Footage, recipe: str, steps: TrialSteps) -> None:
        self._footage, self._recipe, self._steps = footage, recipe, steps

    def run(self, *, force: bool = False) -> TrialResult:
        """Take what passes.

        Args:
            force: Whether to try again what did not pass before.

        Raises:
            DataError: If the first holdout cannot be drawn: more footage helps.
            PanError: If a stage fails for another reason than the footage. The footage is then as it was.
        """
        transaction, done = self._footage.transaction, list[str]()
        if force:
            self._footage.memory.write("failed", {})
        transaction.begin()
        try:
            receipts = self._steps.receive(None)
            if new := changed(receipts):
                reason, done = self._check(new)
                if reason:
                    receipts = replace_receipts(receipts, self._settle_refused(new, reason))
        except BaseException:
            transaction.recover()
            raise
        if not changed(receipts):
            transaction.end()
        return TrialResult(receipts, done)

    def _settle_refused(self, new: list[Receipt], reason: str) -> list[Receipt]:
        """Receipts of deliveries that do not pass together."""
        if not self._footage.version.exists:
            # More footage may help, so what comes next is tried with it.
            self._footage.transaction.recover()
            return [Receipt(receipt.name, REFUSED, reason, code="delivery.failed") for receipt in new]
        if len(new) == 1:
            return [self._refuse(new[0], reason)]
        # A withdrawal may pass only after what has come beside it.
        return [self._try_alone(receipt) for receipt in sorted(new, key=lambda each: each.change == WITHDRAWN)]

    def _try_alone(self, receipt: Receipt) -> Receipt:
        """Try one delivery by itself; one that passes makes a version."""
        self._footage.transaction.begin()
        gone = Receipt(receipt.name, REFUSED, "is gone from the inbox", code="delivery.gone")
        alone = next(iter(self._steps.receive([receipt.name])), gone)
        if not alone.change:
            return alone
        reason, _ = self._check([alone])
        if reason:
            return self._refuse(alone, reason)
        self._steps.keep()
        return alone

    def _refuse(self, receipt: Receipt, reason: str) -> Receipt:
        self._footage.transaction.recover()
        return refuse(self._footage, receipt, reason, trial_recipe(self._recipe, self._footage))

    def _check(self, new: list[Receipt]) -> tuple[str, list[str]]:
        """Why the footage as it is now cannot be learnt from, empty if it can; and the stages that are up to date."""
        first = self._footage.holdout is None
        if not self._footage.ledger.taken:
            return "", []
        try:
            self._steps.hold_out([receipt.name for receipt in new if receipt.change == NEW])
            return "", self._steps.check()
        except RefusedError as error:
            if not blames_footage(error):
                raise
            return str(error), []
        except DataError as error:
            if first:
                raise
            return str(error), []


def trial_recipe(recipe: str, footage: Footage) -> str:
    """Hash of what decides, beside a delivery itself, whether it passes: the parameters and the version of the footage."""
    return f"{recipe} {hashlib.sha256(footage.version.text.encode()).hexdigest()[:12]}"
