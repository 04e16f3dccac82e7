"""docs/results/README.md: the figures of every result file beside published ones."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pan_core.benchmark.methods import JOINTS_LOSS, SWITCHES
from pan_core.benchmark.protocol import PICTURES
from pan_core.evaluation.table1 import DATASET_TITLES, MEASURED, MODE_TITLES, published
from pan_core.files import atomic_path, read_json

_log = logging.getLogger(__name__)

METHODS = {
    "gru": "Plain GRU on joint places",
    "stgcn": "ST-GCN (Yan et al., 2018)",
    "ddnet": "DD-Net (Yang et al., 2019)",
    "c3d": "C3D (Tran et al., 2015)",
    "two_stream": "Two streams and LSTM (Ng et al., 2015)",
    "transformation": "Transformation, VGG-16 (Wang et al., 2016)",
    "leakage": "PAN, leakage control",
}
NOTES = {"controls": "random split of the same sizes: not a result", "comparators": "reads the places of joints only"}
COSTS = ("MACs of a clip", "ms of a clip", "ms to read it")
SHOWN = 5
COLUMNS = ("method", "accuracy", "sd of seeds", "95 % interval", "parameters", "kind", "note")

INTRODUCTION = """# Results

Written by `pan benchmark`; do not edit. Accuracy in percent on the official test part: mean over seeds of the mean over
splits. *sd of seeds*: standard deviation of the seeds' means. *95 % interval*: bootstrap over test clips. *Kind*:
**measured** by the command below, **cited** from a publication, **rerun**: another method's own code and recipe on the
same data. One recipe for all datasets; training is on the whole official training part. How the recipe was chosen, and which choices
have seen clips that another split tests, stands in [decisions](../decisions.md).
"""


def write_results_page(folder: Path) -> Path:
    """Write README.md with all result files of a folder, and return its path."""
    results = {path: read_json(path) for path in sorted(folder.glob("*.json"))}
    ladders = [results.pop(path) for path, result in list(results.items()) if result.keys() >= {"command", "rungs"}]
    transfers = [results.pop(path) for path, result in list(results.items()) if "tested_on" in result]
    for path in [path for path, result in results.items() if not result.keys() >= {"command", "runs", "recipe"}]:
        _log.warning("%s: not a result file of `pan benchmark`, left out of the table", path)
        del results[path]
    sections = [*map(_write_section, results.values()), *map(_write_ladder, ladders), *map(_write_transfer, transfers)]
    path = folder / "README.md"
    with atomic_path(path) as partial:
        partial.write_text("\n".join([INTRODUCTION, *sections]))
    return path


def _write_section(result: Mapping) -> str:
    comparable = not result.get("selected") and not result.get("differences")
    published_rows = _published_rows(result["dataset"]) if comparable else ()
    rows = [*_model_rows(result), *_other_rows(result), *published_rows]
    columns: Sequence[str] = COLUMNS
    if with_costs := bool(result.get("cost")):
        columns = (*COLUMNS, *COSTS)
        rows = [[*row, *["-"] * (len(columns) - len(row))] for row in rows]
    curve = result.get("online_accuracy_by_observed_share")
    return "\n".join(
        [
            f"## {result['title']}",
            "",
            f"{result['clips']} clips, {result['classes']} classes, splits {', '.join(map(str, result['splits']))}; "
            f"{result['recipe']['training']['epochs']} epochs, {result['recipe']['training']['least_steps']} steps at least; "
            f"{_describe_pretraining(result['recipe'])}`{result['command']}`.",
            *_describe_clips(result),
            "",
            *_format_table(columns, rows),
            "",
            *([_explain_costs(result), ""] if with_costs else []),
            *([*_write_curve(curve), ""] if curve else []),
            *_write_behaviour(result["behaviour"]),
        ]
    )


def _write_ladder(ladder: Mapping) -> str:
    """What each help is worth: the same clips, splits and recipe, and skeletons of another kind on each rung."""
    title, annotated = (DATASET_TITLES[ladder[name]] for name in ("dataset", "annotated"))
    rows = []
    for rung in ladder["rungs"]:
        cells = [rung["title"]]
        for prefix in ("", "online_"):
            mean, spread = rung[f"{prefix}mean_accuracy"], rung[f"{prefix}std_accuracy"]
            cells += (
                ["-", "-"]
                if mean is None
                else [f"{100 * mean:.1f}", "one seed" if spread is None else f"{100 * spread:.1f}"]
            )
        rows.append((*cells, str(rung["without_people"])))
    columns = ("skeletons, in training and test", "clip mode", "sd", "online mode", "sd", "clips without people")
    return "\n".join(
        [
            f"## From annotated joints to video: {title}",
            "",
            f"{ladder['clips']} clips, {len(ladder['class_names'])} classes, splits {', '.join(map(str, ladder['splits']))}; "
            f"`{ladder['command']}`. Joints are annotated ({annotated}) of these classes only: {', '.join(ladder['class_names'])}. Names of "
            "its clips are numbers, but in class, parts in all splits and number of annotated pictures they are those of the videos, so "
            "every rung trains and tests on the same clips. Annotated boxes help the second and the third rung in training and test: "
            "they are measures of what is lost, not results.",
            "",
            *_format_table(columns, rows),
            "",
        ]
    )


def _write_transfer(result: Mapping) -> str:
    """Accuracy on real clips of what learnt from drawn people alone."""
    names = list(result["class_names"])
    rows = [
        (
            f"{part}, {own['clips']} clips",
            MODE_TITLES[mode],
            f"{100 * found['accuracy']:.1f}",
            "one seed" if found["std"] is None else f"{100 * found['std']:.1f}",
            " to ".join(f"{100 * value:.1f}" for value in found["interval95"]),
            *(f"{100 * found['by_class'][name]:.0f}" for name in names),
        )
        for part, own in result["parts"].items()
        for mode, found in own["modes"].items()
    ]
    undetected = ", ".join(f"{own['without_people']} of the {part} part" for part, own in result["parts"].items())
    title = DATASET_TITLES.get(result["tested_on"], result["tested_on"])
    return "\n".join(
        [
            f"## From drawn to real: {len(names)} classes of {title}",
            "",
            f"Trained on {result['drawn_clips']} drawn skeletons of actors, without real clips: `{result['command']}`. Every clip of "
            f"split {result['split']} counts; guessing has {100 / len(names):.0f}; without a detected person: {undetected}. How actors move "
            "and are filmed was chosen on the training part, so only the test part is a result.",
            "",
            *_format_table(("part", "mode", "accuracy", "sd of seeds", "95 % interval", *names), rows),
            "",
        ]
    )


def _describe_clips(result: Mapping) -> Iterator[str]:
    """What a reader must know of the clips: a choice of classes, clips without people, clips that are not there."""
    if result.get("selected"):
        yield (
            f"Of {DATASET_TITLES.get(result['dataset'], result['dataset'])}'s clips only those of {', '.join(result['class_names'])}: "
            "not comparable with figures on all classes."
        )
    if without := result.get("without_people"):
        yield f"Nobody was found in {without} of the clips; in the test part such a clip counts as a mistake."
    for name, what in (("missing", "are listed and not at hand"), ("unreadable", "cannot be used")):
        if clips := list(result.get(name) or ()):
            shown = ", ".join(clips[:SHOWN]) + (", ..." if len(clips) > SHOWN else "")
            yield (
                f"{len(clips)} clips {what}, such as {shown}: they are not counted."
                if len(clips) > SHOWN
                else (f"{len(clips)} clips {what}: {shown}. They are not counted.")
            )


def _describe_pretraining(recipe: Mapping) -> str:
    source = recipe.get("pretrained_on")
    return (
        f"each network first learnt the training part of {DATASET_TITLES.get(source, source)}, by the same recipe; "
        if source
        else ""
    )


def _model_rows(result: Mapping) -> Iterator[Sequence[str]]:
    for mode, prefix in (("clip", ""), ("online", "online_")):
        if result[f"{prefix}mean_accuracy"] is not None:
            lost = result.get("online_loss") if mode == "online" else None
            note = "" if lost is None else f"{100 * abs(lost):.1f} points {'below' if lost >= 0 else 'above'} clip mode"
            yield _format_row(f"**PAN, {MODE_TITLES[mode]}**", result, prefix, note)


def _other_rows(result: Mapping) -> Iterator[Sequence[str]]:
    for section in ("ablations", "comparators", "controls"):
        for variant in result[section]:
            name = variant["method"]
            title = _name_ablation(name, result["recipe"]) if section == "ablations" else METHODS.get(name, name)
            for mode, prefix in (("clip", ""), ("online", "online_")):
                if variant[f"{prefix}mean_accuracy"] is not None:
                    note = _describe_start(variant) if name in PICTURES else NOTES.get(section, "")
                    yield _format_row(f"{title}, {MODE_TITLES[mode]}", variant, prefix, note)


def _name_ablation(part: str, recipe: Mapping) -> str:
    """Name of an ablation: the recipe has most parts of the paper, and does without some."""
    had = part == JOINTS_LOSS or recipe["network"][SWITCHES[part]]
    return f"PAN {'without' if had else 'with'} {part.replace('_', ' ')}"


def _format_row(title: str, figures: Mapping, prefix: str, note: str) -> Sequence[str]:
    spread, interval = figures[f"{prefix}std_accuracy"], figures[f"{prefix}interval95"]
    return (
        title,
        f"{100 * figures[f'{prefix}mean_accuracy']:.1f}",
        "one seed" if spread is None else f"{100 * spread:.1f}",
        f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
        f"{figures['params'] / 1e6:.2f} M",
        MEASURED,
        note,
        *(_format_cost(figures["cost"], mode=prefix) if figures.get("cost") else ()),
    )


def _format_cost(cost: Mapping, *, mode: str) -> Sequence[str]:
    """MACs and times of a clip, which are measured in clip mode only."""
    if mode:
        return "-", "-", "-"
    macs = cost["macs"]
    unit, name = next(((unit, name) for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if macs >= unit), (1, ""))
    return (
        f"{macs / unit:.3g} {name}".strip(),
        _format_ms(cost["network_ms"]),
        _format_ms(cost["read_ms"]) if cost["read_ms"] else "-",
    )


def _format_ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _explain_costs(result: Mapping) -> str:
    return (
        f"*MACs* and *ms of a clip*: of the network on all that it looks at of one test clip, on {result['cost']['device']}. *ms to read it*: "
        "skeletons from the video for networks that read joints, with the pose network, whose MACs are not counted; pictures, and optical "
        "flow if it is used, for the others; on one core of the processor. Measured once, other work on the machine included."
    )


def _describe_start(variant: Mapping) -> str:
    """Where a network of pictures began, and clips that it could not read."""
    starts = {run.get("weights") or "" for run in variant["runs"]}
    text = "sees pictures; " + (
        "; ".join(f"began with {start}" for start in sorted(filter(None, starts))) or "from scratch"
    )
    unread = {clip for run in variant["runs"] for clip in run.get("unread_clips") or ()}
    return text + (f"; {len(unread)} clips could not be read, such as {min(unread)}" if unread else "")


def _published_rows(dataset: str) -> Iterator[Sequence[str]]:
    for row in published(dataset):
        figure = row.figures[dataset]
        yield (row.method, str(figure), "-", "-", "-", figure.kind, row.note)


def _write_curve(curve: Mapping[str, float]) -> list[str]:
    values = [f"{100 * value:.1f}" for value in curve.values()]
    return [
        "Online mode, by the share of the clip seen:",
        "",
        *_format_table(("share seen", *curve), [("accuracy", *values)]),
    ]


def _write_behaviour(behaviour: Mapping[str, Mapping]) -> list[str]:
    """Share of test clips whose predicted class a change of the clip changes, by mode; every joint in turn, at worst."""
    measured = {mode: changes for mode, changes in behaviour.items() if changes}
    if not measured:
        return []
    rows = []
    for mode, changes in measured.items():
        plain = {name: own["changed"] for name, own in changes.items() if not name.startswith("without")}
        lost = {name: own["changed"] for name, own in changes.items() if name.startswith("without")}
        worst = max(lost, key=lambda name: lost[name])
        cells = {**plain, "a joint lost, mean": sum(lost.values()) / len(lost), "a joint lost, worst": lost[worst]}
        rows.append((MODE_TITLES[mode], *(f"{100 * value:.1f}" for value in cells.values())))
    head = ("predictions changed (%)", *cells)
    return ["Predictions that change when the clip does (seed 0):", "", *_format_table(head, rows), ""]


def _format_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
