"""What a run shows beside it in Prefect: its figures, and where everything that it wrote lies."""

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from pan_core.files import read_json
from pan_core.tracking.tracker import run_address
from pan_core.workspace import paths

PAGES = {
    "Report": paths.REPORT,
    "Promotion": paths.PROMOTION,
    "Data Docs": paths.DATA_DOCS / "index.html",
    "Figures": paths.SUMMARY,
}


@task(name="summary", task_run_name="summary", cache_policy=NO_CACHE, persist_result=False)
def show_results(folder: Path) -> None:
    """Put the figures of a run and links to its results beside it."""
    logger, summary = get_run_logger(), folder / paths.SUMMARY
    values = read_json(summary) if summary.is_file() else {}
    create_markdown_artifact(
        links(folder, values.get("mlflow_run_id")), key="pan-results", description="Where the results lie"
    )
    if not values:
        logger.info("%s was not written, so there is no table of figures", summary)
        return
    rows = figures(values)
    create_table_artifact(table=rows, key="pan-summary", description="Figures of the run")
    width = max((len(row["figure"]) for row in rows), default=0)
    logger.info("\n".join([str(summary), *(f"  {row['figure']:{width}}  {row['value']}" for row in rows)]))


def figures(summary: dict[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    """Nested JSON as rows of (figure, value), names joined by dots."""
    rows: list[dict[str, Any]] = []
    for key, value in summary.items():
        if isinstance(value, dict):
            rows += figures(value, f"{prefix}{key}.")
        else:
            rows.append({"figure": f"{prefix}{key}", "value": value if isinstance(value, int | float) else str(value)})
    return rows


def links(folder: Path, run_id: str | None) -> str:
    """Markdown that leads to the pages in a folder that are there, and to the run in MLflow.

    A browser does not follow a link from a server's page to a file, so each path also stands as text to copy.
    """
    lines = [f"Results are in `{folder}` on the machine that ran them.", ""]
    if run_id:
        address = run_address(run_id)
        lines.append(f"- MLflow run: [{run_id}]({address})" if address else f"- MLflow run: `{run_id}` (`make ui`)")
    for name, path in PAGES.items():
        page = (folder / path).absolute()
        if page.is_file():
            lines.append(f"- [{name}]({page.as_uri()}): `{page}`")
    return "\n".join(lines)
