"""The page of `pan benchmark events`: its tables, and below them what was written by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

END = "<!-- the command writes everything above -->"


def write_event_page(result: Mapping[str, Any], before: str) -> str:
    """Markdown of the page.

    Args:
        result: Content of online.json.
        before: The page so far; what stands below `END` is kept.
    """
    _, _, kept = before.partition(END)
    tables = [_table(HEAD, [_row(row) for row in result["streams"]])]
    tables += [_section(row) for row in result["streams"]]
    return "\n\n".join([_introduction(result), *tables, END]) + (kept or "\n")


HEAD = (
    "streams", "hours", "hits", "misses an hour", "false alarms an hour", "F1", "delay p50", "delay p90",
)  # fmt: skip


def _introduction(result: Mapping[str, Any]) -> str:
    return (
        "# Events on long streams\n\n"
        f"Measured with `{result['command']}` (commit {result['git_commit'][:8]}); online.json has every figure. An event is a hit if it "
        f"becomes certain while its action holds or up to {result['late_s']:g} s later, in the manner of the streaming test of MLPerf Tiny; any "
        f"other is a false alarm; an action that holds for at least {result['shortest_s']:g} s without one is a miss. F1 is event-based: start and end of "
        f"an event within {result['tolerance_s']:g} s of the action's, the end also within half of its length. The delay is from the start of an action "
        "that was hit to its alarm.\n\n"
        "Thresholds and minimum times are fitted to validation streams; nothing is chosen on test streams. Rates of the actors' first row and of JHMDB "
        "are per hour in which somebody does something nearly all the time, so they are far above those of a camera that mostly sees nothing."
    )


def _row(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        row["title"],
        f"{row['hours']:.2f}",
        f"{row['hits']} of {row['hits'] + row['misses']}",
        *(f"{row[name] / row['hours']:.0f}" for name in ("misses", "false_alarms")),
        f"{row['f1'] or 0:.2f}",
        *("-" if row[name] is None else f"{row[name]:.1f} s" for name in ("delay_p50_s", "delay_p90_s")),
    )


def _section(row: Mapping[str, Any]) -> str:
    """Fitted rules against the defaults, and hits against false alarms."""
    own, plain = row, row["defaults"]
    lines = [
        f"{name}: {one['hits']} hits, {one['misses']} misses, {one['false_alarms']} false alarms, F1 {one['f1'] or 0:.2f} "
        f"({one['f1_half_second'] or 0:.2f} within half a second)"
        for name, one in (("Fitted", own), ("Every action from 0.4 for 0.5 s", plain))
    ]
    if row["without_example"]:
        lines.append(
            f"No validation example of {', '.join(row['without_example'])}: their rules are those of the others"
        )
    curve = _table(
        ("threshold of all actions", *(f"{point['threshold']:g}" for point in row["curve"])),
        [
            ("actions hit (%)", *("-" if p["hit_share"] is None else f"{100 * p['hit_share']:.0f}" for p in row["curve"])),
            ("false alarms an hour", *(f"{point['false_alarms_per_hour']:.0f}" for point in row["curve"])),
        ],
    )  # fmt: skip
    return f"## {row['title'][:1].upper()}{row['title'][1:]}\n\n" + ". ".join(lines) + ".\n\n" + curve


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
