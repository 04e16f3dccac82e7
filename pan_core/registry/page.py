"""A decision as a page that needs no other file."""

from pathlib import Path

import jinja2

from pan_core.files import atomic_path
from pan_core.registry.decision import Decision


def write_page(path: Path, decision: Decision) -> None:
    """Write a decision with its conditions as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pan_core.registry", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    with atomic_path(path) as partial:
        partial.write_text(environment.get_template("promotion.html.j2").render(decision=decision))
