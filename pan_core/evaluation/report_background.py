"""Sections of the report on what the figures rest on: training, data, poses, segments, parameters, provenance."""

from collections.abc import Mapping

import numpy as np

from pan_core.evaluation.report_data import ReportData
from pan_core.evaluation.report_layout import Cell, ReportSection, Table, number_cells, percent
from pan_core.viewer import plots

# A quarantine of thousands would bury the report; the table file has them all.
QUARANTINE_ROWS = 200


def training_section(data: ReportData) -> ReportSection | None:
    """Loss and accuracy by epoch; None without training curves."""
    if not data.histories:
        return None
    intro = (
        "Loss and accuracy by epoch; test clips play no part in it. Training clips are varied at random, so that "
        "their accuracy may stay below that of the validation clips."
    )
    return ReportSection("training", "Training", intro, [plots.training_curves(data.histories)])


def data_section(data: ReportData) -> ReportSection | None:
    """Clips by class and part, and what is in quarantine and why; None where neither is given."""
    tables = []
    if data.clips is not None:
        rows = [[Cell(str(name)), *number_cells(str(int(n)) for n in row)] for name, *row in data.clips.itertuples()]
        rows.append([Cell("All"), *number_cells(str(int(n)) for n in data.clips.sum())])
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
    return ReportSection(
        "data", "Data", "Clips that failed a check are set aside with the reason and not used.", (), tables
    )


def pose_section(data: ReportData) -> ReportSection | None:
    """Accuracy of the poses, by joint; None if it was not measured."""
    if data.pose_accuracy is None:
        return None
    picture = plots.joint_bars(data.pose_accuracy.joints, data.pose_accuracy.pck, data.pose_accuracy.threshold)
    intro = "Share of true joints that the extractor places near enough; a joint that it does not find counts as wrong."
    return ReportSection("poses", "Poses", intro, [picture])


def relabelling_section(data: ReportData) -> ReportSection | None:
    """Quality of the segments; None if it was not measured."""
    found = data.relabelling
    if found is None:
        return None
    rows = [
        [Cell(way), *number_cells((percent(share), _format_mean_distance(found.boundary_errors[way], found.unit)))]
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
    return ReportSection("relabelling", "Segments", intro, pictures, [Table(columns, rows, strong=frozenset({0}))])


def _format_mean_distance(errors: np.ndarray, unit: str) -> str:
    return f"{np.abs(errors).mean():.2f} {unit}" if errors.size else "-"


def settings_section(data: ReportData) -> ReportSection | None:
    """Parameters and tracked runs; None if neither is given."""
    tables = []
    if data.settings:
        rows = [[Cell(name), Cell(value)] for name, value in _flatten(data.settings)]
        tables.append(Table(("Parameter", "Value"), rows, "Parameters", folded=True))
    if data.runs:
        tables.append(Table(("Stage", "Run"), [[Cell(k), Cell(v)] for k, v in data.runs.items()], "Tracked runs"))
    return (
        ReportSection("settings", "Parameters and runs", "What this report was made with.", (), tables)
        if tables
        else None
    )


def _flatten(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        rows += _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", str(value))]
    return rows


def provenance_section(data: ReportData) -> ReportSection | None:
    """How each figure was obtained; None if no figure says so."""
    if not data.provenance:
        return None
    rows = [[Cell(entry.figure, entry.kind), Cell(entry.how)] for entry in data.provenance]
    intro = "Measured figures can be made again with the command beside them."
    return ReportSection("provenance", "How each figure was obtained", intro, (), [Table(("Figure", "How"), rows)])
