"""The sections of the report: which figures, pictures and tables each shows, and the words beside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pan_core.evaluation import attention_figures, metrics
from pan_core.evaluation.explanation import explanation_picture
from pan_core.evaluation.report_data import Card, ReportData
from pan_core.evaluation.split_predictions import WAYS, SplitPredictions
from pan_core.evaluation.table1 import MODE_TITLES, Table1, build_table1
from pan_core.viewer import plots
from pan_core.viewer.plots import Picture

# A quarantine of thousands would bury the report; the table file has them all.
QUARANTINE_ROWS = 200
EXAMPLES = 4


@dataclass(frozen=True)
class Cell:
    """Text of a table cell, with a mark such as "measured", right-aligned where it is a number."""

    text: str
    mark: str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table; `folded` hides it behind its caption until it is opened."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: bool = False
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A heading with a sentence on how to read what follows."""

    key: str
    title: str
    intro: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


def percent(share: float) -> str:
    """A share of 0..1 as a reader wants it; number and sign stay on one line."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def build_sections(data: ReportData) -> list[Section]:
    """Every section that has something to show, in reading order."""
    makers = (
        _results, _clip_class, _published, _training, _classes, _confusion, _observed, _confidence, _attention, _decisions, data_section, _poses,
        _relabelling, _settings, _provenance,
    )  # fmt: skip
    return [section for maker in makers if (section := maker(data)) is not None]


def headline(data: ReportData) -> list[Card]:
    """Cards: accuracy with its interval in each mode, the gap between them, frames, joints and size."""
    first = _first_split(data)
    cards = []
    for mode in [mode for mode in ("clip", "online") if mode in first]:
        outcome = first[mode]
        interval = metrics.accuracy_interval(outcome.labels, outcome.predictions)
        detail = f"95 % interval {100 * interval.low:.1f} to {percent(interval.high)}, {len(outcome)} test clips"
        if mode == "online" and "clip" in first:
            gap = 100 * (interval.value - metrics.accuracy(first["clip"].labels, first["clip"].predictions))
            sign = "+" if gap >= 0 else "\N{MINUS SIGN}"
            detail += f"; {sign}{abs(gap):.1f} points against clip mode"
        cards.append(Card(f"Test accuracy, {MODE_TITLES[mode]}", percent(interval.value), detail))
    outcome = first.get("online") or first["clip"]
    if outcome.frame_targets is not None:
        value = metrics.frame_accuracy(outcome.action_probabilities, outcome.frame_targets, outcome.lengths)
        cards.append(Card("Frame accuracy", percent(value), f"atomic action, {MODE_TITLES[outcome.mode]}"))
    if data.pose_accuracy is not None:
        name, values = next(iter(data.pose_accuracy.pck.items()))
        title = f"Joint accuracy, PCK@{data.pose_accuracy.threshold:g}"
        overall = data.pose_accuracy.overall
        cards.append(Card(title, percent(float(np.nanmean(values)) if overall is None else overall), name))
    cards.append(Card("Network", f"{data.parameters / 1e6:.2f} M", "trainable weights"))
    return cards


def _first_split(data: ReportData) -> dict[str, SplitPredictions]:
    """Outcomes of the first split, by mode."""
    split = min(outcome.split for outcome in data.outcomes)
    return {outcome.mode: outcome for outcome in data.outcomes if outcome.split == split}


def _shown(data: ReportData) -> SplitPredictions:
    """The outcome whose pictures are drawn: online mode is what runs on a device."""
    first = _first_split(data)
    return first.get("online") or first["clip"]


def _caption(outcome: SplitPredictions) -> str:
    return f"{MODE_TITLES[outcome.mode].capitalize()}, split {outcome.split}, {len(outcome)} test clips."


def _numbers(values: Iterable[str]) -> list[Cell]:
    return [Cell(value, number=True) for value in values]


def _results(data: ReportData) -> Section:
    rows = []
    for outcome in sorted(data.outcomes, key=lambda outcome: (outcome.mode, outcome.split)):
        interval = metrics.accuracy_interval(outcome.labels, outcome.predictions)
        matrix = metrics.confusion(outcome.labels, outcome.predictions, len(outcome.classes))
        frames = "-"
        if outcome.frame_targets is not None:
            frames = percent(
                metrics.frame_accuracy(outcome.action_probabilities, outcome.frame_targets, outcome.lengths)
            )
        figures = (
            str(len(outcome)),
            percent(interval.value),
            f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
            percent(metrics.mean_class_accuracy(matrix)),
            percent(metrics.top_accuracy(outcome.labels, outcome.probabilities)),
            frames,
            percent(metrics.calibration(outcome.labels, outcome.probabilities).error),
        )
        rows.append([Cell(outcome.mode), *_numbers((str(outcome.split), *figures))])
    columns = (
        "Mode", "Split", "Test clips", "Accuracy", "95 % interval", "Mean of classes", "Top 5", "Frame accuracy",
        "Calibration error",
    )  # fmt: skip
    intro = (
        "Clip mode knows the whole clip before it answers, as published offline results do; online mode knows each "
        "frame's past only, and is what runs on a device. Intervals are bootstraps over clips: where few people stand "
        "behind many clips, the true uncertainty is larger."
    )
    return Section("results", "Results", intro, tables=[Table(columns, rows)])


def clip_class_accuracies(outcomes: Sequence[SplitPredictions]) -> dict[str, dict[str, float]]:
    """Clip-level accuracy by way of reading the class, mean over splits, of each mode by its title."""
    found = {}
    for mode in sorted({outcome.mode for outcome in outcomes}):
        own = [outcome.clip_accuracies() for outcome in outcomes if outcome.mode == mode]
        ways = [way for way in WAYS if all(way in accuracies for accuracies in own)]
        found[MODE_TITLES[mode]] = {way: float(np.mean([each[way] for each in own])) for way in ways}
    return found


def _clip_class(data: ReportData) -> Section | None:
    if not any(len(outcome.clip_accuracies()) > 1 for outcome in data.outcomes):
        return None
    rows = []
    for outcome in sorted(data.outcomes, key=lambda outcome: (outcome.mode, outcome.split)):
        found = outcome.clip_accuracies()
        cells = [percent(found[way]) if way in found else "-" for way in WAYS]
        rows.append([Cell(outcome.mode), *_numbers((str(outcome.split), str(len(outcome)), *cells))])
    intro = (
        "Accuracy of the clip's class under the official protocol, read in different ways: from the class head; from "
        "the segments, as the class whose actions explain the frames best; and from a network that learnt every clip "
        "as one action of its class."
    )
    picture = plots.clip_class_bars(clip_class_accuracies(data.outcomes))
    columns = ("Mode", "Split", "Test clips", *(way.capitalize() for way in WAYS))
    return Section("clip_class", "With and without relabelling", intro, [picture], [Table(columns, rows)])


def _published(data: ReportData) -> Section:
    splits = sorted({outcome.split for outcome in data.outcomes})
    measured = {
        mode: float(np.mean([metrics.accuracy(o.labels, o.predictions) for o in data.outcomes if o.mode == mode]))
        for mode in ("clip", "online")
        if any(outcome.mode == mode for outcome in data.outcomes)
    }
    note = f"split {splits[0]}" if len(splits) == 1 else f"mean of splits {', '.join(map(str, splits))}"
    intro = (
        "Accuracy in percent, in the form of the paper's Table 1. Cited figures come from others, under "
        "their own conditions; measured ones come from this run. A dash means that there is none."
    )
    return Section("table1", "Table 1", intro, tables=[_table_of(build_table1(data.dataset, measured, note=note))])


def _table_of(table: Table1) -> Table:
    rows = []
    for row in table.rows:
        cells = [Cell(row.method, row.note)]
        for name in table.columns:
            figure = row.figures.get(name)
            cells.append(Cell(str(figure), figure.kind, number=True) if figure else Cell("-", number=True))
        rows.append(cells)
    strong = frozenset(i for i, row in enumerate(table.rows) if row.ours)
    return Table(("Method", *table.titles()), rows, strong=strong)


def _training(data: ReportData) -> Section | None:
    if not data.histories:
        return None
    intro = (
        "Loss and accuracy by epoch; test clips play no part in it. Training clips are varied at random, so that "
        "their accuracy may stay below that of the validation clips."
    )
    return Section("training", "Training", intro, [plots.training_curves(data.histories)])


def _classes(data: ReportData) -> Section:
    outcome = _shown(data)
    matrix = metrics.confusion(outcome.labels, outcome.predictions, len(outcome.classes))
    picture = plots.class_bars(metrics.class_accuracies(matrix), matrix.sum(axis=1), outcome.classes)
    return Section("classes", "Classes", f"{_caption(outcome)} In brackets: test clips of the class.", [picture])


def _confusion(data: ReportData) -> Section:
    outcome = _shown(data)
    matrix = metrics.confusion(outcome.labels, outcome.predictions, len(outcome.classes))
    rows = [
        [Cell(outcome.classes[true]), Cell(outcome.classes[said]), *_numbers([f"{clips} of {matrix[true].sum()}"])]
        for true, said, clips in metrics.frequent_confusions(matrix)
    ]
    table = [Table(("True class", "Taken for", "Clips"), rows, "Most frequent confusions")] if rows else []
    picture = plots.confusion_matrix(matrix, outcome.classes)
    return Section("confusion", "Confusion", f"{_caption(outcome)} Each row sums to 100 %.", [picture], table)


def _observed(data: ReportData) -> Section | None:
    outcome = _first_split(data).get("online")
    if outcome is None:
        return None
    values = metrics.observed_accuracy(outcome.labels, outcome.frame_probabilities, outcome.lengths)
    picture = plots.observed_curve(metrics.OBSERVED_SHARES, {"online mode": values}, 1 / len(outcome.classes))
    intro = f"{_caption(outcome)} The answer after only the first part of each clip, as a camera would give it."
    return Section("observed", "Early recognition", intro, [picture])


def _confidence(data: ReportData) -> Section:
    outcome = _shown(data)
    result = metrics.calibration(outcome.labels, outcome.probabilities)
    intro = (
        f"{_caption(outcome)} Dots above the diagonal: more often right than stated. "
        f"Expected calibration error {percent(result.error)}."
    )
    return Section(
        "confidence",
        "Confidence",
        intro,
        [plots.calibration_plot(result.confidence, result.accuracy, result.count, error=result.error)],
    )


def _attention(data: ReportData) -> Section:
    outcome = _shown(data)
    clips = attention_figures.example_clips(outcome, EXAMPLES)
    pictures = [attention_figures.filmstrip(outcome, clip) for clip in clips]
    intro = (
        f"{_caption(outcome)} Recognised clips of median confidence, and the most confident mistake. "
        "Attention is given as a multiple of an even share: 1 means not preferred."
    )
    return Section("attention", "Attention", intro, [*pictures, attention_figures.joints_heatmap(outcome, clips[0])])


def _decisions(data: ReportData) -> Section | None:
    if not data.explanations:
        return None
    intro = (
        "Attention says where the network looks; here, what that adds to the class that was recognised: attention times "
        "the change of the class's score with it, joint by joint and frame by frame. A first-order estimate; "
        "the command pan explain draws it for any clip."
    )
    return Section("decisions", "What decided", intro, [explanation_picture(one) for one in data.explanations])


def data_section(data: ReportData) -> Section | None:
    """Clips by class and part, and what is in quarantine and why; None where neither is given."""
    tables = []
    if data.clips is not None:
        rows = [[Cell(str(name)), *_numbers(str(int(n)) for n in row)] for name, *row in data.clips.itertuples()]
        rows.append([Cell("All"), *_numbers(str(int(n)) for n in data.clips.sum())])
        columns = ("Class", *map(str, data.clips.columns))
        tables.append(Table(columns, rows, "Clips by class and part", strong=frozenset({len(rows) - 1})))
    if data.quarantine is not None:
        count = len(data.quarantine)
        rows = [[Cell(str(v)) for v in row] for row in data.quarantine.head(QUARANTINE_ROWS).itertuples(index=False)]
        caption = f"Quarantined clips: {count}"
        if count > QUARANTINE_ROWS:
            caption += f", of which the first {QUARANTINE_ROWS} are shown"
        columns = tuple(str(name).replace("_", " ") for name in data.quarantine.columns)
        tables.append(Table(columns, rows, caption, folded=count > 0))
    if not tables:
        return None
    return Section("data", "Data", "Clips that failed a check are set aside with the reason and not used.", (), tables)


def _poses(data: ReportData) -> Section | None:
    if data.pose_accuracy is None:
        return None
    picture = plots.joint_bars(data.pose_accuracy.joints, data.pose_accuracy.pck, data.pose_accuracy.threshold)
    intro = "Share of true joints that the extractor places near enough; a joint that it does not find counts as wrong."
    return Section("poses", "Poses", intro, [picture])


def _relabelling(data: ReportData) -> Section | None:
    found = data.relabelling
    if found is None:
        return None
    rows = [
        [Cell(way), *_numbers((percent(share), _mean_distance(found.boundary_errors[way], found.unit)))]
        for way, share in found.frame_accuracy.items()
    ]
    columns = ("Segments", "Frames with a right label", "Mean distance of boundaries")
    shown = {way: errors for way, errors in found.boundary_errors.items() if errors.size}
    pictures = [plots.boundary_errors(shown, found.unit)] if shown else []
    intro = (
        f"{found.clips} clips of actions one after the other, whose order is known. Boundaries from change points of "
        "the motion are refined by forced alignment against the posteriors of networks that did not see the clip; "
        "equal parts are the naive cut."
    )
    return Section("relabelling", "Segments", intro, pictures, [Table(columns, rows, strong=frozenset({0}))])


def _mean_distance(errors: np.ndarray, unit: str) -> str:
    return f"{np.abs(errors).mean():.2f} {unit}" if errors.size else "-"


def _settings(data: ReportData) -> Section | None:
    tables = []
    if data.settings:
        rows = [[Cell(name), Cell(value)] for name, value in _flat(data.settings)]
        tables.append(Table(("Parameter", "Value"), rows, "Parameters", folded=True))
    if data.runs:
        tables.append(Table(("Stage", "Run"), [[Cell(k), Cell(v)] for k, v in data.runs.items()], "Tracked runs"))
    return Section("settings", "Parameters and runs", "What this report was made with.", (), tables) if tables else None


def _flat(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", str(value))]
    return rows


def _provenance(data: ReportData) -> Section | None:
    if not data.provenance:
        return None
    rows = [[Cell(entry.figure, entry.kind), Cell(entry.how)] for entry in data.provenance]
    intro = "Measured figures can be made again with the command beside them."
    return Section("provenance", "How each figure was obtained", intro, (), [Table(("Figure", "How"), rows)])
