"""Stage tune: hyperparameters by Optuna on the validation part; no trials means the values of params.yaml."""

from collections.abc import Callable
from dataclasses import replace

import torch

from pan_core.config import ModelParams, Params, TrainParams
from pan_core.files import sha256_of, write_json
from pan_core.progress import progress_bar
from pan_core.stages import paths
from pan_core.stages.learning import network_settings, read_material, train_settings
from pan_core.tracking import Run
from pan_core.training.fit import fit
from pan_core.training.search import Report, Values, search


def run(params: Params, tracked: Run) -> dict:
    """Write models/tuned.json: what takes the place of params.yaml's values in `train`."""
    if params.tune.trials == 0:
        write_json(paths.TUNED, {"source": "params.yaml", "model": {}, "train": {}})
        return {"trials": 0, "source": "params.yaml"}
    torch.set_num_threads(params.train.threads)
    study = f"{params.fingerprint()}-{sha256_of(paths.VALID / 'clips.parquet')[:8]}"
    with progress_bar("tune", "trial") as update:
        found = search(
            _Objective(params, update),
            trials=params.tune.trials,
            defaults=params.model.model_dump() | params.train.model_dump(),
            storage=paths.cache() / "tune" / "journal.log",
            name=study,
            seed=params.seed,
        )
    write_json(paths.TUNED, {"source": f"study {study}", "model": found.model, "train": found.train})
    for row in found.trials:
        tracked.metrics({"trial_val_accuracy": row["val_accuracy"]}, step=row["number"])
    return {
        "trials": len(found.trials),
        "pruned": found.pruned,
        "source": f"study {study}",
        "val_accuracy": found.accuracy,
        "winner": found.model | found.train,
        "history": found.trials,
    }


class _Objective:
    """Validation accuracy of the first mode on the first split."""

    def __init__(self, params: Params, update: Callable[[int, int], None]) -> None:
        self.params, self.update, self.done = params, update, 0
        material = read_material()
        mode, split = params.train.modes[0], params.split.splits[0]
        self.train = material.samples(params.model, mode=mode, split=split, part="train")
        self.val = material.samples(params.model, mode=mode, split=split, part="val")

    def __call__(self, model: Values, train: Values, report: Report) -> float:
        params = self.params
        network = ModelParams.model_validate(params.model.model_dump() | model)
        settings = train_settings(TrainParams.model_validate(params.train.model_dump() | train))
        checkpoint = paths.cache() / "tune" / "trial.pt"
        checkpoint.unlink(missing_ok=True)
        try:
            result = fit(
                self.train,
                self.val,
                settings=replace(settings, epochs=params.tune.epochs, least_steps=0),
                model_settings=network_settings(network),
                checkpoint=checkpoint,
                seed=params.seed,
                log=lambda epoch, row: report(epoch, row["val_accuracy"]),
            )
        finally:
            self.done += 1
            self.update(self.done, max(self.done, params.tune.trials))
        return result.val_accuracy
