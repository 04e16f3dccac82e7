"""`pan benchmark`: the official protocol over seeds, and the comparison of two results. Imports are late: start-up."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pan_core.files import cache_folder, require_output_folder


class _RunByDefault(typer.core.TyperGroup):
    """`pan benchmark penn_action` means `pan benchmark run penn_action`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


SHOWN = 5

app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Run official protocols over seeds (NAME...), compare two results, or measure events on long streams.",
)


OutOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the result files; if left out, docs/results for the whole dataset as published, all splits, both modes, the "
        "project's recipes and 5 seeds or more, else reports/benchmark."
    ),
]
WithoutOption = Annotated[
    list[str] | None, typer.Option(help="Leave out a part of the paper (put in an unused one), or 'all' in turn.")
]
OtherSeedsOption = Annotated[
    int | None, typer.Option(min=1, help="Seeds of what runs beside PAN; as many as PAN's if left out.")
]


ClassesOption = Annotated[
    str, typer.Option(help="Only these classes, with commas; the figures are then not those of the dataset.")
]

PicturesOption = Annotated[
    str,
    typer.Option(
        help="Networks that see pictures beside it, with commas: c3d, two_stream, transformation, or 'all'; of videos only."
    ),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=FILE, or NAME=imagenet to download: where they begin; NAME is c3d, googlenet (two_stream) or vgg16 (transformation)."
    ),
]


@app.command("run")
def run(
    names: Annotated[list[str], typer.Argument(help="Datasets, such as penn_action jhmdb14.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to SEEDS - 1.")] = 5,
    modes: Annotated[str, typer.Option(help="Input modes, with commas.")] = "clip,online",
    splits: Annotated[str, typer.Option(help="Official splits, with commas, or 'all'.")] = "all",
    out: OutOption = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's, to try things out.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes of one thread; 0: the free cores, two at most.")] = 0,
    comparators: Annotated[
        bool, typer.Option("--comparators", help="A plain GRU, an ST-GCN and a DD-Net beside it.")
    ] = False,
    without: WithoutOption = None,
    control: Annotated[list[str] | None, typer.Option(help="'leakage': a random split, groups ignored.")] = None,
    other_seeds: OtherSeedsOption = None,
    other_modes: Annotated[str, typer.Option(help="Input modes of what runs beside PAN; PAN's if left out.")] = "",
    classes: ClassesOption = "",
    ladder: Annotated[
        bool,
        typer.Option("--ladder", help="How much annotated joints and boxes help, on the same clips; of jhmdb_video."),
    ] = False,
    pose_network: Annotated[str, typer.Option(help="Pose network for videos instead of the default.")] = "",
    quality: Annotated[str, typer.Option(help="Quality of its extraction instead of the default.")] = "",
    pictures: PicturesOption = "",
    picture_weights: WeightsOption = None,
    device: Annotated[str, typer.Option(help="Where networks that see pictures run: auto, cpu or cuda.")] = "auto",
) -> None:
    """Train and score the recognizer over seeds, splits and modes; goes on where it was ended."""
    from pan_core.benchmark.coordinator import benchmark, prepare_chosen
    from pan_core.benchmark.ladder import climb, require_ladder
    from pan_core.benchmark.picture_comparison import require_pictures
    from pan_core.benchmark.prepared_data import dataset_of_benchmark
    from pan_core.benchmark.request import parse_request
    from pan_core.benchmark.results_page import write_results_page
    from pan_core.params.load import Params
    from pan_core.workspace.context import dataset_context
    from pan_core.workspace.recipe import project_poses, project_recipe

    request = parse_request(
        seeds=seeds, modes=modes, splits=splits, comparators=comparators, without=without or [],
        control=control or [], other_seeds=other_seeds, other_modes=other_modes, epochs=epochs,
        workers=workers or free_cores(), classes=classes, pose_network=pose_network, quality=quality,
        pictures=split_names(pictures), picture_weights=picture_weights or [], device=device,
    )  # fmt: skip
    for name in names:
        dataset_of_benchmark(name)
        require_pictures(name, request)
        if ladder:
            require_ladder(name, request)
    poses = project_poses(pose_network, quality)
    if out:
        require_output_folder(out)
    chosen = [(name, dataset_context(Params(dataset=name))) for name in names]
    written = {}
    for name, context in chosen:
        folder, recipe = cache_folder() / "benchmark" / name, project_recipe(name, epochs)
        _, data = prepare_chosen(name, request, folder, context, poses)
        place = out or Path("docs/results" if request.whole and not data.lacking.differences else "reports/benchmark")
        require_output_folder(place)
        arguments: Any = {"folder": folder, "context": context, "out": place, "poses": poses}
        typer.echo(_summarise(benchmark(name, request, recipe, **arguments)))
        if ladder:
            typer.echo(_summarise_ladder(climb(name, request, recipe, **arguments)))
        written[place] = write_results_page(place)
    for page in written.values():
        typer.echo(f"written: {page}")


@app.command("actors_to_real")
def actors_to_real(
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to SEEDS - 1.")] = 3,
    modes: Annotated[str, typer.Option(help="Input modes, with commas.")] = "clip,online",
    clips: Annotated[int, typer.Option(min=2, help="Drawn clips of each class, as skeletons alone.")] = 160,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them.")] = 9,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = Path("reports/benchmark"),
) -> None:
    """Train on drawn actors alone, and test on real people: nine everyday actions of JHMDB, from video."""
    from pan_core.benchmark.actors_to_real import NAME, REAL, TransferRequest, transfer
    from pan_core.benchmark.request import parse_modes
    from pan_core.benchmark.results_page import write_results_page
    from pan_core.params.load import Params
    from pan_core.workspace.context import dataset_context
    from pan_core.workspace.recipe import project_poses, project_recipe

    request = TransferRequest(seeds, parse_modes(modes), clips, epochs)
    require_output_folder(out)
    result = transfer(
        request,
        project_recipe(NAME, epochs),
        folder=cache_folder() / "benchmark" / REAL,
        context=dataset_context(Params(dataset=REAL)),
        poses=project_poses(),
        out=out,
    )
    for part, own in result["parts"].items():
        for mode, found in own["modes"].items():
            typer.echo(f"{part} part, {mode} mode: {100 * found['accuracy']:.1f} % of {own['clips']} real clips")
    typer.echo(f"written: {write_results_page(out)}")


@app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(help="Result file A.")],
    second: Annotated[Path, typer.Argument(help="Result file B.")],
    mode: Annotated[str, typer.Option(help="Input mode.")] = "clip",
) -> None:
    """Paired test of two results on the same clips, splits and seeds."""
    from pan_core.benchmark.results import compare_results

    found = compare_results(first, second, mode=mode)
    typer.echo(
        f"A - B: {100 * found.difference:+.2f} points, 95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}, "
        f"{found.clips} clips; {found.test} test p = {found.p_value:.3g}"
    )


@app.command("events")
def events(
    streams: Annotated[
        str,
        typer.Option(help="Streams, with commas: actors, actors_background, jhmdb, gmdcsa24_falls; all if left out."),
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of online.json and its page.")] = Path("docs/results"),
) -> None:
    """Measure events on long streams: hits, false alarms, F1, delay; goes on where it was ended."""
    from pan_core.workspace.event_benchmark import benchmark_events

    require_output_folder(out)
    typer.echo(f"written: {benchmark_events(split_names(streams), out, say=typer.echo)}")


def split_names(text: str) -> list[str]:
    """Words between commas; none of an empty text."""
    return [word.strip() for word in text.split(",")] if text else []


def free_cores() -> int:
    """Cores that nobody uses now, one at least and two at most: each worker holds a dataset in memory."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(2, round(cores - os.getloadavg()[0])))


def _summarise_ladder(ladder: dict) -> str:
    lines = [f"Ladder of {ladder['dataset']}, {ladder['clips']} clips of {len(ladder['class_names'])} classes:"]
    for rung in ladder["rungs"]:
        found = [(mode, rung[f"{prefix}mean_accuracy"]) for mode, prefix in (("clip", ""), ("online", "online_"))]
        figures = ", ".join(f"{mode} {100 * mean:.1f} %" for mode, mean in found if mean is not None)
        lines.append(f"  {rung['title']}: {figures}; {rung['without_people']} clips without people")
    return "\n".join(lines)


def _summarise(result: dict) -> str:
    lines = [f"{result['title']}: {result['params']:,} parameters"]
    for name, what in (
        ("missing", "listed, not at hand"),
        ("unreadable", "not usable"),
        ("clips_without_people", "without people"),
    ):
        if clips := list(result[name]):
            more = f" and {len(clips) - SHOWN} more" if len(clips) > SHOWN else ""
            lines.append(f"  {len(clips)} clips {what}: {', '.join(clips[:SHOWN])}{more}; all are in the result file")
    for mode, prefix in (("clip", ""), ("online", "online_")):
        mean, spread = result[f"{prefix}mean_accuracy"], result[f"{prefix}std_accuracy"]
        if mean is not None:
            low, high = result[f"{prefix}interval95"]
            spread_text = "one seed" if spread is None else f"sd of {result[f'{prefix}seeds']} seeds {100 * spread:.1f}"
            lines.append(
                f"  {mode} mode: {100 * mean:.1f} %, {spread_text}, 95 % interval {100 * low:.1f} to {100 * high:.1f}"
            )
    return "\n".join(lines)
