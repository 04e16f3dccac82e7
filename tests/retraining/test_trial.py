"""Deliveries on trial, with steps that a test plays: no Prefect, no DVC."""

import pytest
from deliveries import deliver, hold_out, relabel
from refusals import refused

from pan_core.errors import DataError
from pan_core.retraining.intake import IntakeRules, receive
from pan_core.retraining.trial import Trial, TrialSteps, trial_recipe
from pan_core.workspace.failures import RefusedError, StageError


class Stages:
    """Stages that refuse some deliveries; versions are numbers in the .dvc file."""

    def __init__(self, footage, incoming, context):
        self.footage, self.incoming, self.context = footage, incoming, context
        self.bad, self.error, self.versions = set(), RefusedError("validate", "too much in quarantine", True), 0

    def trial(self):
        steps = TrialSteps(
            self.receive, lambda new: hold_out(self.footage, self.context, new=new), self.check, self.keep
        )
        return Trial(self.footage, "recipe", steps)

    def receive(self, only):
        rules = IntakeRules(recipe=trial_recipe("recipe", self.footage))
        return receive(self.footage, self.incoming, rules, self.context, only)

    def check(self):
        if self.bad & self.footage.ledger.names:
            raise self.error
        return ["validate"]

    def keep(self):
        self.versions += 1
        self.footage.folder.with_suffix(".dvc").write_text(f"{self.versions}\n")
        self.footage.transaction.end()


@pytest.fixture
def stages(footage, incoming, context):
    """An inbox with a first delivery that has a version."""
    stages = Stages(footage, incoming, context)
    deliver(incoming, "2026-11-02")
    stages.trial().run()
    stages.keep()
    return stages


def states(result):
    return [receipt.state for receipt in result.receipts]


def test_what_passes_stays_on_trial_until_it_has_a_version(footage, incoming, context):
    stages = Stages(footage, incoming, context)
    deliver(incoming, "2026-11-02")
    result = stages.trial().run()
    assert (states(result), result.done, result.changed) == (["taken"], ["validate"], True)
    footage.transaction.recover()
    assert not footage.folder.exists()


def test_first_footage_that_does_not_pass_is_tried_again_with_the_next(footage, incoming, context):
    stages = Stages(footage, incoming, context)
    stages.bad = {"2026-11-02"}
    deliver(incoming, "2026-11-02")
    assert states(stages.trial().run()) == ["refused"]
    assert not footage.folder.exists()
    assert footage.memory.read("failed") == {}


def test_a_delivery_that_does_not_pass_is_remembered_until_it_is_forced(stages, footage, incoming):
    stages.bad = {"2026-11-09"}
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    result = stages.trial().run()
    assert states(result) == ["known", "refused"]
    assert not result.changed
    assert footage.ledger.names == {"2026-11-02"}
    stages.bad = set()
    assert [receipt.code for receipt in stages.trial().run().receipts] == ["", "delivery.failed-before"]
    assert states(stages.trial().run(force=True)) == ["known", "taken"]


def test_of_several_each_is_tried_alone_and_those_that_pass_make_versions(stages, footage, incoming):
    stages.bad = {"2026-11-09"}
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    deliver(incoming, "2026-11-10", ("eve",), shade=17)
    assert states(stages.trial().run()) == ["known", "refused", "taken"]
    assert footage.ledger.names == {"2026-11-02", "2026-11-10"}
    assert stages.versions == 2


def test_a_stage_that_fails_for_another_reason_leaves_the_footage_as_it_was(stages, footage, incoming):
    stages.bad, stages.error = {"2026-11-09"}, StageError("the disk is full")
    deliver(incoming, "2026-11-09", ("dan",), shade=7)
    with pytest.raises(StageError):
        stages.trial().run()
    assert footage.ledger.names == {"2026-11-02"}


def test_a_correction_after_which_one_class_decides_is_refused_with_its_receipt(stages, footage, incoming):
    decides = footage.holdout.videos[0].partition("/")[2]
    before = footage.ledger.taken
    relabel(incoming / "2026-11-02", f"{decides},0,1,Walking", f"{decides},0,1,Falling")
    (receipt,) = stages.trial().run().receipts
    assert (receipt.state, receipt.code) == ("refused", "delivery.failed")
    assert "part test are of one class (Falling)" in receipt.reason
    assert footage.ledger.taken == before


def test_too_few_people_for_a_first_holdout_fail_the_run(footage, incoming, context):
    deliver(incoming, "2026-11-02", ("ann", "ben"))
    with refused("holdout.too-few-groups", DataError):
        Stages(footage, incoming, context).trial().run()
    assert not footage.folder.exists()
