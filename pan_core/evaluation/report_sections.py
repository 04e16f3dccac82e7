"""The sections of the report, in order; here those on predictions: figures, pictures, tables and the words beside them."""

from collections.abc import Sequence

import numpy as np

from pan_core.evaluation import attention_figures, metrics
from pan_core.evaluation.explanation import explanation_picture
from pan_core.evaluation.report_background import (
    data_section,
    pose_section,
    provenance_section,
    relabelling_section,
    settings_section,
    training_section,
)
from pan_core.evaluation.report_data import Card, ReportData
from pan_core.evaluation.report_layout import Cell, ReportSection, Table, number_cells, percent
from pan_core.evaluation.split_predictions import WAYS, SplitPredictions
from pan_core.evaluation.table1 import MODE_TITLES, Table1, build_table1
from pan_core.evaluation.temperature import at_temperature
from pan_core.viewer import plots
from pan_core.viewer.canvas import Picture

EXAMPLES = 4


def build_sections(data: ReportData) -> list[ReportSection]:
    """Every section that has something to show, in reading order."""
    makers = (
        _show_results, _show_clip_class, _show_published, training_section, _show_classes, _show_confusion,
        _show_observed, _show_confidence, _show_attention, _show_decisions, data_section, pose_section,
        relabelling_section, settings_section, provenance_section,
    )  # fmt: skip
    return [section for maker in makers if (section := maker(data)) is not None]


def headline(data: ReportData) -> list[Card]:
    """Cards: accuracy with its interval in each mode, the gap between them, frames, joints and size."""
    first = _select_first_split(data)
    cards = []
    for mode in [mode for mode in ("clip", "online") if mode in first]:
        predictions = first[mode]
        interval = SplitPredictions.interval([predictions])
        detail = f"95 % interval {100 * interval.low:.1f} to {percent(interval.high)}, {predictions.listed} test clips"
        if predictions.unscored_count:
            detail += f", {_without_answer(predictions)}"
        if mode == "online" and "clip" in first:
            gap = 100 * (interval.value - first["clip"].accuracy)
            sign = "+" if gap >= 0 else "\N{MINUS SIGN}"
            detail += f"; {sign}{abs(gap):.1f} points against clip mode"
        cards.append(Card(f"Test accuracy, {MODE_TITLES[mode]}", percent(interval.value), detail))
    predictions = first.get("online") or first["clip"]
    if predictions.frame_targets is not None:
        value = metrics.frame_accuracy(predictions.action_probabilities, predictions.frame_targets, predictions.lengths)
        cards.append(Card("Frame accuracy", percent(value), f"atomic action, {MODE_TITLES[predictions.mode]}"))
    if data.pose_accuracy is not None:
        name, values = next(iter(data.pose_accuracy.pck.items()))
        title = f"Joint accuracy, PCK@{data.pose_accuracy.threshold:g}"
        overall = data.pose_accuracy.overall
        cards.append(Card(title, percent(float(np.nanmean(values)) if overall is None else overall), name))
    cards.append(Card("Network", f"{data.parameters / 1e6:.2f} M", "trainable weights"))
    return cards


def _select_first_split(data: ReportData) -> dict[str, SplitPredictions]:
    """Predictions of the first split, by mode."""
    split = min(each.split for each in data.predictions)
    return {each.mode: each for each in data.predictions if each.split == split}


def _select_shown(data: ReportData) -> SplitPredictions:
    """The predictions whose pictures are drawn: online mode is what runs on a device."""
    first = _select_first_split(data)
    return first.get("online") or first["clip"]


def _describe(predictions: SplitPredictions) -> str:
    words = f"{MODE_TITLES[predictions.mode].capitalize()}, split {predictions.split}, {predictions.listed} test clips"
    return f"{words}, {_without_answer(predictions)}." if predictions.unscored_count else f"{words}."


def _without_answer(predictions: SplitPredictions) -> str:
    share = percent(predictions.unscored_count / predictions.listed)
    return f"{predictions.unscored_count} of them ({share}) without people who could be scored, each a mistake"


def _describe_scored(predictions: SplitPredictions) -> str:
    if not predictions.unscored_count:
        return _describe(predictions)
    return f"{_describe(predictions)} Here: the {len(predictions)} that have an answer."


def _show_results(data: ReportData) -> ReportSection:
    rows = []
    for predictions in sorted(data.predictions, key=lambda each: (each.mode, each.split)):
        interval = SplitPredictions.interval([predictions])
        top = metrics.top_accuracy(predictions.labels, predictions.probabilities)
        frames = "-"
        if predictions.frame_targets is not None:
            frames = percent(
                metrics.frame_accuracy(predictions.action_probabilities, predictions.frame_targets, predictions.lengths)
            )
        figures = (
            str(predictions.listed),
            percent(predictions.unscored_count / predictions.listed),
            percent(interval.value),
            f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
            percent(float(np.nanmean(predictions.class_accuracies))),
            percent(predictions.scored_share * top),
            frames,
            percent(metrics.calibration(predictions.labels, predictions.probabilities).error),
        )
        rows.append([Cell(predictions.mode), *number_cells((str(predictions.split), *figures))])
    columns = (
        "Mode", "Split", "Test clips", "Without people", "Accuracy", "95 % interval", "Mean of classes", "Top 5", "Frame accuracy",
        "Calibration error",
    )  # fmt: skip
    intro = (
        "Clip mode knows the whole clip before it answers, as published offline results do; online mode knows each "
        "frame's past only, and is what runs on a device. Every test clip counts: one in which nobody was found, or that could "
        "not be used, is a mistake. Frame accuracy and calibration error are those of the others. Intervals are bootstraps over clips: where few people stand "
        "behind many clips, the true uncertainty is larger."
    )
    return ReportSection("results", "Results", intro, tables=[Table(columns, rows)])


def clip_class_accuracies(predictions: Sequence[SplitPredictions]) -> dict[str, dict[str, float]]:
    """Clip-level accuracy by way of reading the class, mean over splits, of each mode by its title."""
    found = {}
    for mode in sorted({each.mode for each in predictions}):
        own = [each.clip_accuracies() for each in predictions if each.mode == mode]
        ways = [way for way in WAYS if all(way in accuracies for accuracies in own)]
        found[MODE_TITLES[mode]] = {way: float(np.mean([each[way] for each in own])) for way in ways}
    return found


def _show_clip_class(data: ReportData) -> ReportSection | None:
    if not any(len(each.clip_accuracies()) > 1 for each in data.predictions):
        return None
    rows = []
    for predictions in sorted(data.predictions, key=lambda each: (each.mode, each.split)):
        found = predictions.clip_accuracies()
        cells = [percent(found[way]) if way in found else "-" for way in WAYS]
        rows.append([Cell(predictions.mode), *number_cells((str(predictions.split), str(predictions.listed), *cells))])
    intro = (
        "Accuracy of the clip's class under the official protocol, read in different ways: from the class head; from "
        "the segments, as the class whose actions explain the frames best; and from a network that learnt every clip "
        "as one action of its class."
    )
    picture = plots.clip_class_bars(clip_class_accuracies(data.predictions))
    columns = ("Mode", "Split", "Test clips", *(way.capitalize() for way in WAYS))
    return ReportSection("clip_class", "With and without relabelling", intro, [picture], [Table(columns, rows)])


def _show_published(data: ReportData) -> ReportSection:
    splits = sorted({each.split for each in data.predictions})
    measured = {
        mode: float(np.mean([each.accuracy for each in data.predictions if each.mode == mode]))
        for mode in ("clip", "online")
        if any(each.mode == mode for each in data.predictions)
    }
    note = f"split {splits[0]}" if len(splits) == 1 else f"mean of splits {', '.join(map(str, splits))}"
    intro = (
        "Accuracy in percent, in the form of the paper's Table 1. Cited figures come from others, under "
        "their own conditions; measured ones come from this run. A dash means that there is none."
    )
    return ReportSection(
        "table1", "Table 1", intro, tables=[_lay_out_table1(build_table1(data.dataset, measured, note=note))]
    )


def _lay_out_table1(table: Table1) -> Table:
    rows = []
    for row in table.rows:
        cells = [Cell(row.method, row.note)]
        for name in table.columns:
            figure = row.figures.get(name)
            cells.append(Cell(str(figure), figure.kind, number=True) if figure else Cell("-", number=True))
        rows.append(cells)
    strong = frozenset(i for i, row in enumerate(table.rows) if row.ours)
    return Table(("Method", *table.titles()), rows, strong=strong)


def _show_classes(data: ReportData) -> ReportSection:
    predictions = _select_shown(data)
    picture = plots.class_bars(predictions.class_accuracies, predictions.class_counts, predictions.classes)
    return ReportSection(
        "classes", "Classes", f"{_describe(predictions)} In brackets: test clips of the class.", [picture]
    )


def _show_confusion(data: ReportData) -> ReportSection:
    predictions = _select_shown(data)
    matrix = metrics.confusion(predictions.labels, predictions.predictions, len(predictions.classes))
    rows = [
        [
            Cell(predictions.classes[true]),
            Cell(predictions.classes[said]),
            *number_cells([f"{clips} of {matrix[true].sum()}"]),
        ]
        for true, said, clips in metrics.frequent_confusions(matrix)
    ]
    table = [Table(("True class", "Taken for", "Clips"), rows, "Most frequent confusions")] if rows else []
    picture = plots.confusion_matrix(matrix, predictions.classes)
    return ReportSection(
        "confusion", "Confusion", f"{_describe_scored(predictions)} Each row sums to 100 %.", [picture], table
    )


def _show_observed(data: ReportData) -> ReportSection | None:
    predictions = _select_first_split(data).get("online")
    if predictions is None:
        return None
    curves = {"online mode": predictions.observed_accuracy}
    picture = plots.observed_curve(metrics.OBSERVED_SHARES, curves, 1 / len(predictions.classes))
    intro = f"{_describe(predictions)} The answer after only the first part of each clip, as a camera would give it."
    return ReportSection("observed", "Early recognition", intro, [picture])


def _show_confidence(data: ReportData) -> ReportSection:
    predictions = _select_shown(data)
    result = metrics.calibration(predictions.labels, predictions.probabilities)
    intro = (
        f"{_describe_scored(predictions)} Dots above the diagonal: more often right than stated. "
        f"Expected calibration error {percent(result.error)}"
    )
    if predictions.temperature == 1:
        return ReportSection("confidence", "Confidence", f"{intro}.", [_reliability(result)])
    raw = at_temperature(predictions.probabilities, 1 / predictions.temperature)
    before = metrics.calibration(predictions.labels, raw)
    intro += (
        f"; {percent(before.error)} before the class logits were divided by {predictions.temperature:.2f}, a temperature "
        "that was fitted on validation clips. First picture before, second after."
    )
    return ReportSection("confidence", "Confidence", intro, [_reliability(before), _reliability(result)])


def _reliability(result: metrics.Calibration) -> Picture:
    return plots.calibration_plot(result.confidence, result.accuracy, result.count, error=result.error)


def _show_attention(data: ReportData) -> ReportSection:
    predictions = _select_shown(data)
    clips = attention_figures.example_clips(predictions, EXAMPLES)
    pictures = [attention_figures.filmstrip(predictions, clip) for clip in clips]
    intro = (
        f"{_describe(predictions)} Recognised clips of median confidence, and the most confident mistake. "
        "Attention is given as a multiple of an even share: 1 means not preferred."
    )
    return ReportSection(
        "attention", "Attention", intro, [*pictures, attention_figures.joints_heatmap(predictions, clips[0])]
    )


def _show_decisions(data: ReportData) -> ReportSection | None:
    if not data.explanations:
        return None
    intro = (
        "Attention says where the network looks; here, what that adds to the class that was recognised: attention times "
        "the change of the class's score with it, joint by joint and frame by frame. A first-order estimate; "
        "the command pan explain draws it for any clip."
    )
    return ReportSection("decisions", "What decided", intro, [explanation_picture(one) for one in data.explanations])
