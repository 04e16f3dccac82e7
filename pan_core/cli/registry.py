"""`pan registry`: the versions of the recognizer, and which of them is in use. Imports are late: start-up."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from pan_core.registry.models import CHAMPION, DECISION, Registry, Version, registry_of

Dataset = Annotated[
    str | None, typer.Option("--dataset", help="Whose versions; the dataset in params.yaml where left out.")
]

app = typer.Typer(help="Versions of the recognizer: which is the champion, and why.", no_args_is_help=True)


@app.command("list")
def list_versions(dataset: Dataset = None) -> None:
    """Show every version with its figures and what was decided, the newest first."""
    registry = _open_registry(dataset)
    versions = registry.versions()
    if not versions:
        typer.echo(f"{registry.name}: nothing is registered yet; `pan run` registers what it trains")
    for version in versions:
        made = datetime.fromtimestamp(version.created / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        role = f" ({', '.join(version.aliases)})" if version.aliases else ""
        accuracy = float(version.tags.get("test_accuracy_online", "nan"))
        typer.echo(
            f"{registry.name} version {version.number}{role}: {100 * accuracy:.1f} % online{_describe_counted(version)}, "
            f"step p90 {version.tags.get('step_p90_ms', '?')} ms, data {version.tags.get('data', '?')}, {made}"
        )
        typer.echo(f"    {version.tags.get(DECISION, 'not decided')}")


def _describe_counted(version: Version) -> str:
    """What the accuracy of a version counts."""
    from pan_core.workspace.result_keys import COUNTS_LISTED

    if version.tags.get("test_accuracy_counts") != COUNTS_LISTED:
        return " (of the test clips with people only)"
    absent = float(version.tags.get("test_share_without_people", 0))
    return f" ({100 * absent:.1f} % of the test clips without people)" if absent else ""


@app.command()
def promote(
    number: Annotated[int, typer.Argument(metavar="VERSION", help="Number of the version.")], dataset: Dataset = None
) -> None:
    """Make a version the champion by hand, whatever was decided."""
    registry = _open_registry(dataset)
    version = registry.version(number)
    if CHAMPION in version.aliases:
        typer.echo(f"{registry.name}: version {number} is the champion already")
        return
    registry.promote(number)
    registry.tag(number, DECISION, f"promoted by hand; before: {version.tags.get(DECISION) or 'not decided'}")
    typer.echo(f"{registry.name}: version {number} is the champion")


@app.command()
def rollback(dataset: Dataset = None) -> None:
    """Go back to the champion before."""
    registry = _open_registry(dataset)
    left, came = registry.rollback()
    typer.echo(f"{registry.name}: version {came} is the champion again, version {left} is not")


def _open_registry(dataset: str | None) -> Registry:
    from pan_core.params.load import load_params

    if dataset is None:
        return registry_of(load_params().dataset)
    from pan_core.datasets.registry import check_name

    check_name(dataset)
    return registry_of(dataset)
