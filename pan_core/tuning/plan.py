"""What a study searches and how: space, objectives, samplers, pruners."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

from pan_core.errors import ConfigError
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

    def require_same(self, stored: Mapping[str, str]) -> None:
        """Refuse a stored study that searches something else.

        Args:
            stored: What is kept with the study.

        Raises:
            ConfigError: With every difference.
        """
        changed = [name for name in {**self.stored, **stored} if self.stored.get(name) != stored.get(name)]
        if changed:
            raise ConfigError(
                f"tune.study {self.name!r}",
                [
                    *(
                        f"{name}: the study has {stored.get(name)}, but now it is {self.stored.get(name)}"
                        for name in changed
                    ),
                    "give the new study another name, or leave tune.study empty for a name of its own",
                ],
                code="study.other-plan",
            )
