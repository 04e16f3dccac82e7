"""A challenger is promoted only where every condition holds, and each refusal says which did not."""

import numpy as np
import pytest
from refusals import refused
from scipy import stats

from pan_core.errors import DataError
from pan_core.registry.lineage import Lineage
from pan_core.registry.promotion import Check, DecidingClips, Judged, Margins, decide

CLASSES = ("fall", "walk")
ACCURACY = "accuracy on the holdout"
MARGINS = Margins(accuracy=0.05, class_accuracy=0.1)


def holdout(clips=200):
    names = [f"clip{number}" for number in range(clips)]
    return DecidingClips(
        {name: CLASSES[number % 2] for number, name in enumerate(names)},
        Lineage("day", frozenset(f"day{number // 10}" for number in range(clips)), frozenset({"aa", "bb"})),
    )


def judged(name, wrong, *, labels=CLASSES, groups=("elsewhere",), of=None):
    """A model that is wrong on the clips of these numbers."""
    of = of or holdout()
    hits = {clip: number not in wrong for number, clip in enumerate(of.labels)}
    return Judged(name, hits, frozenset(labels), Lineage("day", frozenset(groups), frozenset({"cc"})))


def refusals(decision):
    return [check.name for check in decision.checks if not check.passed]


def test_an_equal_challenger_is_promoted():
    decision = decide(judged("new", range(10)), judged("old", range(10)), holdout(), MARGINS)
    assert decision.promoted
    assert decision.difference == 0
    assert (len(decision.checks), refusals(decision)) == (5, [])
    assert decision.reason == "promoted; all 5 conditions hold"


def test_clips_without_people_count_for_nobody_and_not_as_clips_to_decide_on():
    """100 of 200 clips show nobody: 10 of the others change sides, which is 5 points of all 200."""
    whole = holdout()
    half = DecidingClips(whole.labels, whole.lineage, frozenset(list(whole.labels)[:100]))
    old, new = judged("old", range(100)), judged("new", range(110))
    decision = decide(new, old, half, Margins(0.2, 0.5, clips=100))
    assert decision.difference == pytest.approx(-0.05)
    assert (old.accuracy, new.accuracy) == (0.5, 0.45)
    assert "100 of them without people" in next(check.found for check in decision.checks if check.name == ACCURACY)
    assert decision.promoted
    assert refusals(decide(new, old, half, Margins(0.2, 0.5, clips=101))) == [ACCURACY]


def test_the_first_model_needs_no_champion():
    decision = decide(judged("new", range(150)), None, holdout(), MARGINS)
    assert decision.promoted
    assert decision.difference is None


@pytest.mark.parametrize("lost", [0, 2, 4, 8, 12, 20, 30])
def test_bound_on_accuracy_is_that_of_a_paired_bootstrap(lost):
    """SciPy's own percentile bootstrap of the paired differences, on the same margin; 14 and 2 clips change sides."""
    old, new = judged("old", range(100, 110)), judged("new", range(100, 110 + lost))
    decision = decide(new, old, holdout(), Margins(0.05, 1.0))
    gains = np.array([new.hits[clip] - float(old.hits[clip]) for clip in old.hits])
    if lost:
        low = stats.bootstrap(
            (gains,), np.mean, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval.low
    else:
        low = 0.0
    assert abs(low + 0.05) > 0.004, "too near to the margin for two resamplings to agree"
    assert (ACCURACY not in refusals(decision)) == (low >= -0.05)


def test_a_class_that_falls_is_named():
    """Two falls in ten are lost, and as many walks are won: the accuracy is the same."""
    falls, walks = range(0, 40, 2), range(1, 41, 2)
    decision = decide(judged("new", falls), judged("old", walks), holdout(), Margins(1.0, 0.1))
    assert decision.difference == 0
    assert refusals(decision) == ["each class"]
    assert "fall by 20 points" in decision.reason


def test_a_fall_of_just_the_margin_is_allowed():
    decision = decide(judged("new", range(0, 20, 2)), judged("old", ()), holdout(), Margins(1.0, 0.1))
    assert decision.promoted


def test_a_class_of_few_clips_does_not_decide_alone():
    few = DecidingClips(holdout(100).labels | {"only": "crawl"}, holdout().lineage)
    labels = (*CLASSES, "crawl")
    old, new = judged("old", range(20), of=few, labels=labels), judged("new", (100,), of=few, labels=labels)
    assert refusals(decide(new, old, few, Margins(0.05, 0.1))) == ["each class"]
    decision = decide(new, old, few, Margins(0.05, 0.1, class_clips=2))
    assert decision.promoted
    (check,) = (check for check in decision.checks if check.name == "each class")
    assert "(1)" in check.found
    assert "crawl" in check.found


def test_a_class_of_which_the_holdout_has_no_clip_is_told():
    new = judged("new", (), labels=(*CLASSES, "jump"))
    (check,) = (
        check for check in decide(new, judged("old", ()), holdout(), MARGINS).checks if check.name == "each class"
    )
    assert check.passed
    assert check.found.endswith("jump")


@pytest.mark.parametrize("which", ["new", "old"])
def test_a_holdout_that_shares_a_group_with_training_is_refused(which):
    groups = {"new": ("elsewhere",), "old": ("elsewhere",)} | {which: ("day3", "elsewhere")}
    decision = decide(
        judged("new", (), groups=groups["new"]), judged("old", (), groups=groups["old"]), holdout(), MARGINS
    )
    assert refusals(decision) == [f"groups of the holdout, {which}"]
    assert "day3" in decision.reason


def test_a_holdout_that_shares_a_video_with_training_is_refused_whatever_the_groups_are_called():
    learnt = Lineage("camera", frozenset({"hall"}), frozenset({"bb"}))
    champion = Judged("old", judged("old", ()).hits, frozenset(CLASSES), learnt)
    decision = decide(judged("new", ()), champion, holdout(), MARGINS)
    assert refusals(decision) == ["groups of the holdout, old"]
    assert "SHA-256" in decision.reason


def test_groups_of_another_kind_say_nothing():
    learnt = Lineage("camera", frozenset({"hall"}), frozenset({"cc"}))
    champion = Judged("old", judged("old", ()).hits, frozenset(CLASSES), learnt)
    decision = decide(judged("new", ()), champion, holdout(), MARGINS)
    assert refusals(decision) == ["groups of the holdout, old"]
    assert "not known: its training was grouped by camera, the holdout is by day" in decision.reason


def test_a_champion_of_unknown_training_is_refused():
    """It may have learnt the very clips that decide."""
    champion = Judged("old", judged("old", ()).hits, frozenset(CLASSES), None)
    decision = decide(judged("new", ()), champion, holdout(), MARGINS)
    assert refusals(decision) == ["groups of the holdout, old"]
    assert "known" in decision.reason


def test_a_class_that_is_no_longer_known_is_refused():
    decision = decide(judged("new", (), labels=("walk",)), judged("old", ()), holdout(), MARGINS)
    assert refusals(decision) == ["classes"]


def test_other_conditions_count():
    slow = Check("latency of a step", False, "p90 9 ms", "5 ms")
    decision = decide(judged("new", ()), judged("old", ()), holdout(), MARGINS, [slow])
    assert decision.reason == "refused; latency of a step: p90 9 ms, allowed 5 ms"


def test_nothing_is_decided_without_a_holdout_or_on_a_part_of_it():
    with refused("holdout.empty", DataError):
        decide(Judged("new", {}, frozenset(), frozenset()), None, DecidingClips({}, {}), MARGINS)
    part = judged("new", (), of=holdout(150))
    with refused("holdout.not-judged", DataError):
        decide(part, None, holdout(), MARGINS)


def test_so_few_clips_that_an_interval_says_little_are_no_reason_to_promote():
    few = holdout(3)
    new, old = judged("new", (), of=few), judged("old", (), of=few)
    decision = decide(new, old, few, Margins(0.05, 0.1, clips=20))
    assert refusals(decision) == ["accuracy on the holdout"]
    (check,) = (check for check in decision.checks if not check.passed)
    assert check.allowed.startswith("20")
    assert decide(new, old, few, Margins(0.05, 0.1, clips=3)).promoted
