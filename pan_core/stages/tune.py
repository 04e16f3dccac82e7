"""Stage tune: hyperparameters by Optuna on the validation part; no trials means the values of params.yaml.

Test is never read: clips of the test part are left out before anything is made of them.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FrozenTrial, TrialState

from pan_core.code_identity import code_hash
from pan_core.errors import PanError
from pan_core.evaluation.class_parts import require_classes
from pan_core.files import cache_folder, write_json
from pan_core.params.load import Params
from pan_core.params.space import Values
from pan_core.tracking.tracker import Run, Tracker
from pan_core.training.checkpoint import fingerprint
from pan_core.training.samples import Samples
from pan_core.tuning.coordination import run_study
from pan_core.tuning.objective import Trainer, TrialSettings
from pan_core.tuning.plan import Plan
from pan_core.tuning.search import Tools, repeat, search
from pan_core.tuning.storage import open_storage, place, readable_errors
from pan_core.tuning.study import CURVE, Leader, Study, step_of
from pan_core.tuning.study_plots import importance, study_pictures
from pan_core.tuning.workers import Worker
from pan_core.workspace import paths
from pan_core.workspace.context import workers
from pan_core.workspace.dvc_figures import write_trials
from pan_core.workspace.training_data import TrainingData, network_settings, read_training_data, train_settings

ROW = "mlflow_run_id"
# Settings of a full training, or of how it is run; a trial does not depend on them.
NOT_IN_TRIALS = ("train.modes", "train.epochs", "train.least_steps", "train.threads", "train.device")


def run(params: Params, tracked: Run) -> dict:
    """Write models/tuned.json: what takes the place of params.yaml's values in `train`."""
    if params.tune.trials == 0:
        write_json(paths.TUNED, {"source": "params.yaml", "values": {}})
        write_trials([], [])
        return {"trials": 0, "source": "params.yaml", "values": _origins(params, {}, "")}
    with readable_errors(journal()):
        study = _read_study_data(params).study
        row = _study_row(study, params, tracked)
        # Handed on as they are: params.yaml may be edited while this goes on.
        written = params.model_dump_json(by_alias=True)
        run_study(
            study,
            search_job=partial(_search_here, written),
            repeat_job=partial(_repeat_here, written),
            workers=workers(params),
        )
        if not (judged := study.judged()):
            raise PanError(
                f"study {study.plan.name}: no complete trial is within latency.budget_step_ms = {study.plan.budget_ms:g}",
                code="tune.no-trial-in-budget",
            )
        source = f"study {study.plan.name}, trial {judged[0].number}"
        found = study.trial(judged[0].number).params
        write_json(paths.TUNED, {"source": source, "values": found})
        _log_study(study, row, tracked)
        figures = _collect_figures(study, judged, source)
        history = [_describe_trial(study, trial) for trial in study.trials(TrialState.COMPLETE, TrialState.PRUNED)]
        write_trials([trial for trial in history if trial["state"] == TrialState.COMPLETE.name], figures["front"])
        values = _origins(params, found, source)
        return figures | {"study_run_id": row.run_id, "values": values, "history": history}


def _log_study(study: Study, row: Run, tracked: Run) -> None:
    """Pictures of the study for its own row and the stage's, which may be the same one."""
    for name, picture in study_pictures(study).items():
        for run in {run.run_id: run for run in (row, tracked)}.values():
            run.text(picture.svg, f"{name}.svg")
    tracked.tag("pan.study", study.plan.name)
    tracked.tag("pan.study_run", row.run_id)


def _collect_figures(study: Study, judged: Sequence[Leader], source: str) -> dict[str, Any]:
    winner = judged[0]
    return {
        "trials": len(study.complete),
        "pruned": len(study.trials(TrialState.PRUNED)),
        "failed": len(study.trials(TrialState.FAIL)),
        "source": source,
        "storage": place(journal()),
        "val_accuracy": winner.accuracy,
        "step_ms": winner.step_ms,
        "defaults_compared": any(leader.is_default for leader in judged),
        "leaders": [_describe_leader(leader) for leader in judged],
        "front": [trial.number for trial in study.front()],
        "importance": importance(study),
    }


def join(params: Params) -> str:
    """Work on the study of this workspace as one more process, until no more trials are wanted.

    Returns:
        What was done, in a line.
    """
    with readable_errors(journal()):
        study = _search(params, _read_study_data(params))
        return (
            f"study {study.plan.name}: {len(study.counted)} trials are complete; "
            "`pan tune` or `dvc repro` trains the leaders again and names the winner"
        )


def journal() -> Path:
    """The file of studies, unless PAN_OPTUNA_STORAGE names a database."""
    return cache_folder() / "tune" / "journal.log"


def open_study(params: Params) -> Study:
    """The study of the workspace as it stands.

    Raises:
        PanError: If it has not begun.
    """
    with readable_errors(journal()):
        return _read_study_data(params, create=False).study


@dataclass(frozen=True)
class StudyData:
    """A study and the clips that it rests on.

    Attributes:
        study: The study.
        train: Samples that every trial learns from.
        val: Samples that judge it.
    """

    study: Study
    train: Samples
    val: Samples


def _read_study_data(params: Params, *, create: bool = True) -> StudyData:
    split = params.split.splits[0]
    data = without_test(read_training_data(), split)
    require_classes(data.clips, f"split{split}", parts=("train", "val"))
    train, val = (
        data.samples(params.model, mode=params.tune.mode, split=split, part=part) for part in ("train", "val")
    )
    return StudyData(Study(_plan(params, train, val), open_storage(journal()), create=create), train, val)


def without_test(data: TrainingData, split: int) -> TrainingData:
    """The clips that a split trains and validates on, with their segments."""
    clips = data.clips[data.clips[f"split{split}"].isin(["train", "val"])]
    return replace(data, clips=clips, segments=data.segments[data.segments["clip_id"].isin(clips["clip_id"])])


def _plan(params: Params, train: Samples, val: Samples) -> Plan:
    space, flat = params.search_space(), params.flat()
    # What a trial rests on besides the values that are searched.
    fixed = {
        name: value
        for name, value in flat.items()
        if name.startswith(("model.", "train.")) and name not in space.entries and name not in NOT_IN_TRIALS
    }
    length = {"tune.epochs": params.tune.epochs, "tune.mode": params.tune.mode, "seed": params.seed}
    rests_on = {
        "data": fingerprint(train, val)[:16],
        "code": code_hash("model", "training", "pose/main_person.py", "tuning/objective.py", "skeletons.py"),
        **{name: str(value) for name, value in {**fixed, **length}.items()},
    }
    plan = make_plan(params, name=params.tune.study, rests_on=rests_on)
    return plan if plan.name else replace(plan, name=f"{params.dataset}-{fingerprint(plan.stored)[:8]}")


def make_plan(params: Params, *, name: str, rests_on: Mapping[str, str]) -> Plan:
    """What params.yaml asks to be searched, under a name; `rests_on` as in `Plan`."""
    space, flat = params.search_space(), params.flat()
    return Plan(
        name=name,
        space=space,
        defaults={name: flat[name] for name in space},  # type: ignore[misc]
        trials=params.tune.trials,
        objectives=params.tune.objectives,
        budget_ms=params.latency.budget_step_ms,
        sampler=params.tune.sampler,
        pruner=params.tune.pruner,
        leaders=params.tune.leaders,
        repeats=params.tune.repeats,
        epochs=params.tune.epochs,
        seed=params.seed,
        rests_on=rests_on,
    )


def _study_row(study: Study, params: Params, tracked: Run) -> Run:
    """The row that all trials of the study stand below: that of the stage that began it, where the store still has it."""
    kept = study.optuna.user_attrs.get(ROW)
    if kept is not None and (found := Tracker(params.dataset).run(kept)) is not None:
        return found
    study.optuna.set_user_attr(ROW, tracked.run_id)
    return tracked


@cache
def _open_once(written: str) -> tuple[Params, StudyData]:
    """Parameters and study of a worker process, opened once."""
    params = Params.model_validate_json(written)
    return params, _read_study_data(params)


def _search_here(written: str) -> None:
    with readable_errors(journal()):
        params, study_data = _open_once(written)
        _search(params, study_data)


def _search(params: Params, study_data: StudyData) -> Study:
    with tempfile.TemporaryDirectory() as scratch, Worker(journal().parent / "workers") as worker:
        search(study_data.study, worker, _tools(params, study_data, Path(scratch)))
    return study_data.study


def _repeat_here(written: str, number: int, seed: int) -> None:
    params, study_data = _open_once(written)
    with readable_errors(journal()), tempfile.TemporaryDirectory() as scratch:
        repeat(study_data.study, number, seed, _tools(params, study_data, Path(scratch)))


def _tools(params: Params, study_data: StudyData, scratch: Path) -> Tools:
    torch.set_num_threads(params.train.threads)
    tracker = Tracker(params.dataset)
    parent = study_data.study.optuna.user_attrs.get(ROW)
    if parent is None:
        parent = tracker.open_stage("tune", fingerprint=params.fingerprint(), params=params.flat()).run_id
        study_data.study.optuna.set_user_attr(ROW, parent)

    def open_row(name: str, values: Values) -> AbstractContextManager[Run]:
        return tracker.nested(parent, name, params=values)

    trainer = Trainer(study_data.train, study_data.val, partial(trial_settings, params), scratch)
    return Tools(trainer, open_row, partial(tracker.give_up, parent))


def trial_settings(params: Params, values: Values) -> TrialSettings:
    """Network and training of a trial: params.yaml's, with the values of the trial, at the length of a trial."""
    model, train = params.varied(values)
    training = replace(train_settings(train), epochs=params.tune.epochs, least_steps=0)
    return TrialSettings(network_settings(model), training)


def _origins(params: Params, found: Mapping[str, Any], source: str) -> dict[str, dict[str, Any]]:
    """Every value of network and training, and where it came from."""
    written = {
        f"{part}.{name}"
        for part, section in (("model", params.model), ("train", params.train), ("train.augmentation", params.train.augmentation))
        for name in section.model_fields_set
    }  # fmt: skip
    return {
        name: {"value": found.get(name, value), "from": source if name in found else "params.yaml" if name in written else "default"}
        for name, value in params.flat().items()
        if name.startswith(("model.", "train."))
    }  # fmt: skip


def _describe_leader(leader: Leader) -> dict[str, Any]:
    return {
        "trial": leader.number,
        "val_accuracy": leader.accuracy,
        "val_accuracies": list(leader.accuracies),
        "step_ms": leader.step_ms,
        "is_default": leader.is_default,
    }


def _describe_trial(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    complete = trial.state == TrialState.COMPLETE
    curve = trial.user_attrs.get(CURVE, [])
    return {
        "trial": trial.number,
        "state": trial.state.name,
        "val_accuracy": study.accuracy(trial) if complete else (curve[-1] if curve else None),
        "epochs": len(curve),
        "step_ms": step_of(trial),
        **trial.params,
    }
