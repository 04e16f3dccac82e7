"""`pan edge`: bundles for devices, what they measured, and what is predicted where nothing was measured."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Devices: bundles for them, and their latency.", no_args_is_help=True)

TargetName = Annotated[str, typer.Option("--target", help="A target of edge/targets.yaml.")]


@app.command()
def targets() -> None:
    """Show the devices that models can be exported for."""
    from pan_core.edge.targets import read_targets

    for name, target in read_targets().items():
        budget = (
            f"{target.budget.fps:g} frames a second, step {target.budget.step_ms:g} ms"
            if target.budget
            else "no budget"
        )
        typer.echo(f"{name}: {target.runtime}, {target.precision}, {target.threads} threads; {budget}")


@app.command()
def bundle(
    target: Annotated[
        str | None, typer.Option(help="A target of edge/targets.yaml; all that were exported where left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the bundles.")] = Path("dist"),
) -> None:
    """Put together what a device gets, as dist/TARGET: networks, runtime, scripts, manifest."""
    from pan_core.stages.bundling import bundle_target, exported_targets

    for name in [target] if target else exported_targets():
        manifest = bundle_target(name, out / name)
        size = sum(path.stat().st_size for path in (out / name).rglob("*") if path.is_file())
        typer.echo(f"{out / name}: {manifest['recogniser']}, {len(manifest['files'])} files, {size / 1e6:.1f} MB")
