"""The report of one evaluation: a single HTML file that needs nothing else, for a screen, a phone or paper."""

import base64
from pathlib import Path

from pan_core.evaluation.report_data import Card, PoseAccuracy, Provenance, Relabelling, ReportData
from pan_core.evaluation.report_layout import ReportSection
from pan_core.evaluation.report_sections import build_sections, headline
from pan_core.files import atomic_path
from pan_core.viewer.templates import templates

__all__ = ["Card", "PoseAccuracy", "Provenance", "Relabelling", "ReportData", "write_report"]


def write_report(path: Path, data: ReportData) -> list[ReportSection]:
    """Draw and write the report; the file appears whole or not at all.

    Returns:
        Its sections, whose pictures can be kept elsewhere too.

    Raises:
        DataError: If predictions have no clips.
    """
    environment = templates("pan_core.evaluation")
    environment.filters["svg_uri"] = _svg_uri
    sections = build_sections(data)
    page = environment.get_template("report.html.j2").render(
        data=data, cards=[*headline(data), *data.cards], sections=sections
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return sections


def _svg_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
