"""A decision as a page that needs no other file."""

from pathlib import Path

from pan_core.files import atomic_path
from pan_core.pages import templates
from pan_core.registry.decision import Decision


def write_page(path: Path, decision: Decision) -> None:
    """Write a decision with its conditions as HTML."""
    page = templates("pan_core.registry").get_template("promotion.html.j2").render(decision=decision)
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")
