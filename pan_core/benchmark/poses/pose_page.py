"""docs/results/pose.md and its picture, made from docs/results/pose.json."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pan_core.errors import ConfigError, DataError
from pan_core.files import atomic_path
from pan_core.viewer.canvas import INK, SERIES, canvas, drawn, percent_axis

REFERENCE = "reference"
TITLE = "# Pose extraction"
OVERLAY = "pose_overlay.csv"
"""Beside the result: frames that somebody looked at, and whether hips and shoulders are on the body."""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _number(value: float) -> str:
    return f"{value:.1f}"


class Key(NamedTuple):
    """A figure of the table.

    Attributes:
        title: Head of its column.
        meaning: What it is, and on which data.
        show: Writes a value.
        part: Part of the benchmark that measures it.
    """

    title: str
    meaning: str
    show: Callable[[Any], str] = _percent
    part: str = ""


KEYS: dict[str, Key] = {
    "ms_per_frame": Key("CPU ms a frame", "Processor time of one core for each frame looked at, decoding, searching, tracking and all: one "
                        "clip of each class of the actors (320x240), median of the rounds.", _number, "cost"),
    "times_faster": Key("times faster", "Than the reference, in the same rounds.", _number, "cost"),
    "first_frame_ms": Key("first frame, ms", "Processor time from before a video is opened until its first frame is done, the network being "
                          "open; median over the same clips.", _number, "cost"),
    "pck_0_1": Key("PCK@0.1", "Share of the visible true joints of the actor within a tenth of the longer side of their box. Test clips of the actors.",
                   part="actors"),
    "pck_0_05": Key("PCK@0.05", "Likewise within a twentieth.", part="actors"),
    "oks_ap": Key("OKS AP", "COCO's average precision over everybody in every frame of these clips; the area of a person is taken for 0.53 of the "
                  "box around the joints.", part="actors"),
    "coverage": Key("covered", "Share of the frames of these clips in which the first person has a skeleton.", part="actors"),
    "action_accuracy": Key("actions", "Share of these clips that the workspace's recognizer recognises by the skeletons.", part="actions"),
    "jhmdb_without_people": Key("JHMDB, clips without people", "Clips of JHMDB (real videos, 21 classes) in which nobody is found.", str, "jhmdb"),
    "jhmdb_clips": Key("of clips", "Clips of JHMDB that were measured.", str, "jhmdb"),
    "jhmdb_on_actor": Key("JHMDB, on the actor", "Share of the frames of these clips in which the person used for recognition is the annotated actor: "
                          "at least five joints are seen, 80 % of them in the actor's box widened by a tenth, and they span 0.4 of its longer side.",
                          part="jhmdb"),
    "falls_covered": Key("falls, on the faller", "Share of the frames of nine real falls (GMDCSA24) in which one of the people followed is the one who falls, by the "
                         "same rule and boxes drawn by hand (benchmark/poses/faller_boxes.csv).", part="falls"),
    "falls_anybody": Key("falls, anybody", "Share of these frames in which anybody has a skeleton, which may be a coat at the wall.", part="falls"),
    "falling_pck": Key("falling, PCK@0.1", "Four drawn people who fall backward, forward and to each side, seen from both sides and "
                       "from the head or the feet.", part="falling"),
    "falling_last_pck": Key("last ten frames", "The same, in the last ten frames of each.", part="falling"),
    "people_pck_0_1": Key("photographs, PCK@0.1", "People of four COCO photographs (val2017), each in a crop around the annotated box.", part="people"),
    "people_search_pck_0_1": Key("by a search", "The same people found by one search of the whole picture; whom it misses counts as wrong.", part="people"),
    "people_pck_0_05": Key("PCK@0.05", "In the crops, within a twentieth.", part="people"),
    "people_oks_ap": Key("OKS AP", "Of the search of the whole picture, by COCO's areas.", part="people"),
    "switches": Key("switches", "How often a person is taken up by another track, in six drawn scenes of two and three people who cross and hide one another.",
                    str, "crossing"),
    "crossing_covered": Key("crossing, covered", "Share of the frames of these scenes in which a track is on a person, mean of the scenes.", part="crossing"),
    "jitter": Key("jitter", "Median second difference of the joints of four drawn people who stand, where the true joint is at rest, in percent of the body's size.",
                  lambda value: f"{100 * value:.2f}", "jitter"),
    "smallest_pixels": Key("smallest, pixels", "Eyes to ankles of the smallest drawn person found, of 220, 145, 109 and 87 pixels.", str, "small"),
}  # fmt: skip
TABLES: dict[str, tuple[str, ...]] = {
    "Real people": ("ms_per_frame", "jhmdb_without_people", "jhmdb_clips", "jhmdb_on_actor", "falls_covered", "falls_anybody", "people_pck_0_1",
                    "people_search_pck_0_1", "people_pck_0_05", "people_oks_ap"),
    "Drawn people": ("ms_per_frame", "pck_0_1", "pck_0_05", "oks_ap", "coverage", "action_accuracy", "falling_pck", "falling_last_pck", "switches",
                     "crossing_covered", "jitter", "smallest_pixels"),
    "Time": ("ms_per_frame", "times_faster", "first_frame_ms"),
}  # fmt: skip
PANELS = {
    "jhmdb_on_actor": "JHMDB, on the actor (%)", "falls_covered": "falls, on the faller (%)",
    "people_search_pck_0_1": "photographs, PCK@0.1 (%)", "pck_0_05": "actors, PCK@0.05 (%)",
}  # fmt: skip
"""Figures in the picture, with the titles of their panels."""


def require_page(result: Path) -> None:
    """Refuse a result file beside which a page of somebody else's would be replaced.

    Raises:
        ConfigError: If the name does not end in .json, or the page's place is taken.
    """
    page = result.with_suffix(".md")
    if result.suffix != ".json":
        fault = f"--out: expected a name that ends in .json, got {result}"
    elif page.is_file() and not page.read_text(errors="replace").startswith(f"{TITLE}\n"):
        fault = f"--out: {page} is another page and would be replaced; name another file"
    else:
        return
    raise ConfigError("pan pose benchmark", [fault], code="benchmark.out")


def describe_keys() -> dict[str, str]:
    """Meaning of each figure, for the result file."""
    return {name: key.meaning for name, key in KEYS.items()}


def write_pose_page(result: Mapping[str, Any], folder: Path, *, stem: str = "pose") -> Path:
    """Write the page and its pictures into a folder, and return the page's path.

    Args:
        result: What docs/results/pose.json holds.
        folder: Where to.
        stem: Name of the files without their endings.
    """
    rows = [result["reference"], *result["points"]]
    panels = [name for name in PANELS if all(row[name] is not None for row in rows)]
    picture = ""
    if panels and rows[0]["ms_per_frame"] is not None:
        drawing = accuracy_against_time(rows, panels)
        for name, svg in ((f"{stem}.svg", drawing.svg), (f"{stem}_dark.svg", drawing.dark_svg)):
            with atomic_path(folder / name) as partial:
                partial.write_text(svg)
        picture = (
            f'<picture>\n<source media="(prefers-color-scheme: dark)" srcset="{stem}_dark.svg">\n'
            f'<img src="{stem}.svg" width="{drawing.width}" alt="{drawing.alt}">\n</picture>\n'
        )
    path = folder / f"{stem}.md"
    with atomic_path(path) as partial:
        partial.write_text(
            "\n".join([*_introduce(result), picture, *_write_tables(rows), *_write_notes(result, rows)]) + "\n"
        )
    return path


@drawn
def accuracy_against_time(rows: Sequence[Mapping[str, Any]], panels: Sequence[str]) -> tuple[Figure, str]:
    """Accuracy of every point against its time, a panel a measure; a line joins the qualities of a network.

    Args:
        rows: Points of the table; none of their figures of the panels is None.
        panels: Names of the measures.
    """
    figure, grid = canvas(3.2 * len(panels), 3.7, ncols=len(panels), squeeze=False, gap=0.04)
    networks = list(dict.fromkeys(row["network"] for row in rows))
    for axes, name in zip(grid[0], panels, strict=True):
        for network, colour in zip(networks, SERIES * len(networks), strict=False):
            _draw_network(axes, [row for row in rows if row["network"] == network], name, colour)
        axes.set(title=PANELS[name], xlabel="CPU ms a frame", xscale="log")
        axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 40, 80]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.margins(x=0.22, y=0.15)
        percent_axis(axes, "y")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper left", ncols=len(networks))
    best = max(rows, key=lambda row: row[panels[0]])
    return figure, (
        f"{'; '.join(PANELS[name] for name in panels)}, against processor time a frame. {best['network']} {best['quality']} has the "
        f"highest {KEYS[panels[0]].title}, {100 * best[panels[0]]:.1f} % at {best['ms_per_frame']:.1f} ms."
    )


def _draw_network(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, colour: str) -> None:
    """Points of one network; a line joins its qualities, the reference stands apart."""
    own = sorted(rows, key=lambda row: row["ms_per_frame"])
    line = [(row["ms_per_frame"], row[name]) for row in own if row["quality"] != REFERENCE]
    if line:
        axes.plot(*zip(*line, strict=True), "o-", color=colour, linewidth=1.8, markersize=6, label=own[0]["network"])
    for row in own:
        place, apart = (row["ms_per_frame"], row[name]), row["quality"] == REFERENCE
        if apart:
            axes.plot(*place, "o", color=colour, markersize=7, fillstyle="none", markeredgewidth=1.6)
        axes.annotate(
            row["quality"], place, (0, -14) if apart else (-5, 5), textcoords="offset points", fontsize=7.5, color=INK,
            ha="center" if apart else "right",
        )  # fmt: skip


def _introduce(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    measured = (
        f"Times on one core of {machine['cores']} of an {machine['processor']}, {machine['videos']} clips, {machine['repeats']} rounds in turns; "
        f"load of the machine {machine['load']} before and {machine['load_afterwards']} after. "
        if machine
        else ""
    )
    return [
        TITLE, "",
        f"Written by `{result['command']}`; do not edit. Every figure is measured, with the settings of `params.yaml`, in percent unless its "
        f"head says otherwise. {measured}[pose.md](../pose.md) says what the qualities are, [pose.json](pose.json) has every figure.",
        "",
    ]  # fmt: skip


def _write_tables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    for title, names in TABLES.items():
        lines += [f"## {title}", "", f"| network | quality | {' | '.join(KEYS[name].title for name in names)} |",
                  "| --- " * (len(names) + 2) + "|"]  # fmt: skip
        for row in rows:
            cells = ["-" if row[name] is None else KEYS[name].show(row[name]) for name in names]
            lines.append(f"| {row['network']} | `{row['quality']}` | {' | '.join(cells)} |")
        lines.append("")
    return lines


def _write_notes(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["## What is measured", ""]
    lines += [f"- **{key.title}** (`{name}`, part `{key.part}`): {key.meaning}" for name, key in KEYS.items()]
    if result["missing"]:
        lines += ["", "Not measured:", ""]
        lines += [f"- part `{name}`: {reason}" for name, reason in result["missing"].items()]
    if looked := result.get("looked_at"):
        lines += ["", "## Looked at", "", _describe_overlay(looked, rows)]
    return lines


def _describe_overlay(looked: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    row = next((row for row in rows if row["extractor"] == looked["extractor"]), None)
    whose = (
        f"{row['network']} `{row['quality']}`"
        if row
        else "an earlier extractor (other code or settings than those of the table)"
    )
    return (
        f"Skeletons of {whose} were drawn into {looked['frames']} frames, evenly out of the nine falls (`python benchmarks/pose_overlay.py`), and "
        f"every picture was looked at: hips and shoulders are on the body of the person who falls in {looked['on_body']} of them "
        f"({100 * looked['on_body'] / looked['frames']:.0f} %). A joint that is hidden counts as right where the body hides it; a frame without a skeleton "
        f"counts as wrong. [{OVERLAY}]({OVERLAY}) has every frame."
    )


def read_overlay(path: Path) -> dict[str, Any] | None:
    """Frames that were looked at: extractor, frames, and in how many hips and shoulders are on the body; None without the file.

    Raises:
        DataError: If the file is not such a table, or is not filled in.
    """
    if not path.is_file():
        return None
    with path.open() as file:
        rows = list(csv.DictReader(file))
    answers = Counter(row.get("on_body") for row in rows)
    extractors = {row.get("extractor") for row in rows}
    if not rows or not answers.keys() <= {"0", "1"} or len(extractors) != 1 or None in extractors:
        raise DataError(
            f"{path}: expected a line for each frame with the columns video, frame, on_body (0 or 1) and one extractor",
            code="benchmark.bad-overlay",
        )
    return {"extractor": rows[0]["extractor"], "frames": len(rows), "on_body": answers["1"]}
