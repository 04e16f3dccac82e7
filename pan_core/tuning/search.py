"""The work of one process on a study: trials until enough are complete, then the leaders again with fresh seeds."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from pan_core.errors import PanError
from pan_core.params.space import Values
from pan_core.tuning.plan import ACCURACY, STEP_MS
from pan_core.tuning.study import CURVE, WHY, Study, step_of
from pan_core.tuning.workers import Worker, bury

POLL_S = 1.0
LEAST_GIVEN_UP, MOST_GIVEN_UP = 20, 4
"""Trials given up before a search is, and how many more for each complete trial wanted."""

Report = Callable[[int, dict[str, float]], None]


class Objective(Protocol):
    """What a study measures."""

    def widths(self, values: Values) -> str:
        """What the time of one frame depends on, as one word."""

    def step_times(self, values: Values, others: Values) -> tuple[float, float]:
        """Times of one frame, in ms, with two networks, measured side by side."""

    def accuracy(self, values: Values, seed: int, report: Report) -> float:
        """Validation accuracy at the end of a training; calls `report` with every epoch and its figures."""


class TrialRow(Protocol):
    """A trial's row in MLflow, open while the trial runs."""

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Log figures of an epoch."""

    def tag(self, name: str, value: object) -> None:
        """Say what became of the trial."""


OpenRow = Callable[[str, Values], AbstractContextManager[TrialRow]]
"""Opens the row of a trial or of a repeat, by its name and values."""


@dataclass(frozen=True)
class Tools:
    """What a worker needs besides the study.

    Attributes:
        objective: What is measured.
        open_row: Opens a row in MLflow.
        close_row: Closes the row of a trial whose worker died, by its name.
    """

    objective: Objective
    open_row: OpenRow
    close_row: Callable[[str], None]


class TrialGivenUpError(Exception):
    """Ends a trial that is over the budget or that the pruner gives up; its text says why."""


class TrialNotNeededError(Exception):
    """Ends a trial that is not needed: those of other workers are enough."""


def search(study: Study, worker: Worker, tools: Tools) -> None:
    """Run trials until enough are complete, counting those of all workers.

    Whatever a trial raises ends the search, with the trial marked as failed; started again, it goes on.

    Args:
        study: The study.
        worker: This process.
        tools: What a trial needs.
    """
    while True:
        for dead in worker.dead(study.optuna):
            if bury(study.optuna, dead):
                tools.close_row(f"trial {dead.number}")
        wanted = still_wanted(study)
        if wanted <= 0:
            return
        if len(study.trials(TrialState.RUNNING)) >= wanted:
            time.sleep(POLL_S)
            continue
        _require_progress(study)
        _run_trial(study, worker, tools, study.optuna.ask())


def still_wanted(study: Study) -> int:
    """How many more trials must be complete."""
    wanted = study.plan.trials - len(study.counted)
    # Values of params.yaml that were edited since are tried, too: the winner has to beat today's.
    if wanted <= 0 and study.untried_defaults() and not study.trials(TrialState.RUNNING):
        return 1
    return max(0, wanted)


def repeat(study: Study, number: int, seed: int, tools: Tools) -> None:
    """Train a leader again with another seed, unless that is done."""
    if study.repeated(number, seed) is not None:
        return
    trial = study.trial(number)
    values, name = study.plan.defaults | trial.params, f"leader {number}, seed {seed}"
    tools.close_row(name)  # of a process that was killed in it
    with tools.open_row(name, values) as row:
        accuracy = tools.objective.accuracy(values, seed, lambda epoch, figures: row.metrics(figures, step=epoch))
        row.metrics({ACCURACY: accuracy})
        row.tag("pan.repeats_trial", number)
    study.keep_repeat(number, seed, accuracy)


def _require_progress(study: Study) -> None:
    """Stop if almost every trial is given up."""
    given_up, budget = study.given_up, study.plan.budget_ms
    if len(given_up) < LEAST_GIVEN_UP + MOST_GIVEN_UP * study.plan.trials:
        return
    slow = [step for trial in given_up if (step := step_of(trial)) > budget]
    reasons = [
        f"{len(slow)} because their step takes longer than latency.budget_step_ms = {budget:g}, the fastest of them "
        f"{min(slow):.3f} ms: raise it, or let tune.space have smaller networks"
    ] if slow else []  # fmt: skip
    if by_pruner := len(given_up) - len(slow):
        reasons.append(f"{by_pruner} by the pruner: choose a milder one than tune.pruner = {study.plan.pruner}")
    raise PanError(
        f"study {study.plan.name}: {len(study.counted)} trials are complete and {len(given_up)} were given up, {'; '.join(reasons)}",
        code="study.given-up",
    )


def _run_trial(study: Study, worker: Worker, tools: Tools, trial: Trial) -> None:
    """One trial to its end, whatever that is."""
    with worker.take(trial):
        try:
            if _is_not_needed(study, trial.number):
                raise TrialNotNeededError("enough trials are complete or running")
            values = study.plan.space.suggest(trial)
            with tools.open_row(f"trial {trial.number}", values) as row, _record_end(study, trial, row):
                found = _measure(study, tools.objective, trial, values, row)
                row.metrics(found)
                study.optuna.tell(trial, [found[name] for name in study.plan.objectives])
        except TrialNotNeededError:
            bury(study.optuna, study.trial(trial.number))
        except UpdateFinishedTrialError:
            return  # the others took this worker for dead and have buried the trial
        except ValueError:
            if study.trial(trial.number).state == TrialState.FAIL:
                return  # likewise, just before its result was reported
            bury(study.optuna, study.trial(trial.number))
            raise
        except BaseException:
            # If the storage is gone, the error itself reports it, and the other workers bury the trial.
            with suppress(Exception):
                bury(study.optuna, study.trial(trial.number))
            raise


def _measure(study: Study, objective: Objective, trial: Trial, values: Values, row: TrialRow) -> dict[str, float]:
    step_ms = _time_step(study, objective, study.plan.defaults | values)
    trial.set_user_attr(STEP_MS, step_ms)
    trial.set_constraint(STEP_MS, step_ms - study.plan.budget_ms)
    row.metrics({STEP_MS: step_ms})
    if step_ms > study.plan.budget_ms:
        raise TrialGivenUpError(f"a step takes {step_ms:.3f} ms, the budget is {study.plan.budget_ms:g} ms")
    curve: list[float] = []

    def report(epoch: int, figures: dict[str, float]) -> None:
        row.metrics(figures, step=epoch)
        # A training that goes on from its checkpoint reports its last epoch again.
        curve[epoch:] = [figures["val_accuracy"]]
        trial.set_user_attr(CURVE, curve)
        if study.hopeless(trial.number):
            raise TrialGivenUpError(f"{100 * curve[-1]:.1f} % after {epoch + 1} epochs")

    accuracy = objective.accuracy(study.plan.defaults | values, study.plan.seed, report)
    return {ACCURACY: accuracy, STEP_MS: step_ms}


def _time_step(study: Study, objective: Objective, values: Values) -> float:
    """Time of one frame; networks of equal widths are measured once in a study."""
    widths = objective.widths(values)
    known = study.step_time(widths)
    if known is not None:
        return known
    return study.keep_step_time(widths, *objective.step_times(values, study.reference))


@contextmanager
def _record_end(study: Study, trial: Trial, row: TrialRow) -> Iterator[None]:
    """Record in the study and in the row how a trial ended."""
    try:
        yield
        row.tag("pan.trial_state", "COMPLETE")
    except TrialGivenUpError as reason:
        trial.set_user_attr(WHY, str(reason))
        row.tag("pan.trial_state", f"PRUNED: {reason}")
        study.optuna.tell(trial, state=TrialState.PRUNED)
    except BaseException as error:
        row.tag("pan.trial_state", f"FAIL: {type(error).__name__}: {error}"[:250])
        raise


def _is_not_needed(study: Study, number: int) -> bool:
    """Whether trials before this one fill the budget: several workers may have asked at the same moment."""
    # The running ones first: one that ends between the two readings is in both, and not in neither.
    numbers = [trial.number for trials in (study.trials(TrialState.RUNNING), study.counted) for trial in trials]
    before = {each for each in numbers if each < number}
    return len(before) >= study.plan.trials and not study.untried_defaults()
