"""Stage evaluate: accuracy on the test part, the pictures behind it, and report.html."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from pan_core.datasets import dataset_by_name
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
from pan_core.tables import read_table, splits_of
from pan_core.tracking.tracker import Run
from pan_core.training.predict import Predictions, predict
from pan_core.training.samples import Samples, build_samples
from pan_core.workspace import paths
from pan_core.workspace.paths import result_of
from pan_core.workspace.training_data import TrainingData, read_material

# What the figures of the other ways to read a clip's class end with.
ENDINGS = {"by segments": "by_segments", "without relabelling": "without_relabelling"}
LEAST_PROBABILITY = 1e-6


def run(params: Params, tracked: Run) -> dict:
    """Score the test clips of every split and mode, write figures, pictures and the report.

    Raises:
        GateError: Where the accuracy is below evaluate.min_test_accuracy.
    """
    torch.set_num_threads(params.train.threads)
    material, folder = read_material(), replace_folder(paths.EVALUATION)
    truth = dataset_by_name(params.dataset).truth(paths.RAW)
    known = truth.segments if truth else None
    jobs = [(split, mode) for split in params.split.splits for mode in params.train.modes]
    outcomes = []
    with progress_bar("evaluate and draw", "step") as update:
        total = len(jobs) + 1
        for done, (split, mode) in enumerate(jobs, start=1):
            outcomes.append(_outcome(params, material, known, mode, split))
            outcomes[-1].save(folder / f"{mode}-split{split}.npz")
            update(done, total)
        figures = _figures(outcomes)
        figures |= _coverage(figures)
        for section in write_report(paths.REPORT, _report(params, material, outcomes, figures)):
            for number, picture in enumerate(section.pictures, start=1):
                tracked.text(picture.svg, f"pictures/{section.key}{number if len(section.pictures) > 1 else ''}.svg")
        update(total, total)
    write_json(folder / "table1.json", _table1(params, figures))
    tracked.artifact(paths.REPORT)
    _require_accuracy(figures, params.evaluate.min_test_accuracy)
    return figures


def _outcome(
    params: Params, material: TrainingData, known: pd.DataFrame | None, mode: str, split: int
) -> SplitPredictions:
    """What the trained model says about the test clips; frame targets only where the true segments are known."""
    loaded = load_model(paths.model_folder(mode, split))
    samples = build_samples(
        material.clips[material.clips[f"split{split}"] == "test"],
        material.poses,
        known if known is not None else material.segments,
        classes=loaded.labels,
        actions=loaded.actions,
        mode=mode,
        frames=loaded.frames,
        rate=loaded.rate,
    )
    said = predict(loaded.model, samples)
    without = paths.model_folder(mode, split, whole=True)
    everything = samples.batch(np.arange(len(samples)))
    return SplitPredictions(
        mode=mode,
        split=split,
        clip_ids=said.clip_ids,
        classes=loaded.labels,
        actions=loaded.actions,
        labels=samples.labels,
        probabilities=said.probabilities,
        frame_probabilities=said.frame_probabilities,
        action_probabilities=said.action_probabilities,
        lengths=said.lengths,
        pose_attention=said.pose_attention,
        joints_attention=said.joints_attention,
        joints=everything.joints,
        layout=samples.layout,
        frame_targets=everything.frame_targets if known is not None else None,
        explanations=_explanations(params, samples, said),
        whole_probabilities=predict(load_model(without).model, samples).probabilities if without.is_dir() else None,
    )


def _explanations(params: Params, samples: Samples, said: Predictions) -> np.ndarray | None:
    """How well each class explains the actions of every clip's frames, (N, K); None where parts are not actions."""
    dataset = dataset_by_name(params.dataset)
    made = [dataset.parts(label) if params.relabel.enabled else whole(label) for label in samples.classes]
    if not {part for composition in made for part in composition.parts} <= set(samples.actions):
        return None
    logs = np.log(np.maximum(said.action_probabilities, LEAST_PROBABILITY))
    shortest = np.round(params.relabel.min_segment_s * samples.fps).astype(int)
    return np.stack(
        [
            score_classes(own[:length], made, samples.actions, min_frames=least)
            for own, length, least in zip(logs, said.lengths, shortest.tolist(), strict=True)
        ]
    )


def _figures(outcomes: Sequence[SplitPredictions]) -> dict:
    """Figures of each mode, mean over the splits in use."""
    figures: dict[str, object] = {}
    for mode in sorted({outcome.mode for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.mode == mode]
        by_split = {f"split{o.split}": metrics.accuracy(o.labels, o.predictions) for o in own}
        matrices = [metrics.confusion(o.labels, o.predictions, len(o.classes)) for o in own]
        everything = [np.concatenate([getattr(o, name) for o in own]) for name in ("labels", "predictions")]
        interval = metrics.accuracy_interval(*everything)
        figures[f"test_accuracy_{mode}"] = float(np.mean(list(by_split.values())))
        figures[f"mean_class_accuracy_{mode}"] = float(np.mean([metrics.mean_class_accuracy(m) for m in matrices]))
        figures[f"by_split_{mode}"] = by_split
        figures[f"interval95_{mode}"] = [interval.low, interval.high]
        for way, ending in ENDINGS.items():
            if all(way in o.clip_accuracies() for o in own):
                figures[f"test_accuracy_{mode}_{ending}"] = float(np.mean([o.clip_accuracies()[way] for o in own]))
        if own[0].frame_targets is not None:
            scores = [
                metrics.frame_accuracy(o.action_probabilities, o.frame_targets, o.lengths)
                for o in own
                if o.frame_targets is not None
            ]
            figures[f"frame_accuracy_{mode}"] = float(np.mean(scores))
    online = [outcome for outcome in outcomes if outcome.mode == "online"]
    if online:
        curves = [metrics.observed_accuracy(o.labels, o.frame_probabilities, o.lengths) for o in online]
        figures["accuracy_by_observed_share"] = {
            f"{share:.0%}": float(value)
            for share, value in zip(metrics.OBSERVED_SHARES, np.mean(curves, axis=0), strict=True)
        }
    headline = "clip" if "test_accuracy_clip" in figures else "online"
    figures["test_accuracy"], figures["test_accuracy_mode"] = figures[f"test_accuracy_{headline}"], headline
    figures["test_clips"] = sum(len(o) for o in outcomes if o.mode == headline)
    return figures


def _coverage(figures: dict) -> dict:
    """How many test clips could not be scored, and the accuracy when each of them counts as a mistake."""
    clips = read_table("clips", paths.CLIPS)
    listed = sum(int((clips[f"split{number}"] == "test").sum()) for number in splits_of(clips))
    share = figures["test_clips"] / listed
    modes = [mode for mode in ("clip", "online") if f"test_accuracy_{mode}" in figures]
    return {"test_clips_listed": listed} | {
        f"test_accuracy_{mode}_of_all_listed": figures[f"test_accuracy_{mode}"] * share for mode in modes
    }


def _table1(params: Params, figures: dict) -> list[dict[str, str]]:
    measured: dict[str, float] = {mode: figures[f"test_accuracy_{mode}"] for mode in params.train.modes}
    return build_table1(params.dataset, measured).as_records()


def _report(params: Params, material: TrainingData, outcomes: Sequence[SplitPredictions], figures: dict) -> ReportData:
    split = f"split{params.split.splits[0]}"
    ready = [stage for stage in STAGES[: STAGES.index("evaluate")] if paths.result(stage).is_file()]
    return ReportData(
        title=f"PAN on {params.dataset}",
        dataset=params.dataset,
        outcomes=outcomes,
        parameters=result_of("train")["params"],
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        histories=read_json(paths.RECOGNIZER / "histories.json"),
        clips=pd.crosstab(material.clips["label"], material.clips[split]),
        quarantine=read_table("quarantine", paths.QUARANTINE / "validate.parquet"),
        pose_accuracy=_pose_accuracy(),
        relabelling=_relabelling(),
        explanations=_decided(material, outcomes),
        settings=params.model_dump(mode="json", by_alias=True),
        runs={stage: result_of(stage)["mlflow_run_id"] for stage in ready},
        provenance=_provenance(),
        notes=_notes(figures),
    )


def _decided(material: TrainingData, outcomes: Sequence[SplitPredictions]) -> list[Explanation]:
    """What decided an ordinary success and the surest mistake, in the mode that runs on a device."""
    shown = next((outcome for outcome in outcomes if outcome.mode == "online"), outcomes[0])
    recognizer = load_model(paths.model_folder(shown.mode, shown.split))
    if not recognizer.model.settings.joints_attention:
        return []
    clips = [shown.clip_ids[clip] for clip in example_clips(shown, 2)]
    return [explain_clip(recognizer, material.clips, material.poses, clip) for clip in clips]


def _provenance() -> list[Provenance]:
    found = [Provenance("Test accuracy, all modes and splits", "measured", "dvc repro evaluate")]
    if _pose_accuracy() is not None:
        found.append(Provenance("Joint accuracy (PCK)", "measured", "dvc repro pose"))
    if _relabelling() is not None:
        found.append(Provenance("Segments beside the equal split", "measured", "dvc repro relabel"))
    return found


def _notes(figures: dict) -> list[str]:
    scored, listed = figures["test_clips"], figures["test_clips_listed"]
    if scored == listed:
        return []
    accuracy = figures[f"test_accuracy_{figures['test_accuracy_mode']}_of_all_listed"]
    return [
        f"{listed - scored} of {listed} test clips are in quarantine and were not scored. With each of them counted as "
        f"a mistake the test accuracy in {figures['test_accuracy_mode']} mode is {accuracy:.1%}."
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
    if "frame_accuracy" not in found:
        return None
    return Relabelling(
        frame_accuracy={way: found[f"frame_accuracy{ending}"] for way, ending in BOUNDARY_METHODS.items()},
        boundary_errors={
            way: np.array(found[f"boundary_errors_frames{ending}"]) for way, ending in BOUNDARY_METHODS.items()
        },
        clips=found["sequence_clips"],
    )


def _require_accuracy(figures: dict, least: float) -> None:
    if figures["test_accuracy"] < least:
        raise GateError(
            f"test accuracy is {figures['test_accuracy']:.1%}, evaluate.min_test_accuracy in params.yaml asks for "
            f"{least:.1%}; see {paths.REPORT}"
        )
