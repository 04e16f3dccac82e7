"""What `dvc metrics`, `dvc plots` and the columns of `dvc exp show` have of a run: few figures of a stage, tables behind its curves.

dvc.yaml names these files under `metrics` and `plots`. Everything else about a stage is in `reports/<stage>.json`.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from pan_core.evaluation import metrics
from pan_core.evaluation.split_predictions import SplitPredictions
from pan_core.files import replace_folder, write_json
from pan_core.workspace import paths

METRICS = {
    "pose": ("pck", "pck_0_05", "joints_found", "without_poses"),
    "evaluate": (
        *("test_accuracy_clip", "test_accuracy_online", "mean_class_accuracy_clip", "mean_class_accuracy_online"),
        *("frame_accuracy_clip", "frame_accuracy_online", "test_share_without_people"),
    ),
    "latency": ("step_p50_ms", "step_p90_ms", "frame_p50_ms", "frame_p90_ms"),
}
"""Stages with metrics, and the keys of their results that are among them, if a run has them."""
CURVES, CONFUSION, OBSERVED, CALIBRATION, TRIALS = "training", "confusion", "observed", "calibration", "tuning"
"""Folders of tables for plots; a folder may be empty, as DVC wants to know its outputs before a stage runs."""


def write_metrics(stage: str, figures: Mapping[str, object]) -> None:
    """Write the metrics of a stage, if it has any."""
    if names := METRICS.get(stage):
        write_json(paths.metrics(stage), {name: figures[name] for name in names if figures.get(name) is not None})


def write_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Write the history of each network, one row an epoch, by the network's name."""
    folder = replace_folder(paths.plots(CURVES))
    for name, rows in histories.items():
        table = pd.DataFrame([dict(row) for row in rows])
        table.insert(0, "epoch", range(1, len(rows) + 1))
        table.to_csv(folder / f"{name}.csv", index=False)


def write_predictions(predictions: Sequence[SplitPredictions]) -> None:
    """Write true and predicted class of each clip, accuracy by the observed share, and calibration, for each mode and split."""
    confusion, observed, calibration = (
        replace_folder(paths.plots(name)) for name in (CONFUSION, OBSERVED, CALIBRATION)
    )
    for one in predictions:
        name = f"{one.mode}-split{one.split}.csv"
        classes = pd.Series(one.classes)
        table = {"actual": classes[one.labels].to_numpy(), "predicted": classes[one.predictions].to_numpy()}
        pd.DataFrame(table).to_csv(confusion / name, index=False)
        shares = {"observed_share": metrics.OBSERVED_SHARES, "accuracy": one.observed_accuracy}
        if one.mode == "online":
            pd.DataFrame(shares).to_csv(observed / name, index=False)
        found = metrics.calibration(one.labels, one.probabilities)
        bins = {"confidence": found.confidence, "accuracy": found.accuracy, "clips": found.count}
        pd.DataFrame(bins).dropna().to_csv(calibration / name, index=False)


def write_trials(trials: Sequence[Mapping[str, object]], front: Sequence[int]) -> None:
    """Write accuracy and time of each finished trial of a study, and if no other is better in both; none if there was no study."""
    folder = replace_folder(paths.plots(TRIALS))
    if trials:
        table = pd.DataFrame([dict(trial) for trial in trials])[["trial", "val_accuracy", "step_ms"]].dropna()
        table["front"] = table["trial"].isin(front)
        table.sort_values("step_ms").to_csv(folder / "trials.csv", index=False)
