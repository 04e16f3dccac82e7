"""A study in its storage: its trials, its front, its leaders and its winner."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from pan_core.errors import PanError
from pan_core.params.space import Values
from pan_core.tuning.plan import ACCURACY, OBJECTIVES, PRUNERS, SAMPLERS, STEP_MS, Plan
from pan_core.tuning.trial_sampler import TrialSampler

CURVE, WHY = "curve", "why"
_PLAN, _REFERENCE, _REFERENCE_MS = "plan", "reference", "reference_ms"


@dataclass(frozen=True)
class Leader:
    """A trial that was trained again with fresh seeds.

    Attributes:
        number: The trial.
        accuracies: Validation accuracy with each seed.
        step_ms: Time of one frame.
        is_default: Whether it has the values of params.yaml.
    """

    number: int
    accuracies: tuple[float, ...]
    step_ms: float
    is_default: bool

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.accuracies))


class Study:
    """A study in its storage.

    Args:
        plan: What it searches.
        storage: Where it lies.
        create: Whether a missing study is created.

    Raises:
        ConfigError: If a study of that name searches another space, or rests on other data or settings.
        PanError: If it does not exist and `create` is false.
    """

    def __init__(self, plan: Plan, storage: BaseStorage, *, create: bool = True) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        self.plan = plan
        directions = [OBJECTIVES[name] for name in plan.objectives]
        if not create and plan.name not in optuna.get_all_study_names(storage):
            raise PanError(
                f"study {plan.name}: has not begun; `pan tune` or `dvc repro tune` begins it", code="study.missing"
            )
        # Two that begin it at once make one study.
        with suppress(DuplicatedStudyError):
            optuna.create_study(study_name=plan.name, storage=storage, directions=directions)
        sampler = TrialSampler(SAMPLERS[plan.sampler], seed=plan.seed, names=plan.space, fixed=self._defaults_for)
        self.optuna = optuna.load_study(study_name=plan.name, storage=storage, sampler=sampler)
        stored = self.optuna.user_attrs.get(_PLAN)
        if stored is None:
            self.optuna.set_metric_names(list(plan.objectives))
            self.optuna.set_user_attr(_REFERENCE, plan.defaults)
            self.optuna.set_user_attr(_PLAN, plan.stored)
        plan.require_same(stored or plan.stored)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in some states, all where none is named."""
        return self.optuna.get_trials(deepcopy=False, states=states or None)

    def trial(self, number: int) -> FrozenTrial:
        """A trial as it stands."""
        return self.trials()[number]

    @property
    def complete(self) -> list[FrozenTrial]:
        """Trials that ran to their end."""
        return self.trials(TrialState.COMPLETE)

    @property
    def counted(self) -> list[FrozenTrial]:
        """Complete trials within the budget, which may have been lowered since: those that were asked for."""
        return [trial for trial in self.complete if step_of(trial) <= self.plan.budget_ms]

    @property
    def given_up(self) -> list[FrozenTrial]:
        """Trials that were given up for a reason that still stands: the budget may have been raised since."""
        return [t for t in self.trials(TrialState.PRUNED) if CURVE in t.user_attrs or step_of(t) > self.plan.budget_ms]

    @property
    def reference(self) -> Values:
        """Values whose network all others are timed beside: those of params.yaml when the study began."""
        return self.optuna.user_attrs[_REFERENCE]

    def step_time(self, widths: str) -> float | None:
        """Time of one frame with a network of these widths, in ms; None where it has not been measured."""
        return self.optuna.user_attrs.get(f"step-{widths}")

    def keep_step_time(self, widths: str, ms: float, reference_ms: float) -> float:
        """Write down a network's time, measured beside the reference's.

        Returns:
            The time at the speed of the machine that was the first to measure: so the scale is one for all workers,
            however fast or busy their machines.
        """
        if _REFERENCE_MS not in self.optuna.user_attrs:
            self.optuna.set_user_attr(_REFERENCE_MS, reference_ms)
        found = ms / reference_ms * self.optuna.user_attrs[_REFERENCE_MS]
        self.optuna.set_user_attr(f"step-{widths}", found)
        return found

    def is_default(self, trial: FrozenTrial) -> bool:
        """Whether a trial has the values of params.yaml."""
        return trial.params == self.plan.defaults

    def untried_defaults(self) -> Values:
        """Values of params.yaml, as far as the space holds them, where no trial has or had them; else nothing."""
        inside = self.plan.space.inside(self.plan.defaults)
        tried = [*self.trials(TrialState.COMPLETE, TrialState.RUNNING), *self.given_up]
        return {} if any(inside.items() <= trial.params.items() for trial in tried) else inside

    def _defaults_for(self, trial: FrozenTrial) -> Values:
        """Untried values of params.yaml, if they are for this trial: of trials without values yet, for the first one."""
        values = self.untried_defaults()
        others = (each for each in self.trials(TrialState.RUNNING) if each.number < trial.number)
        # Of an earlier trial that has not all its values yet, these may become the defaults.
        open_ones = (each for each in others if len(each.params) < len(self.plan.space.entries))
        return {} if any(each.params.items() <= values.items() for each in open_ones) else values

    def accuracy(self, trial: FrozenTrial) -> float:
        """Validation accuracy at the end of a complete trial."""
        return float(trial.values[list(self.plan.objectives).index(ACCURACY)])

    def front(self) -> list[FrozenTrial]:
        """Complete trials that no other beats in accuracy and step time at once, the most accurate first."""
        best: list[FrozenTrial] = []
        for trial in sorted(self.complete, key=lambda trial: (-self.accuracy(trial), step_of(trial), trial.number)):
            if all(step_of(trial) < step_of(other) for other in best):
                best.append(trial)
        return best

    def leaders(self) -> list[FrozenTrial]:
        """The most accurate trials within the budget, and the defaults, which any winner has to beat."""
        ranked = sorted(self.counted, key=lambda trial: (-self.accuracy(trial), step_of(trial), trial.number))
        chosen: list[FrozenTrial] = []
        for trial in ranked:
            if len(chosen) < self.plan.leaders and all(trial.params != other.params for other in chosen):
                chosen.append(trial)
        if not any(self.is_default(trial) for trial in chosen):
            chosen += [trial for trial in ranked if self.is_default(trial)][:1]
        return chosen

    def repeat_seeds(self) -> list[int]:
        """Seeds of the leaders' repeats; that of the search is not among them, since its luck chose them."""
        return [self.plan.seed + 1 + number for number in range(self.plan.repeats)]

    def repeated(self, number: int, seed: int) -> float | None:
        """Accuracy of a leader's repeat, None while it has not run."""
        return self.optuna.user_attrs.get(f"repeat-{number}-{seed}")

    def keep_repeat(self, number: int, seed: int, accuracy: float) -> None:
        """Write down a leader's repeat."""
        self.optuna.set_user_attr(f"repeat-{number}-{seed}", accuracy)

    def missing_repeats(self) -> list[tuple[int, int]]:
        """Trial and seed of each repeat of a leader that has not run."""
        return [
            (trial.number, seed)
            for trial in self.leaders()
            for seed in self.repeat_seeds()
            if self.repeated(trial.number, seed) is None
        ]

    def judged(self) -> list[Leader]:
        """Leaders with all their repeats, the winner first: most accurate on average, then the faster one."""
        judged = []
        for trial in self.leaders():
            found = [self.repeated(trial.number, seed) for seed in self.repeat_seeds()]
            accuracies = tuple(value for value in found if value is not None)
            if len(accuracies) == len(found):
                judged.append(Leader(trial.number, accuracies, step_of(trial), self.is_default(trial)))
        return sorted(judged, key=lambda leader: (-leader.accuracy, leader.step_ms, leader.number))

    @cached_property
    def _pruner(self) -> BasePruner:
        return PRUNERS[self.plan.pruner](max(1, self.plan.epochs // 3))

    def hopeless(self, number: int) -> bool:
        """Whether the pruner gives a running trial up, by its validation accuracy so far.

        It is compared with all trials that came as far, given up or not: among complete ones alone, each of which has beaten
        those before, the bar would only rise. The values of params.yaml are never given up, and nor is a trial at its
        end, which has cost all it can.
        """
        trial = self.trial(number)
        if self.is_default(trial) or len(trial.user_attrs.get(CURVE, ())) >= self.plan.epochs:
            return False
        by_accuracy = self.by_accuracy(given_up_count=True)
        return self._pruner.prune(by_accuracy, by_accuracy.trials[number])

    def by_accuracy(self, *, given_up_count: bool = False) -> optuna.Study:
        """A copy with accuracy as the one objective and its curve as intermediate values.

        Optuna prunes studies of one objective only.

        Args:
            given_up_count: Trials that were given up stand as complete ones, with the accuracy that they had by then.
        """
        copy = optuna.create_study(direction=OBJECTIVES[ACCURACY], study_name=self.plan.name)
        for trial in self.trials():
            curve = dict(enumerate(trial.user_attrs.get(CURVE, ())))
            state, value = trial.state, self.accuracy(trial) if trial.state == TrialState.COMPLETE else None
            if given_up_count and state == TrialState.PRUNED and curve:
                state, value = TrialState.COMPLETE, curve[max(curve)]
            copy.add_trial(
                create_trial(
                    state=state, value=value, params=trial.params, distributions=trial.distributions,
                    intermediate_values=curve, user_attrs=trial.user_attrs,
                )
            )  # fmt: skip
        return copy


def step_of(trial: FrozenTrial) -> float:
    """Time of one frame with a trial's network, in ms."""
    return float(trial.user_attrs[STEP_MS])
