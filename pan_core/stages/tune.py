"""Stage tune: hyperparameters by Optuna on the validation part; no trials means the values of params.yaml.

Test is never read: material of the test part is left out before anything is made of it.
"""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from pan_core.errors import PanError
from pan_core.files import cache_folder, code_hash, write_json
from pan_core.params.load import Params
from pan_core.params.space import Values
from pan_core.tracking.tracker import Run, Tracker
from pan_core.training.checkpoint import fingerprint
from pan_core.training.samples import Samples
from pan_core.tuning.objective import Trainer, TrialSettings
from pan_core.tuning.plan import Plan
from pan_core.tuning.search import Tools, repeat, search, still_wanted
from pan_core.tuning.storage import open_storage, place, readable_errors
from pan_core.tuning.study import CURVE, Leader, Study, step_of
from pan_core.tuning.study_plots import importance, study_pictures
from pan_core.tuning.workers import Worker
from pan_core.workers.pool import run_jobs
from pan_core.workspace import paths
from pan_core.workspace.context import workers
from pan_core.workspace.training_data import TrainingData, network_settings, read_material, train_settings

ROW = "mlflow_run_id"
# Settings of a full training, or of how it is run; a trial does not depend on them.
NO_PART = ("train.modes", "train.epochs", "train.least_steps", "train.threads", "train.device")


def run(params: Params, tracked: Run) -> dict:
    """Write models/tuned.json: what takes the place of params.yaml's values in `train`."""
    if params.tune.trials == 0:
        write_json(paths.TUNED, {"source": "params.yaml", "values": {}})
        return {"trials": 0, "source": "params.yaml", "values": _origins(params, {}, "")}
    with readable_errors(journal()):
        study = _bench(params).study
        row = _row_of(study, params, tracked)
        _work_together(params, study)
        if not (judged := study.judged()):
            raise PanError(
                f"study {study.plan.name}: no complete trial is within latency.budget_step_ms = {study.plan.budget_ms:g}"
            )
        winner = judged[0]
        source = f"study {study.plan.name}, trial {winner.number}"
        found = study.trial(winner.number).params
        write_json(paths.TUNED, {"source": source, "values": found})
        for name, picture in study_pictures(study).items():
            for each in {run.run_id: run for run in (row, tracked)}.values():
                each.text(picture.svg, f"{name}.svg")
        tracked.tag("pan.study", study.plan.name)
        tracked.tag("pan.study_run", row.run_id)
        return {
            "trials": len(study.complete),
            "pruned": len(study.trials(TrialState.PRUNED)),
            "failed": len(study.trials(TrialState.FAIL)),
            "source": source,
            "storage": place(journal()),
            "study_run_id": row.run_id,
            "val_accuracy": winner.accuracy,
            "step_ms": winner.step_ms,
            "defaults_compared": any(leader.is_default for leader in judged),
            "leaders": [_leader(leader) for leader in judged],
            "front": [trial.number for trial in study.front()],
            "importance": importance(study),
            "values": _origins(params, found, source),
            "history": [_row(study, trial) for trial in study.trials(TrialState.COMPLETE, TrialState.PRUNED)],
        }


def join(params: Params) -> str:
    """Work on the study of this workspace as one more process, until no more trials are wanted.

    Returns:
        What was done, in a line.
    """
    with readable_errors(journal()):
        study = _search(params, _bench(params), alone=False)
        return (
            f"study {study.plan.name}: {len(study.counted)} trials are complete; "
            "`pan tune` or `dvc repro` trains the leaders again and names the winner"
        )


def journal() -> Path:
    """The file of studies, where PAN_OPTUNA_STORAGE names no database."""
    return cache_folder() / "tune" / "journal.log"


def open_study(params: Params) -> Study:
    """The study of the workspace as it stands.

    Raises:
        PanError: Where it has not begun.
    """
    with readable_errors(journal()):
        return _bench(params, create=False).study


@dataclass(frozen=True)
class _Bench:
    """A study and the clips that it rests on."""

    study: Study
    train: Samples
    val: Samples


def _bench(params: Params, *, create: bool = True) -> _Bench:
    split = params.split.splits[0]
    material = without_test(read_material(), split)
    train, val = (
        material.samples(params.model, mode=params.tune.mode, split=split, part=part) for part in ("train", "val")
    )
    return _Bench(Study(_plan(params, train, val), open_storage(journal()), create=create), train, val)


def without_test(material: TrainingData, split: int) -> TrainingData:
    """The clips that a split trains and validates on, with their segments."""
    clips = material.clips[material.clips[f"split{split}"].isin(["train", "val"])]
    return replace(
        material, clips=clips, segments=material.segments[material.segments["clip_id"].isin(clips["clip_id"])]
    )


def _plan(params: Params, train: Samples, val: Samples) -> Plan:
    space, flat = params.search_space(), params.flat()
    # What a trial rests on besides the values that are searched.
    fixed = {
        name: value
        for name, value in flat.items()
        if name.startswith(("model.", "train.")) and name not in space.entries and name not in NO_PART
    }
    length = {"tune.epochs": params.tune.epochs, "tune.mode": params.tune.mode, "seed": params.seed}
    rests_on = {
        "data": fingerprint(train, val)[:16],
        "code": code_hash("model", "training", "tuning/objective.py", "skeletons.py"),
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


def _row_of(study: Study, params: Params, tracked: Run) -> Run:
    """The row that all trials of the study stand below: that of the stage that began it, where the store still has it."""
    kept = study.optuna.user_attrs.get(ROW)
    if kept is not None and (found := Tracker(params.dataset).run(kept)) is not None:
        return found
    study.optuna.set_user_attr(ROW, tracked.run_id)
    return tracked


def _work_together(params: Params, study: Study) -> None:
    """Workers on the trials, then on the leaders' repeats; both go on where they were."""
    missing: list[tuple[int, int]] = []
    with tqdm(total=study.plan.trials, desc="tune", unit="trial", dynamic_ncols=True) as bar:
        # Handed on as they are: params.yaml may be edited while this goes on.
        written = params.model_dump_json(by_alias=True)

        def trials() -> list[Callable[[], object]]:
            # A trial that still runs, or whose worker died in it, is for a worker to wait for or to mark.
            idle = not still_wanted(study) and not study.trials(TrialState.RUNNING)
            return [] if idle else [partial(_search_here, written)] * workers(params)

        def repeats() -> list[Callable[[], object]]:
            _show_trials(study, bar)
            missing.extend(study.missing_repeats())
            bar.set_description("leaders again", refresh=False)
            bar.set_postfix_str("", refresh=False)
            bar.unit = "training"
            bar.reset(total=len(missing))
            return [partial(_repeat_here, written, number, seed) for number, seed in missing]

        def tick() -> None:
            if missing:
                _count(bar, len(missing) - len(study.missing_repeats()))
            else:
                _show_trials(study, bar)

        run_jobs((trials, repeats), workers=workers(params), tick=tick)


def _show_trials(study: Study, bar: tqdm) -> None:
    done = study.counted
    if done:
        best = max(study.accuracy(trial) for trial in done)
        given_up = len(study.trials(TrialState.PRUNED))
        bar.set_postfix_str(f"best {100 * best:.1f} %, {given_up} given up", refresh=False)
    _count(bar, len(done))


def _count(bar: tqdm, done: int) -> None:
    if done != bar.n:
        bar.update(done - bar.n)


@cache
def _here(written: str) -> tuple[Params, _Bench]:
    """Parameters and study of a worker process, opened once."""
    params = Params.model_validate_json(written)
    return params, _bench(params)


def _search_here(written: str) -> None:
    with readable_errors(journal()):
        params, bench = _here(written)
        _search(params, bench, alone=workers(params) == 1)


def _search(params: Params, bench: _Bench, *, alone: bool) -> Study:
    with tempfile.TemporaryDirectory() as scratch, Worker(journal().parent / "workers") as worker:
        search(bench.study, worker, _tools(params, bench, Path(scratch)), alone=alone)
    return bench.study


def _repeat_here(written: str, number: int, seed: int) -> None:
    params, bench = _here(written)
    with readable_errors(journal()), tempfile.TemporaryDirectory() as scratch:
        repeat(bench.study, number, seed, _tools(params, bench, Path(scratch)))


def _tools(params: Params, bench: _Bench, scratch: Path) -> Tools:
    torch.set_num_threads(params.train.threads)
    tracker = Tracker(params.dataset)
    parent = bench.study.optuna.user_attrs.get(ROW)
    if parent is None:
        parent = tracker.open_stage("tune", fingerprint=params.fingerprint(), params=params.flat()).run_id
        bench.study.optuna.set_user_attr(ROW, parent)

    def open_row(name: str, values: Values) -> AbstractContextManager[Run]:
        return tracker.nested(parent, name, params=values)

    trainer = Trainer(bench.train, bench.val, partial(trial_settings, params), scratch)
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


def _leader(leader: Leader) -> dict[str, Any]:
    return {
        "trial": leader.number,
        "val_accuracy": leader.accuracy,
        "val_accuracies": list(leader.accuracies),
        "step_ms": leader.step_ms,
        "is_default": leader.is_default,
    }


def _row(study: Study, trial: FrozenTrial) -> dict[str, Any]:
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
