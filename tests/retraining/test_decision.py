"""What a run does with the footage that it has: plain data in, a plan out."""

import pytest

from pan_core.registry.lineage import Lineage
from pan_core.retraining.decision import RunState, blames_footage, count_withdrawn, plan_run, refuses_challenger
from pan_core.workspace.failures import RefusedError


def test_the_first_footage_is_trained_on_from_nothing():
    plan = plan_run(RunState())
    assert (plan.nothing, plan.start, plan.begin) == ("", 0, True)
    assert plan.forced == {"latency", "promote"}


def test_new_footage_is_trained_on_from_the_champion():
    assert plan_run(RunState(champion=3)).start == 3


def test_footage_that_was_trained_on_is_nothing_new():
    assert "4" in plan_run(RunState(champion=3, trained=4)).nothing
    assert not plan_run(RunState(champion=3, trained=4, force=True)).nothing


def test_a_training_that_a_gate_refused_is_not_repeated_unless_forced():
    assert plan_run(RunState(champion=3, shut="slow")).nothing == "slow"
    assert plan_run(RunState(champion=3, shut="slow", force=True)).forced == {"latency", "promote", "train"}


def test_a_version_whose_decision_died_goes_on_from_what_it_began_with():
    """The champion may be this very version by now."""
    assert plan_run(RunState(champion=2, unfinished=1)).start == 1
    assert plan_run(RunState(champion=2, unfinished=0)).start == 0
    assert plan_run(RunState(champion=2, unfinished=1, force=True)).start == 2


def test_nothing_begins_with_a_champion_that_learnt_what_was_withdrawn():
    plan = plan_run(RunState(champion=2, withdrawn=5))
    assert (plan.nothing, plan.begin, plan.forced) == ("", False, {"latency", "promote"})


def test_a_version_from_before_the_champion_does_not_stand_for_one_without_the_withdrawn():
    again = plan_run(RunState(champion=2, trained=1, withdrawn=5))
    assert not again.nothing
    assert "train" in again.forced
    assert plan_run(RunState(champion=2, trained=3, withdrawn=5)).nothing


def test_what_nobody_knows_was_not_withdrawn():
    learnt = Lineage("subject", frozenset({"ann"}), frozenset({"aa", "bb", "cc"}))
    assert count_withdrawn(learnt, frozenset({"bb"})) == 2
    assert count_withdrawn(None, frozenset({"bb"})) == 0


@pytest.mark.parametrize(
    ("stage", "measured", "of_footage", "of_challenger"),
    [
        ("validate", True, True, False),
        ("fetch", False, True, False),
        ("evaluate", True, False, True),
        ("evaluate", False, False, False),
        ("train", True, False, False),
    ],
)
def test_whose_fault_a_failed_stage_is(stage, measured, of_footage, of_challenger):
    error = RefusedError(stage, "a reason", measured)
    assert (blames_footage(error), refuses_challenger(error)) == (of_footage, of_challenger)
