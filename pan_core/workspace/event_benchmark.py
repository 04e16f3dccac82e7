"""`pan benchmark events`: measures of events on long streams, as docs/results/online.json and a page."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pan_core.code_identity import code_hash
from pan_core.errors import DataError
from pan_core.evaluation.event_measures import (
    LATE_S,
    NOTHING,
    SHORTEST_S,
    TOLERANCE_S,
    EventCounts,
    FoundEvent,
    Span,
    event_f1,
    spells,
)
from pan_core.files import atomic_path, cache_folder, read_json, sha256_of, write_json
from pan_core.live.clip_streams import Recording
from pan_core.live.rule_fitting import RELEASE_SHARE, count_action, find_events
from pan_core.recognition.event_rules import RULES_FILE, Rule
from pan_core.tracking.tracker import git_commit
from pan_core.workspace import paths
from pan_core.workspace.event_page import write_event_page
from pan_core.workspace.event_streams import STREAMS, RecordedPart, StreamSet, build

RESULT = "online.json"
CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
NETWORK_CODE = ("datasets", "model", "training", "workspace/training_data.py")
FIGURE_CODE = (
    "evaluation/event_measures.py",
    "live",
    "recognition",
    "workspace/event_clips.py",
    "workspace/event_streams.py",
)
"""Code behind the networks, and behind their figures as well."""
APART_S = 60.0
"""Recordings of a set are laid so far apart that no event of one is near the next."""


def benchmark_events(names: Sequence[str], out: Path, *, say: Callable[[str], None]) -> Path:
    """Measure the streams that were asked for, and write all that were ever measured by this code; returns the page.

    Args:
        names: Keys of `STREAMS`; none for all.
        out: Folder of the result and its page.
        say: Prints a line.

    Raises:
        DataError: If a name is unknown, or what a stream needs is not at hand.
    """
    if unknown := sorted(set(names) - STREAMS.keys()):
        raise DataError(
            f"--streams: no stream {', '.join(unknown)}; there are {', '.join(STREAMS)}",
            code="benchmark.unknown-stream",
        )
    networks = cache_folder() / "benchmark" / "events" / f"networks-{code_hash(*NETWORK_CODE)}"
    made_by = code_hash(*NETWORK_CODE, *FIGURE_CODE)
    networks.mkdir(parents=True, exist_ok=True)
    rows = {row["name"]: row for row in _measured_before(out)}
    for name in names or STREAMS:
        done = networks.parent / f"{name}-{made_by}{_workspace_identity(name)}.json"
        if not done.is_file():
            write_json(done, measure(build(name, networks)))
        rows[name] = read_json(done) | {"code": made_by}
        say(describe(rows[name]))
    result = {
        "command": "pan benchmark events", "git_commit": git_commit(Path(__file__).parents[2]), "late_s": LATE_S,
        "shortest_s": SHORTEST_S, "tolerance_s": TOLERANCE_S, "streams": [rows[name] for name in STREAMS if name in rows],
    }  # fmt: skip
    write_json(out / RESULT, result)
    page = out / "online.md"
    with atomic_path(page) as partial:
        partial.write_text(write_event_page(result, page.read_text() if page.is_file() else ""), encoding="utf-8")
    return page


def measure(streams: StreamSet) -> dict[str, Any]:
    """Figures of a row: by the fitted rules, by the defaults beside them, and hits against false alarms over all thresholds."""
    fitted = _score(streams, lambda part: part.rules or dict.fromkeys(streams.actions, Rule()))
    defaults = _score(streams, lambda part: dict.fromkeys(streams.actions, Rule()))
    hours = sum(recording.hours for part in streams.parts for recording in part.recordings)
    curve = []
    for threshold in CURVE:
        found = _score(streams, partial(_move_all, threshold=threshold, actions=streams.actions))
        actions = found.counts.hits + found.counts.misses
        curve.append(
            {"threshold": threshold, "hit_share": found.counts.hits / actions if actions else None,
             "false_alarms_per_hour": found.counts.false_alarms / hours}
        )  # fmt: skip
    return {
        "name": streams.name,
        "title": streams.title,
        "hours": hours,
        **fitted.figures(),
        "defaults": defaults.figures(),
        "curve": curve,
        "scored": list(streams.scored),
        "without_example": sorted({action for part in streams.parts for action in part.without_example}),
        "rules": [{action: asdict(rule) for action, rule in part.rules.items()} for part in streams.parts],
    }


def describe(row: Mapping[str, Any]) -> str:
    """A line for the terminal."""
    return (
        f"{row['title']}: {row['hours']:.2f} h, {row['hits']} of {row['hits'] + row['misses']} actions, "
        f"{row['false_alarms'] / row['hours']:.0f} false alarms an hour, F1 {row['f1'] or 0:.2f}"
    )


@dataclass(frozen=True)
class _Score:
    """What came of the events of a set of streams."""

    counts: EventCounts
    f1: float
    f1_half_second: float

    def figures(self) -> dict[str, Any]:
        return {
            "hits": self.counts.hits,
            "misses": self.counts.misses,
            "false_alarms": self.counts.false_alarms,
            "f1": None if math.isnan(self.f1) else self.f1,
            "f1_half_second": None if math.isnan(self.f1_half_second) else self.f1_half_second,
            "delay_p50_s": self.counts.delay_s(50),
            "delay_p90_s": self.counts.delay_s(90),
        }


def _score(streams: StreamSet, rules_of: Callable[[RecordedPart], Mapping[str, Rule]]) -> _Score:
    counts, truth, found, begin = NOTHING, dict[str, list[Span]](), dict[str, list[Span]](), 0.0
    for part in streams.parts:
        rules = {action: rule for action, rule in rules_of(part).items() if action in streams.scored}
        events = find_events(part.recordings, streams.actions, rules)
        counts = sum(
            (count_action(part.recordings, events, streams.actions, action) for action in streams.scored), counts
        )
        for recording, own in zip(part.recordings, events, strict=True):
            for action, true, spans in _spans(recording, own, streams):
                truth.setdefault(action, []).extend((start + begin, end + begin) for start, end in true)
                found.setdefault(action, []).extend((start + begin, end + begin) for start, end in spans)
            begin += 3600 * recording.hours + APART_S
    return _Score(counts, event_f1(truth, found), event_f1(truth, found, tolerance_s=TOLERANCE_S / 2))


def _spans(
    recording: Recording, events: Sequence[FoundEvent], streams: StreamSet
) -> Iterator[tuple[str, list[Span], list[Span]]]:
    """Of each scored action its spells and its events."""
    for column, action in enumerate(streams.actions):
        if action in streams.scored:
            spans = [(event.start_s, event.end_s) for event in events if event.label == action]
            yield action, spells(recording.holds[:, column], recording.rate), spans


def _move_all(part: RecordedPart, *, threshold: float, actions: Sequence[str]) -> Mapping[str, Rule]:
    """The rules of a part, with one threshold for all actions."""
    own = (part.rules.get(action, Rule()) for action in actions)
    moved = (replace(rule, threshold=threshold, release=RELEASE_SHARE * threshold) for rule in own)
    return dict(zip(actions, moved, strict=True))


def _measured_before(out: Path) -> list[dict[str, Any]]:
    return read_json(out / RESULT)["streams"] if (out / RESULT).is_file() else []


def _workspace_identity(name: str) -> str:
    """Of streams by the workspace's own recognizer: its hash and that of its rules; others are made by the benchmark itself."""
    model = paths.model_folder("online", 1)
    files = [model / "model.safetensors", model / RULES_FILE] if name.startswith("actors") else []
    return "".join(f"-{sha256_of(file)[:12]}" for file in files if file.is_file())
