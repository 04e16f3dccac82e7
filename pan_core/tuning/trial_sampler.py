"""Sampler of a study that several workers share: each trial has a random stream of its own, and one trial the defaults.

The storage gives a number to one trial only, whoever asks. So the stream follows from the seed and the number: no two
trials share one, whatever processes, machines or restarts lie between them, and one worker and ten draw the same values
as long as the sampler does not look at other trials.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from pan_core.params.space import Values


class TrialSampler(BaseSampler):
    """Draws each trial with a sampler that was made for it.

    Args:
        build: Makes a sampler from a seed.
        seed: Seed of the study.
        names: What a trial has values of.
        fixed: Values that a trial takes instead of drawn ones; empty for none.
    """

    def __init__(
        self,
        build: Callable[[int], BaseSampler],
        *,
        seed: int,
        names: Iterable[str],
        fixed: Callable[[FrozenTrial], Values],
    ) -> None:
        self._build, self._seed, self._names, self._fixed_values_of = build, seed, frozenset(names), fixed
        self._sampler, self._fixed = build(seed), Values()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Begin the stream of a trial."""
        # The third word was once the worker; as 0 it keeps the values of studies with one worker.
        stream = np.random.SeedSequence([self._seed, trial.number, 0])
        self._sampler = self._build(int(stream.generate_state(1)[0]))
        self._fixed = self._fixed_values_of(trial)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the trial's sampler has it."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values that are drawn together, or fixed."""
        if self._fixed.keys() >= self._names:
            return {}  # NSGA-II must not count a trial that it has not drawn for one of a generation
        drawn = self._sampler.sample_relative(study, trial, search_space)
        return {name: self._fixed.get(name, value) for name, value in drawn.items()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value that is drawn by itself, or fixed."""
        if param_name in self._fixed:
            return self._fixed[param_name]
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the trial's sampler does."""
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Nothing: a stream depends on the trial only."""
