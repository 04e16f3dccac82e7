"""`pan edge`: bundles for devices, what they measured, and what is predicted for them. Imports are late: start-up."""

from pathlib import Path
from typing import Annotated

import typer

from pan_core.files import cache_folder, require_output_folder

app = typer.Typer(help="Devices: bundles for them, and their latency.", no_args_is_help=True)

TargetName = Annotated[str, typer.Option("--target", help="A target of edge/targets.yaml.")]


@app.command()
def targets() -> None:
    """Show the devices that models can be exported for."""
    from pan_core.export.targets import read_targets

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
    from pan_core.workspace.devices import bundle_target, exported_targets

    require_output_folder(out)
    for name in [target] if target else exported_targets():
        manifest = bundle_target(name, out / name)
        size = sum(path.stat().st_size for path in (out / name).rglob("*") if path.is_file())
        typer.echo(f"{out / name}: {manifest['recogniser']}, {len(manifest['files'])} files, {size / 1e6:.1f} MB")


@app.command()
def run(
    host: Annotated[str, typer.Option(help="The device, such as pi@192.168.1.7; SSH must ask for no password.")],
    target: TargetName,
    profile: Annotated[str, typer.Option(help="full, which gates ask for, or short.")] = "full",
    install: Annotated[bool, typer.Option("--install", help="Run the bundle's install.sh there first.")] = False,
    any_device: Annotated[
        bool, typer.Option("--any-device", help="Measure also where it is another device; such figures pass no gate.")
    ] = False,
    ssh_config: Annotated[Path | None, typer.Option(help="SSH configuration; your own where left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the bundle and of the result.")] = Path("dist"),
) -> None:
    """Copy a bundle to a device, measure there, bring the result back, and keep it where it counts."""
    from pan_core.edge.ssh import Device, bench_on
    from pan_core.errors import DataError
    from pan_core.files import atomic_path, sha256_of
    from pan_core.workspace.devices import bundle_target

    if profile not in ("full", "short"):
        raise DataError(f"--profile: expected full or short, but got {profile!r}", code="cli.profile")
    require_output_folder(out)
    device = Device(host, ssh_config)
    bundle_target(target, out / target)
    content = bench_on(device, out / target, profile=profile, install=install, any_device=any_device, say=typer.echo)
    result = out / f"{target}-result.json"
    with atomic_path(result) as partial:
        partial.write_text(content)
    typer.echo(f"written: {result}")
    _keep(result, bundle=sha256_of(out / target / "manifest.json"))


@app.command("import")
def import_result(result: Annotated[Path, typer.Argument(help="What `pan-edge bench` wrote on the device.")]) -> None:
    """Keep a measurement made elsewhere, where it counts; the stage latency then goes by it."""
    _keep(result)


@app.command()
def emulate(
    target: Annotated[
        str | None, typer.Option(help="A target whose processor can be imitated; all of them where left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the bundles.")] = Path("dist"),
) -> None:
    """Let a bundle check itself on ARM code, by QEMU: whether its answers are right, nothing about speed."""
    from pan_core.edge.emulation import check_emulated
    from pan_core.export.targets import read_targets, target_by_name
    from pan_core.workspace.devices import bundle_target, exported_targets

    require_output_folder(out)
    able = [name for name in exported_targets() if read_targets()[name].emulate]
    for name in [target] if target else able:
        bundle_target(name, out / name)
        typer.echo(check_emulated(out / name, target_by_name(name), cache_folder() / "emulation", say=typer.echo))


@app.command()
def predict() -> None:
    """Show what a roofline predicts for every device, and how far such predictions were off elsewhere."""
    from pan_core.edge.roofline import ANCHORS, fit
    from pan_core.params.load import load_params
    from pan_core.workspace.devices import predictions

    fitted = fit()
    typer.echo("predicted, not measured: milliseconds of the networks for one person, nobody lost\n")
    typer.echo("| target | crop | search | PAN step | frame | frames a second |\n| --- | --- | --- | --- | --- | --- |")
    for name, found in predictions(load_params()).items():
        typer.echo(
            f"| {name} | {found['crop']:.1f} | {found['search']:.1f} | {found['step']:.3f} | {found['frame']:.1f} | {found['fps']:.1f} |"
        )
    typer.echo(
        f"\nfitted to {len(ANCHORS)} published figures: devices reach {100 * fitted.share:.0f} % of their peak; predicted from the "
        f"others, each was off by a factor of {fitted.factor:.1f} (one standard deviation):\n"
    )
    typer.echo(
        "| network | device | published ms | predicted over published | source |\n| --- | --- | --- | --- | --- |"
    )
    for anchor, error in zip(ANCHORS, fitted.errors, strict=True):
        typer.echo(f"| {anchor.network} | {anchor.device} | {anchor.milliseconds:g} | {error:.2f} | {anchor.source} |")


def _keep(path: Path, *, bundle: str = "") -> None:
    from pan_core.edge.result import describe, read_result
    from pan_core.errors import DataError
    from pan_core.workspace.devices import take_result

    result = read_result(path)
    typer.echo(describe(result))
    if bundle and result["bundle"] != bundle:
        raise DataError(
            f"{path}: the device measured another bundle than the one that was sent; run again",
            code="edge.other-bundle",
        )
    verdict, kept = take_result(result)
    typer.echo(f"kept: {kept}\n{verdict.reason}: the budget is {'kept' if verdict.keeps else 'not kept'}")
