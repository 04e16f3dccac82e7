"""The table of pose extraction: every part for every point; what is finished is kept, what is missing is named."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pan_core.benchmark.poses.frame_cost import describe_machine, time_points
from pan_core.benchmark.poses.pose_parts import (
    COST,
    COST_KEYS,
    PARTS,
    PoseSources,
    describe_files,
    extraction_code,
    measure_code,
)
from pan_core.benchmark.poses.pose_points import PosePoint, Progress
from pan_core.errors import ConfigError, DataError, PanError
from pan_core.files import read_json, write_json
from pan_core.workers.supervised import Heartbeat, TaskFailure, run_supervised

NOT_ASKED = "not asked for"
Bar = Callable[[str, str], AbstractContextManager[Progress]]
"""Opens a progress bar, by description and unit."""


@dataclass(frozen=True)
class PoseTable:
    """Figures of every point.

    Attributes:
        rows: For each point its figures; None where a part is missing.
        missing: Reason, by part.
        machine: Processor and load while the cost was measured.
    """

    rows: list[dict[str, Any]]
    missing: dict[str, str]
    machine: dict[str, Any]


def measure_table(
    points: Sequence[PosePoint],
    sources: PoseSources,
    *,
    bar: Bar,
    parts: Sequence[str] = (),
    repeats: int = 3,
) -> PoseTable:
    """Measure what is not measured yet, and put the table together.

    A finished part of a point is stored under the identity of the extractor, the code and the data, so an interrupted run goes on
    and other code or data are measured anew.

    Args:
        points: Rows of the table; the first is the reference of the cost.
        sources: Data.
        bar: Opens a progress bar.
        parts: Names of the parts to measure; all if empty. Of the others, what is stored is shown.
        repeats: Rounds of the cost.

    Raises:
        ConfigError: If a part is unknown.
        DataError: If a model cannot be used, data are damaged, or every part asked for lacks its data.
    """
    if unknown := sorted(set(parts) - {*PARTS, COST}):
        raise ConfigError(
            "pan pose benchmark", [f"--part: unknown {name!r}; known: {', '.join((*PARTS, COST))}" for name in unknown],
            code="benchmark.unknown-part",
        )  # fmt: skip
    asked = list(parts) or [*PARTS, COST]
    lacks = {name: part.lacks(sources) for name, part in PARTS.items()} | {COST: PARTS["actors"].lacks(sources)}
    if all(lacks[name] for name in asked):
        reasons = "; ".join(f"{name}: {lacks[name]}" for name in asked)
        raise DataError(f"nothing can be measured: {reasons}", code="benchmark.no-data")
    store = _PartStore(sources)
    for point in points:
        point.extractor()  # one that cannot be used ends the run before the work
    measurable = [name for name in asked if name != COST and not lacks[name]]
    _share_out_points(store, points, measurable, bar)
    _measure_one_by_one(store, points, measurable, bar)
    costs = store.find_cost(points, repeats) if not lacks[COST] else None
    if costs is None and COST in asked and not lacks[COST]:
        costs = store.measure_cost(points, repeats, bar)
    return _assemble(store, points, lacks, asked, costs)


def _share_out_points(store: "_PartStore", points: Sequence[PosePoint], names: Sequence[str], bar: Bar) -> None:
    """Parts that work in one process, a point and a part a process."""
    jobs = {
        f"{name}, {point.name}": (name, point, replace(store.sources, actors=None))
        for name in names
        for point in points
        if not PARTS[name].shares_out and store.find(name, point) is None
    }
    if not jobs:
        return
    with bar("drawn people and photographs", "part") as progress:
        finished = run_supervised(jobs, measure_in_worker, workers=store.sources.workers, stall_seconds=3600.0)
        for done, (key, figures) in enumerate(finished, start=1):
            if isinstance(figures, TaskFailure):
                raise PanError(
                    f"{key}: {figures.value}; run again: finished parts are kept", code="benchmark.part-died"
                )
            store.write(jobs[key][0], jobs[key][1], figures)
            progress(done, len(jobs))


def measure_in_worker(job: tuple[str, PosePoint, PoseSources], heartbeat: Heartbeat) -> dict:
    """One part of one point, in a worker process."""
    name, point, sources = job
    return PARTS[name].measure(point, sources, None)


def _measure_one_by_one(store: "_PartStore", points: Sequence[PosePoint], names: Sequence[str], bar: Bar) -> None:
    """Parts that share out their videos."""
    for name in (name for name in names if PARTS[name].shares_out):
        for point in points:
            if store.find(name, point) is None:
                store.sources.poses.mkdir(parents=True, exist_ok=True)
                with bar(f"{name}, {point.name}", "clip") as progress:
                    store.write(name, point, PARTS[name].measure(point, store.sources, progress))


class _PartStore:
    """Finished parts on disk."""

    def __init__(self, sources: PoseSources) -> None:
        self.sources = sources
        self._code = [extraction_code(), measure_code()]

    def find(self, name: str, point: PosePoint) -> dict | None:
        """Figures of a part that is done."""
        return self._read(self._path(name, [point.identity], PARTS[name].files(point, self.sources)))

    def write(self, name: str, point: PosePoint, figures: Mapping[str, Any]) -> None:
        """Keep the figures of a part."""
        if missing := set(PARTS[name].keys) ^ set(figures):
            raise ValueError(f"part {name}: its figures and its keys differ in {sorted(missing)}")
        write_json(self._path(name, [point.identity], PARTS[name].files(point, self.sources)), dict(figures))

    def find_cost(self, points: Sequence[PosePoint], repeats: int) -> dict | None:
        """Figures of the cost of all points, if they were measured together."""
        return self._read(self._cost_path(points, repeats))

    def measure_cost(self, points: Sequence[PosePoint], repeats: int, bar: Bar) -> dict:
        """Measure the cost of all points in this process, while nothing else of this run is at work."""
        before = describe_machine()
        with bar("cost", "clip") as progress:
            rows = time_points(points, self._timed(), repeats=repeats, progress=progress)
        machine = before | {
            "load_afterwards": describe_machine()["load"],
            "repeats": repeats,
            "videos": len(self._timed()),
        }
        write_json(self._cost_path(points, repeats), {"rows": rows, "machine": machine})
        return {"rows": rows, "machine": machine}

    def _timed(self) -> list[Path]:
        return self.sources.actors.one_of_each_class() if self.sources.actors else []

    def _cost_path(self, points: Sequence[PosePoint], repeats: int) -> Path:
        return self._path(COST, [repeats, *(point.identity for point in points)], self._timed())

    def _path(self, name: str, what: Sequence[object], files: list[Path]) -> Path:
        content = json.dumps([name, self._code, what, describe_files(files)])
        return self.sources.cache / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:24]}.json"

    def _read(self, path: Path) -> dict | None:
        try:
            return read_json(path) if path.is_file() else None
        except PanError:  # cut short by a full disk or a hand; it is measured anew
            return None


def _assemble(
    store: _PartStore, points: Sequence[PosePoint], lacks: Mapping[str, str], asked: Sequence[str], costs: dict | None
) -> PoseTable:
    missing = {name: reason for name, reason in lacks.items() if reason}
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        figures = dict.fromkeys(COST_KEYS) if costs is None else costs["rows"][number]
        row: dict[str, Any] = {
            "network": point.network,
            "quality": point.quality,
            "extractor": point.identity,
        } | figures
        for name, part in PARTS.items():
            found = None if lacks[name] else store.find(name, point)
            if found is None:
                missing.setdefault(name, NOT_ASKED if name not in asked else "not measured")
            row |= found or dict.fromkeys(part.keys)
        rows.append(row)
    if costs is None:
        missing.setdefault(COST, NOT_ASKED)
    return PoseTable(rows, missing, {} if costs is None else costs["machine"])
