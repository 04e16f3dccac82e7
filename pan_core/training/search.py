"""Search of hyperparameters with Optuna, on the validation part of the training groups; test is never read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import BaseTrial, Trial, TrialState

Values = dict[str, Any]
Report = Callable[[int, float], None]


def train_values(trial: BaseTrial) -> Values:
    """Values for the training."""
    return {
        "lambda_pose": trial.suggest_float("lambda_pose", 0.3, 3.0, log=True),
        "lambda_joints": trial.suggest_float("lambda_joints", 0.05, 2.0, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 8e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
    }


def network_values(trial: BaseTrial, defaults: Mapping[str, Any]) -> Values:
    """Values for the network; the default is always among the choices."""

    def one_of(name: str, *choices: int) -> Any:
        return trial.suggest_categorical(name, sorted({*choices, defaults[name]}))

    return {
        "hidden": one_of("hidden", 96, 128, 192),
        "joint_heads": one_of("joint_heads", 4, 8),
        "attention_units": one_of("attention_units", 24, 48),
        "dropout": trial.suggest_float("dropout", 0.1, 0.5),
    }


@dataclass(frozen=True)
class Found:
    """Outcome of a study.

    Attributes:
        model: Values for the network.
        train: Values for the training.
        accuracy: Validation accuracy of the winner.
        trials: One row a finished trial: number, accuracy, parameters.
        pruned: Trials that were given up early.
    """

    model: Values
    train: Values
    accuracy: float
    trials: list[Values]
    pruned: int


def search(
    objective: Callable[[Values, Values, Report], float],
    *,
    trials: int,
    defaults: Mapping[str, object],
    storage: Path,
    name: str,
    seed: int,
) -> Found:
    """Run a study until it has `trials` complete trials, going on from those that the storage holds.

    Args:
        objective: Called with (model values, train values, report); returns validation accuracy. It calls
            `report(epoch, accuracy)` after every epoch, which ends the trial where it is hopeless.
        trials: Complete trials wanted; pruned and dead ones do not count.
        defaults: Values of the first trial, by name, so that the study is never worse than they on validation.
        storage: Journal file.
        name: Name of the study; another space or other data need another name.
        seed: Seed of the sampler.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(storage))),
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=5),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=5),
        load_if_exists=True,
    )
    for dead in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(dead.number, state=TrialState.FAIL)
    if not study.trials:
        study.enqueue_trial(dict(defaults))
    while len(_complete(study)) < trials:
        study.optimize(lambda trial: _run(trial, objective, defaults), n_trials=1)
    return _found(study, defaults)


def _run(trial: Trial, objective: Callable[..., float], defaults: Mapping[str, Any]) -> float:
    def report(epoch: int, accuracy: float) -> None:
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    return objective(network_values(trial, defaults), train_values(trial), report)


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _found(study: optuna.Study, defaults: Mapping[str, Any]) -> Found:
    best = study.best_trial
    again = optuna.trial.FixedTrial(best.params)
    return Found(
        model=network_values(again, defaults),
        train=train_values(again),
        accuracy=float(best.value or 0.0),
        trials=[{"number": t.number, "val_accuracy": t.value, **t.params} for t in _complete(study)],
        pruned=len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))),
    )
