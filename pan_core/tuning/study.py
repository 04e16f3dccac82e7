"""A study: its plan, its trials, its front, its leaders and its winner."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from pan_core.errors import ConfigError, PanError
from pan_core.params.space import Space, Values

ACCURACY, STEP_MS = "accuracy", "step_ms"
OBJECTIVES = {ACCURACY: StudyDirection.MAXIMIZE, STEP_MS: StudyDirection.MINIMIZE}
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, group=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=12),
}
# Given a third of a trial's epochs. Asked after every epoch, a median would let one trial in ten through, whatever the sampler.
PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "median": lambda third: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=third, interval_steps=third),
    "quarter": lambda third: optuna.pruners.PercentilePruner(
        75.0,  # Optuna's percentile is the share that goes on
        n_startup_trials=4,
        n_warmup_steps=third,
        interval_steps=third,
    ),
    "halving": lambda third: optuna.pruners.SuccessiveHalvingPruner(min_resource=third + 1, reduction_factor=2),
    "none": lambda third: optuna.pruners.NopPruner(),
}
CURVE, WHY = "curve", "why"
_PLAN, _REFERENCE, _REFERENCE_MS = "plan", "reference", "reference_ms"


@dataclass(frozen=True)
class Plan:
    """What a study searches, and how.

    Attributes:
        name: Name of the study in its storage.
        space: What is varied.
        defaults: Values of params.yaml by full name; the first trial, as far as the space holds them.
        trials: Complete trials wanted; pruned and dead ones do not count.
        objectives: "accuracy", or with "step_ms" beside it.
        budget_ms: Slowest step that may win; slower trials are not trained.
        sampler: One of `SAMPLERS`.
        pruner: One of `PRUNERS`.
        leaders: Best trials that are trained again before one is named.
        repeats: Fresh seeds for each of them.
        epochs: Length of a trial.
        seed: Of the sampler, and of every trial's training.
        rests_on: What must not change within a study besides space, objectives, sampler and pruner: data, code, settings.
    """

    name: str
    space: Space
    defaults: Values
    trials: int
    objectives: Sequence[str]
    budget_ms: float
    sampler: str
    pruner: str
    leaders: int
    repeats: int
    epochs: int
    seed: int
    rests_on: Mapping[str, str]

    @property
    def stored(self) -> dict[str, str]:
        """What is kept with the study, to tell whether it is this plan's."""
        return {
            "space": json.dumps(self.space.as_dict(), sort_keys=True),
            "objectives": ", ".join(self.objectives),
            "sampler": self.sampler,
            "pruner": self.pruner,
            **self.rests_on,
        }


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
        create: Whether it is made where it does not exist.

    Raises:
        ConfigError: Where a study of that name searches another space, or rests on other data or settings.
        PanError: Where it does not exist and is not to be made.
    """

    def __init__(self, plan: Plan, storage: BaseStorage, *, create: bool = True) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        self.plan = plan
        directions = [OBJECTIVES[name] for name in plan.objectives]
        if not create and plan.name not in optuna.get_all_study_names(storage):
            raise PanError(f"study {plan.name}: has not begun; `pan tune` or `dvc repro tune` begins it")
        # Two that begin it at once make one study.
        with suppress(DuplicatedStudyError):
            optuna.create_study(study_name=plan.name, storage=storage, directions=directions)
        self.optuna = optuna.load_study(study_name=plan.name, storage=storage)
        stored = self.optuna.user_attrs.get(_PLAN)
        if stored is None:
            self.optuna.set_metric_names(list(plan.objectives))
            self.optuna.set_user_attr(_REFERENCE, plan.defaults)
            self.optuna.set_user_attr(_PLAN, plan.stored)
        _require_same(plan, stored or plan.stored)

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

    def seeded(self, mark: int) -> None:
        """Give the sampler a seed that depends on how many trials there are, so that a study that was stopped goes on alike.

        Args:
            mark: Tells workers apart, two of which may ask at the same moment; 0 for a worker that is alone.
        """
        seed = np.random.SeedSequence([self.plan.seed, len(self.trials()), mark]).generate_state(1)[0]
        self.optuna.sampler = SAMPLERS[self.plan.sampler](int(seed))

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


def _require_same(plan: Plan, stored: Mapping[str, str]) -> None:
    changed = [name for name in {**plan.stored, **stored} if plan.stored.get(name) != stored.get(name)]
    if changed:
        raise ConfigError(
            f"tune.study {plan.name!r}",
            [
                *(f"{name}: the study has {stored.get(name)}, but now it is {plan.stored.get(name)}" for name in changed),
                "give the new study another name, or leave tune.study empty for a name of its own",
            ],
        )  # fmt: skip
