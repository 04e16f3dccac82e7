"""A decision as a page that needs no other file."""

from collections.abc import Sequence
from pathlib import Path

from pan_core.files import atomic_path
from pan_core.registry.promotion import Decision
from pan_core.viewer.templates import templates


def write_page(path: Path, decision: Decision, notes: Sequence[str] = ()) -> None:
    """Write a decision with its conditions, and what else is worth knowing, as HTML."""
    template = templates("pan_core.registry").get_template("promotion.html.j2")
    page = template.render(decision=decision, notes=notes)
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")
