"""Stage evaluate: accuracy on the test part, the pictures behind it, and report.html."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.taxonomy import whole
from pan_core.errors import GateError
from pan_core.evaluation import metrics
from pan_core.evaluation.attention_figures import example_clips
from pan_core.evaluation.relevance import Explanation, explain_clip
from pan_core.evaluation.report import write_report
from pan_core.evaluation.report_data import PoseAccuracy, Provenance, Relabelling, ReportData
from pan_core.evaluation.split_predictions import SplitPredictions
from pan_core.evaluation.table1 import build_table1
from pan_core.files import read_json, replace_folder, write_json
from pan_core.model.store import load_model
from pan_core.params.load import Params
from pan_core.progress import progress_bar
from pan_core.segments.clip_class import score_classes
from pan_core.segments.table import BOUNDARY_METHODS
from pan_core.stages import STAGES
from pan_core.tables import read_table
from pan_core.tracking.tracker import Run
from pan_core.training.predict import Predictions, predict
from pan_core.training.samples import Samples, build_samples
from pan_core.workspace import paths
from pan_core.workspace.dvc_figures import write_predictions
from pan_core.workspace.paths import result_of
from pan_core.workspace.result_keys import CLASS_READINGS, COUNTS_LISTED, BoundaryKeys, EvaluationKeys
from pan_core.workspace.training_data import TrainingData, read_training_data, unscored_clips

LEAST_PROBABILITY = 1e-6


def run(params: Params, tracked: Run) -> dict:
    """Score the test clips of every split and mode, write figures, pictures and the report.

    Raises:
        GateError: If the accuracy is below evaluate.min_test_accuracy.
    """
    torch.set_num_threads(params.train.threads)
    data, folder = read_training_data(), replace_folder(paths.EVALUATION)
    truth = dataset_by_name(params.dataset).truth(paths.RAW)
    true_segments = truth.segments if truth else None
    jobs = [(split, mode) for split in params.split.splits for mode in params.train.modes]
    predictions = []
    with progress_bar("evaluate and draw", "step") as update:
        total = len(jobs) + 1
        for done, (split, mode) in enumerate(jobs, start=1):
            predictions.append(_predict_split(params, data, true_segments, mode=mode, split=split))
            predictions[-1].save(folder / f"{mode}-split{split}.npz")
            update(done, total)
        figures = _collect_figures(predictions)
        write_predictions(predictions)
        _write_report(_report(params, data, predictions, figures), tracked)
        update(total, total)
    write_json(folder / "table1.json", _table1(params, figures))
    tracked.artifact(paths.REPORT)
    _require_accuracy(figures, params.evaluate.min_test_accuracy)
    return figures


def _predict_split(
    params: Params, data: TrainingData, true_segments: pd.DataFrame | None, *, mode: str, split: int
) -> SplitPredictions:
    """Predictions of the trained model for the test clips; frame targets only if the true segments are known."""
    loaded = load_model(paths.model_folder(mode, split))
    segments = true_segments if true_segments is not None else data.segments
    samples = build_samples(
        data.clips[data.clips[f"split{split}"] == "test"], data.poses, segments, classes=loaded.labels,
        actions=loaded.actions, mode=mode, frames=loaded.frames, rate=loaded.rate,
    )  # fmt: skip
    predicted = predict(loaded.model, samples)
    unscored = unscored_clips(data.clips, split)["label"]
    without = paths.model_folder(mode, split, relabelled=False)
    everything = samples.batch(np.arange(len(samples)))
    return SplitPredictions(
        mode=mode,
        split=split,
        clip_ids=predicted.clip_ids,
        classes=loaded.labels,
        actions=loaded.actions,
        temperature=loaded.temperatures.get("class", 1.0),
        labels=samples.labels,
        probabilities=predicted.probabilities,
        frame_probabilities=predicted.frame_probabilities,
        action_probabilities=predicted.action_probabilities,
        lengths=predicted.lengths,
        pose_attention=predicted.pose_attention,
        joints_attention=predicted.joints_attention,
        joints=everything.joints,
        layout=samples.layout,
        frame_targets=everything.frame_targets if true_segments is not None else None,
        explanations=_explanations(params, samples, predicted),
        whole_probabilities=predict(load_model(without).model, samples).probabilities if without.is_dir() else None,
        unscored=np.array([loaded.labels.index(label) for label in unscored], dtype=samples.labels.dtype),
    )


def _explanations(params: Params, samples: Samples, predicted: Predictions) -> np.ndarray | None:
    """How well each class explains the actions of every clip's frames, (N, K); None where parts are not actions."""
    dataset = dataset_by_name(params.dataset)
    made = [dataset.parts(label) if params.relabel.enabled else whole(label) for label in samples.classes]
    if not {part for composition in made for part in composition.parts} <= set(samples.actions):
        return None
    logs = np.log(np.maximum(predicted.action_probabilities, LEAST_PROBABILITY))
    shortest = np.round(params.relabel.min_segment_s * samples.fps).astype(int)
    return np.stack(
        [
            score_classes(own[:length], made, samples.actions, min_frames=least)
            for own, length, least in zip(logs, predicted.lengths, shortest.tolist(), strict=True)
        ]
    )


def _collect_figures(predictions: Sequence[SplitPredictions]) -> dict:
    """Figures of each mode, mean over the splits in use; those of clip mode, if it is used, are the headline."""
    figures: dict[str, object] = {}
    for mode in sorted({each.mode for each in predictions}):
        figures |= _mode_figures(mode, [each for each in predictions if each.mode == mode])
    if online := [each for each in predictions if each.mode == "online"]:
        figures["accuracy_by_observed_share"] = _accuracy_by_observed_share(online)
    headline = "clip" if EvaluationKeys("clip").accuracy in figures else "online"
    figures["test_accuracy"] = figures[EvaluationKeys(headline).accuracy]
    figures["test_accuracy_mode"] = headline
    counted = [each for each in predictions if each.mode == headline]
    listed, unscored = sum(each.listed for each in counted), sum(each.unscored_count for each in counted)
    figures |= {
        "test_accuracy_counts": COUNTS_LISTED,
        "test_clips": listed - unscored,
        "test_clips_listed": listed,
        "test_clips_without_people": unscored,
        "test_share_without_people": unscored / listed,
    }
    return figures


def _mode_figures(mode: str, splits: Sequence[SplitPredictions]) -> dict[str, object]:
    keys = EvaluationKeys(mode)
    by_split = {f"split{each.split}": each.accuracy for each in splits}
    interval = SplitPredictions.interval(splits)
    scored = [metrics.accuracy(each.labels, each.predictions) for each in splits]
    figures: dict[str, object] = {
        keys.accuracy: float(np.mean(list(by_split.values()))),
        keys.accuracy_of_scored: float(np.mean(scored)),
        keys.class_accuracy: float(np.mean([np.nanmean(each.class_accuracies) for each in splits])),
        keys.by_split: by_split,
        keys.interval: [interval.low, interval.high],
    }
    accuracies = [each.clip_accuracies() for each in splits]
    for reading in CLASS_READINGS:
        if all(reading in by_reading for by_reading in accuracies):
            figures[keys.accuracy_by(reading)] = float(np.mean([by_reading[reading] for by_reading in accuracies]))
    if splits[0].frame_targets is not None:
        scores = [
            metrics.frame_accuracy(each.action_probabilities, each.frame_targets, each.lengths)
            for each in splits
            if each.frame_targets is not None
        ]
        figures[keys.frame_accuracy] = float(np.mean(scores))
    return figures


def _accuracy_by_observed_share(online: Sequence[SplitPredictions]) -> dict[str, float]:
    """Accuracy after each share of a clip's frames, such as "50%"."""
    mean = np.mean([each.observed_accuracy for each in online], axis=0)
    return {f"{share:.0%}": float(value) for share, value in zip(metrics.OBSERVED_SHARES, mean, strict=True)}


def _table1(params: Params, figures: dict) -> list[dict[str, str]]:
    measured: dict[str, float] = {mode: figures[EvaluationKeys(mode).accuracy] for mode in params.train.modes}
    return build_table1(params.dataset, measured).as_records()


def _write_report(report: ReportData, tracked: Run) -> None:
    for section in write_report(paths.REPORT, report):
        for number, picture in enumerate(section.pictures, start=1):
            tracked.text(picture.svg, f"pictures/{section.key}{number if len(section.pictures) > 1 else ''}.svg")


def _report(params: Params, data: TrainingData, predictions: Sequence[SplitPredictions], figures: dict) -> ReportData:
    split = f"split{params.split.splits[0]}"
    ready = [stage for stage in STAGES[: STAGES.index("evaluate")] if paths.result(stage).is_file()]
    return ReportData(
        title=f"PAN on {params.dataset}",
        dataset=params.dataset,
        predictions=predictions,
        parameters=result_of("train")["params"],
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        histories=read_json(paths.RECOGNIZER / "histories.json"),
        clips=pd.crosstab(data.clips["label"], data.clips[split]),
        quarantine=read_table("quarantine", paths.QUARANTINE / "validate.parquet"),
        pose_accuracy=_pose_accuracy(),
        relabelling=_relabelling(),
        explanations=_explain_examples(data, predictions),
        settings=params.model_dump(mode="json", by_alias=True),
        runs={stage: result_of(stage)["mlflow_run_id"] for stage in ready},
        provenance=_provenance(),
        notes=_notes(figures),
    )


def _explain_examples(data: TrainingData, predictions: Sequence[SplitPredictions]) -> list[Explanation]:
    """What decided an ordinary success and the surest mistake, in the mode that runs on a device."""
    shown = next((each for each in predictions if each.mode == "online"), predictions[0])
    recognizer = load_model(paths.model_folder(shown.mode, shown.split))
    if not recognizer.model.settings.joints_attention:
        return []
    clips = [shown.clip_ids[clip] for clip in example_clips(shown, 2)]
    return [explain_clip(recognizer, data.clips, data.poses, clip) for clip in clips]


def _provenance() -> list[Provenance]:
    found = [Provenance("Test accuracy, all modes and splits", "measured", "dvc repro evaluate")]
    if _pose_accuracy() is not None:
        found.append(Provenance("Joint accuracy (PCK)", "measured", "dvc repro pose"))
    if _relabelling() is not None:
        found.append(Provenance("Segments beside the equal split", "measured", "dvc repro relabel"))
    return found


def _notes(figures: dict) -> list[str]:
    absent, listed = figures["test_clips_without_people"], figures["test_clips_listed"]
    if not absent:
        return []
    mode = figures["test_accuracy_mode"]
    keys = EvaluationKeys(mode)
    return [
        f"{absent} of {listed} test clips ({figures['test_share_without_people']:.1%}) are in quarantine: nobody was found in them, or "
        f"they could not be used. Each counts as a mistake: {figures[keys.accuracy]:.1%} in {mode} mode; of the others alone "
        f"{figures[keys.accuracy_of_scored]:.1%} were recognised."
    ]


def _pose_accuracy() -> PoseAccuracy | None:
    pose = result_of("pose")
    by_joint = pose.get("pck_by_joint")
    if not by_joint:
        return None
    values = np.array([np.nan if value is None else value for value in by_joint.values()])
    return PoseAccuracy(
        joints=list(by_joint), pck={"all clips, visible joints": values}, threshold=0.1, overall=pose["pck"]
    )


def _relabelling() -> Relabelling | None:
    found = result_of("relabel")
    if BoundaryKeys("refined").frame_accuracy not in found:
        return None
    return Relabelling(
        frame_accuracy={method: found[BoundaryKeys(method).frame_accuracy] for method in BOUNDARY_METHODS},
        boundary_errors={method: np.array(found[BoundaryKeys(method).errors_frames]) for method in BOUNDARY_METHODS},
        clips=found["sequence_clips"],
    )


def _require_accuracy(figures: dict, least: float) -> None:
    if figures["test_accuracy"] < least:
        raise GateError(
            f"test accuracy is {figures['test_accuracy']:.1%}, evaluate.min_test_accuracy in params.yaml asks for "
            f"{least:.1%}; see {paths.REPORT}",
            code="evaluate.accuracy",
        )
