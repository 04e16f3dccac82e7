"""What a study counts, remembers, refuses and names as its winner."""

import dataclasses
import re

import optuna
import pytest
from optuna.trial import TrialState
from refusals import refused
from synthetic import EPOCHS, Hill, Rows, plan, truth, work

from pan_core.errors import ConfigError
from pan_core.params.space import Choice, Space
from pan_core.tuning.plan import PRUNERS, SAMPLERS
from pan_core.tuning.search import Tools, repeat
from pan_core.tuning.storage import open_storage
from pan_core.tuning.study import Study, step_of


def test_the_budget_counts_complete_trials_only(journal, tmp_path):
    study = Study(plan(pruner="median", trials=8), open_storage(journal))
    rows = work(study, tmp_path)
    states = [trial.state for trial in study.trials()]
    assert states.count(TrialState.COMPLETE) == 8
    assert states.count(TrialState.PRUNED) == len(states) - 8 > 0
    given_up = [row for row in rows.rows if row.tags["pan.trial_state"].startswith("PRUNED")]
    assert len(given_up) == states.count(TrialState.PRUNED)
    assert all(max(step for step, _ in row.logged) < EPOCHS - 1 for row in given_up)


def test_median_pruner_decides_as_optunas_own_study_of_one_objective_would(journal, tmp_path):
    """The same trials in the same order, told to a study of accuracy alone by Optuna's own report and should_prune.

    A trial that was given up counts among those that came as far; the defaults and a trial at its end are never given up.
    """
    study = Study(plan(pruner="median", sampler="random", trials=10), open_storage(journal))
    work(study, tmp_path)
    reference = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    )
    expected = []
    for trial in study.trials():
        other = reference.ask()
        end = truth(trial.params)
        state = TrialState.COMPLETE
        for epoch in range(EPOCHS):
            other.report(end * (epoch + 1) / EPOCHS, epoch)
            if trial.number > 0 and epoch < EPOCHS - 1 and other.should_prune():
                state = TrialState.PRUNED
                break
        reference.tell(other, end * (epoch + 1) / EPOCHS)
        expected.append(state)
    assert TrialState.PRUNED in expected
    assert [trial.state for trial in study.trials()] == expected


def test_defaults_are_the_first_trial(journal, tmp_path):
    study = Study(plan(), open_storage(journal))
    work(study, tmp_path)
    assert study.trials()[0].params == study.plan.defaults
    assert [trial.number for trial in study.trials() if study.is_default(trial)] == [0]


def test_defaults_outside_the_space_are_taken_as_far_as_they_lie_in_it(journal, tmp_path):
    study = Study(plan(defaults={"net.width": 64, "train.rate": 0.5}, trials=2), open_storage(journal))
    work(study, tmp_path)
    first = study.trials()[0]
    assert first.params["train.rate"] == 0.5
    assert not study.is_default(first)
    assert not any(leader.is_default for leader in study.judged())


def test_a_network_over_the_budget_is_not_trained(journal, tmp_path):
    hill, study = Hill(), Study(plan(budget_ms=2.0, trials=10), open_storage(journal))
    work(study, tmp_path, hill)
    assert any(values["net.width"] == 32 for values in hill.measured)
    assert all(values["net.width"] < 32 for values, _ in hill.trained)
    assert all(step_of(trial) <= 2.0 for trial in study.leaders())


def test_a_budget_that_nothing_meets_ends_the_search(journal, tmp_path):
    study = Study(plan(budget_ms=0.1), open_storage(journal))
    with refused("study.given-up") as caught:
        work(study, tmp_path)
    _, reason = str(caught.value).split(": ", 1)
    assert re.findall(r"\d+(?:\.\d+)?", reason) == ["0", "44", "44", "0.1", "0.800"]
    assert "latency.budget_step_ms" in reason


def test_a_raised_budget_makes_a_hopeless_study_go_on(journal, tmp_path):
    """The defaults were too slow, too, and are tried now."""
    with refused("study.given-up"):
        work(Study(plan(budget_ms=0.1), open_storage(journal)), tmp_path)
    study = Study(plan(budget_ms=10.0), open_storage(journal))
    work(study, tmp_path)
    assert len(study.counted) == 6
    assert any(study.is_default(trial) for trial in study.counted)


def test_a_network_is_timed_once_in_a_study_and_at_the_speed_of_the_first_machine(journal, tmp_path):
    slow, fast = Hill(pace=0.1), Hill(pace=0.01)
    work(Study(plan(trials=1, sampler="random"), open_storage(journal)), tmp_path, slow)
    study = Study(plan(trials=12, sampler="random"), open_storage(journal))
    work(study, tmp_path, fast)
    assert {values["net.width"] for values in slow.measured} == {8}
    assert sorted(values["net.width"] for values in fast.measured) == [16, 32]
    for trial in study.complete:
        assert step_of(trial) == pytest.approx(trial.params["net.width"] / 10)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_front_is_optunas(journal, tmp_path, sampler):
    study = Study(plan(sampler=sampler, trials=14), open_storage(journal))
    work(study, tmp_path)
    own = {(study.accuracy(trial), step_of(trial)) for trial in study.front()}
    assert own == {tuple(trial.values) for trial in study.optuna.best_trials}


def test_one_objective_will_do(journal, tmp_path):
    study = Study(plan(objectives=("accuracy",), pruner="median"), open_storage(journal))
    work(study, tmp_path)
    assert study.accuracy(study.leaders()[0]) == max(trial.value for trial in study.complete)


def test_search_finds_the_hill(journal, tmp_path):
    """Chance has the rate within a factor of 3 of the best, and the widest network, in one trial of twelve."""
    study = Study(plan(objectives=("accuracy",), trials=30), open_storage(journal))
    work(study, tmp_path)
    best = study.leaders()[0].params
    assert best["net.width"] == 32
    assert 0.003 < best["train.rate"] < 0.03


def test_a_study_that_was_stopped_goes_on_as_if_undisturbed(tmp_path):
    whole = Study(plan(trials=9), open_storage(tmp_path / "a" / "journal.log"))
    work(whole, tmp_path)
    for trials in (3, 9):
        parts = Study(plan(trials=trials), open_storage(tmp_path / "b" / "journal.log"))
        work(parts, tmp_path)
    assert [trial.params for trial in parts.trials()] == [trial.params for trial in whole.trials()]


def test_a_trial_that_fails_is_marked_and_the_study_goes_on(journal, tmp_path):
    class Breaks(Hill):
        def accuracy(self, values, seed, report):
            if len(self.trained) == 2:
                raise MemoryError("no more")
            return super().accuracy(values, seed, report)

    study, rows = Study(plan(), open_storage(journal)), Rows()
    with pytest.raises(MemoryError):
        work(study, tmp_path, Breaks(), rows)
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE] * 2 + [TrialState.FAIL]
    assert rows.rows[-1].tags["pan.trial_state"] == "FAIL: MemoryError: no more"
    again = Study(plan(), open_storage(journal))
    work(again, tmp_path)
    assert len(again.complete) == 6
    drawn = [trial.params for trial in again.trials()]
    assert drawn[3] != drawn[2], "what ended the process would be drawn for ever"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trials_that_are_asked_for_at_once_draw_what_one_after_another_would(tmp_path, sampler):
    """Of workers that ask at the same moment only one has the defaults, and no two share a stream."""
    changes = {"sampler": sampler, "objectives": ("accuracy",)}
    asked = [Study(plan(**changes), open_storage(tmp_path / "a" / "journal.log")) for _ in range(4)]
    trials = [study.optuna.ask() for study in asked]
    at_once = [study.plan.space.suggest(trial) for study, trial in zip(asked, trials, strict=True)]
    alone = Study(plan(trials=4, **changes), open_storage(tmp_path / "b" / "journal.log"))
    work(alone, tmp_path)
    assert at_once == [trial.params for trial in alone.trials()]
    assert [study.is_default(study.trial(number)) for number, study in enumerate(asked)] == [True, False, False, False]
    assert len({str(values) for values in at_once}) == 4


def test_defaults_wait_for_an_earlier_trial_that_may_take_them(journal):
    """Trial 0 dies before it has values: they go to the next that is asked for, not to the one that ran beside it."""
    study = Study(plan(), open_storage(journal))
    lost, beside = study.optuna.ask(), study.optuna.ask()
    study.optuna.tell(lost, state=TrialState.FAIL)
    assert study.plan.space.suggest(beside) != study.plan.defaults
    assert study.plan.space.suggest(study.optuna.ask()) == study.plan.defaults


def test_a_budget_that_was_lowered_asks_for_more_trials(journal, tmp_path):
    work(Study(plan(trials=8, sampler="random"), open_storage(journal)), tmp_path)
    study = Study(plan(trials=8, sampler="random", budget_ms=1.0), open_storage(journal))
    work(study, tmp_path)
    assert len(study.counted) == 8 < len(study.complete)
    assert all(step_of(trial) <= 1.0 for trial in study.leaders())


def test_defaults_that_were_edited_are_tried(journal, tmp_path):
    work(Study(plan(), open_storage(journal)), tmp_path)
    edited = {"net.width": 16, "train.rate": 0.02}
    study = Study(plan(defaults=edited), open_storage(journal))
    work(study, tmp_path)
    assert study.trials()[-1].params == edited
    assert [trial.number for trial in study.leaders() if study.is_default(trial)] == [6]
    work(study, tmp_path)
    assert len(study.trials()) == 7


def test_winner_is_the_mean_over_fresh_seeds(journal, tmp_path):
    """The defaults are judged, too: a search that found nothing better must not win by luck."""
    study, hill, rows = Study(plan(trials=8), open_storage(journal)), Hill(), Rows()
    work(study, tmp_path)
    tools = Tools(hill, rows.open, rows.closed.append)
    assert study.judged() == []
    for number, seed in study.missing_repeats():
        repeat(study, number, seed, tools)
    assert study.missing_repeats() == []
    judged = study.judged()
    assert {seed for _, seed in hill.trained} == {1, 2}
    assert len(judged) == 3
    assert [leader.number for leader in judged if leader.is_default] == [0]
    for leader in judged:
        values = study.trials()[leader.number].params
        assert leader.accuracies == pytest.approx([truth(values, 1), truth(values, 2)])
    assert judged[0].accuracy == max(leader.accuracy for leader in judged)
    trained = len(hill.trained)
    repeat(study, judged[0].number, 1, tools)
    assert len(hill.trained) == trained


@pytest.mark.parametrize(
    ("change", "name", "values"),
    [
        ({"space": Space({"net.width": Choice((8, 64))})}, "space", ("64",)),
        ({"rests_on": {"data": "d2"}}, "data", ("d1", "d2")),
        ({"sampler": "random"}, "sampler", ("tpe", "random")),
        ({"objectives": ("accuracy",)}, "objectives", ("accuracy", "step_ms")),
    ],
)
def test_another_study_under_the_same_name_is_refused_before_any_trial(journal, tmp_path, change, name, values):
    work(Study(plan(trials=1), open_storage(journal)), tmp_path)
    with refused("study.other-plan", ConfigError) as caught:
        Study(dataclasses.replace(plan(), **change), open_storage(journal))
    assert caught.value.names[0] == name
    assert all(value in caught.value.faults[0] for value in values)


def test_quarter_gives_up_the_lowest_quarter_after_each_third():
    """Twenty trials at every rank: 15 go on from the first look."""
    pruner = PRUNERS["quarter"](2)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for rank in range(20):
        other = study.ask()
        other.report(float(rank), 2)
        study.tell(other, float(rank))
    given_up = []
    for rank in range(20):
        other = study.ask()
        other.report(rank + 0.5, 1)
        assert not other.should_prune()
        other.report(rank + 0.5, 2)
        given_up.append(other.should_prune())
        study.tell(other, state=TrialState.FAIL)
    assert sum(given_up) == 5
    assert given_up == sorted(given_up, reverse=True)
