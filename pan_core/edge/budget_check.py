"""Budget check of a target: does a measurement count, and does the target keep its budget by it or by a prediction?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pan_core.edge.result import DEVICE, PREDICTED
from pan_core.errors import DataError
from pan_core.export.targets import Target

LEAST_FRAMES, LEAST_SECONDS, LEAST_RUNS = 1024, 60.0, 5
"""Least size of a run, and least number of runs; MLPerf's bounds for a single stream."""
LEAST_PEOPLE = 0.9
"""Least share of the frames that show a person: frames without people need no pose network and no step."""
MOST_SPREAD = 0.15
"""Largest difference between the 90th percentiles of the runs, as a share of their median."""

Result = Mapping[str, Any]
"""A measurement as `pan_core.edge.result.read_result` returns it."""


@dataclass(frozen=True)
class BudgetVerdict:
    """Verdict on a target's budget.

    Attributes:
        kind: Kind of the figures; "not known" if there are none.
        fps: Frames a second, one person; None if not known.
        step_p90_ms: 90th percentile of a PAN step; None if not known.
        frame_p90_ms: 90th percentile of a whole frame; None if not known.
        count: Number of timed frames; 0 for a prediction.
        dropped: Share of a 25 fps camera's pictures that would be dropped; None if not measured.
        keeps: True if the budget is kept, by figures that count.
        reason: One sentence that explains the verdict.
    """

    kind: str
    fps: float | None
    step_p90_ms: float | None
    frame_p90_ms: float | None
    count: int
    dropped: float | None
    keeps: bool
    reason: str

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Expectation:
    """A target and the networks that were exported for it: a measurement counts only for these.

    Attributes:
        target: The device.
        structure: Hash of the networks without their weights.
        labels: Classes of the recognizer.
        settings: Settings of pose extraction.
    """

    target: Target
    structure: str
    labels: Sequence[str]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class BudgetRule:
    """A condition on one field of a measurement.

    Attributes:
        field: Name of the field.
        holds: The condition.
        reason: Explains to a user why a measurement that breaks the rule does not count.
    """

    field: str
    holds: Callable[[Result, Expectation], bool]
    reason: Callable[[Result, Expectation], str]


RULES = (
    BudgetRule(
        "target",
        lambda result, expected: result["target"] == expected.target.name,
        lambda result, expected: f"it is of target {result['target']}",
    ),
    BudgetRule(
        "kind",
        lambda result, expected: result["kind"] == DEVICE,
        lambda result, expected: f"it is {result['kind']}, which is not the speed of {expected.target.name}",
    ),
    BudgetRule(
        "labels",
        lambda result, expected: list(result["labels"]) == list(expected.labels),
        lambda result, expected: f"its recognizer knows other classes ({', '.join(result['labels'][:4])}, ...)",
    ),
    BudgetRule(
        "structure",
        lambda result, expected: result["structure"] == expected.structure,
        lambda result, expected: "its networks have another structure than those exported now",
    ),
    BudgetRule(
        "preprocessing",
        lambda result, expected: not _describe_changes(result, expected),
        lambda result, expected: f"people were found with other settings ({_describe_changes(result, expected)})",
    ),
    BudgetRule(
        "threads",
        lambda result, expected: result["threads"] == expected.target.threads,
        lambda result, expected: f"it ran on {result['threads']} threads, expected {expected.target.threads}",
    ),
    BudgetRule(
        "slowed",
        lambda result, expected: not result["slowed"],
        lambda result, expected: f"the device was not at its normal speed: {result['slowed']}",
    ),
    BudgetRule(
        "profile",
        lambda result, expected: _is_long_enough(result),
        lambda result, expected: (
            f"it has {len(result['runs'])} runs of {_shortest_run(result)} frames and {result['profile']['seconds']:g} s, "
            f"expected {LEAST_RUNS} of {LEAST_FRAMES} and {LEAST_SECONDS:g} s (pan-edge bench --profile full)"
        ),
    ),
    BudgetRule(
        "runs",
        lambda result, expected: spread(result) <= MOST_SPREAD,
        lambda result, expected: (
            f"its runs differ: the 90th percentiles are {_list_runs(result)} ms, expected within {100 * MOST_SPREAD:g} %"
        ),
    ),
    BudgetRule(
        "video",
        lambda result, expected: result["video"]["own"] is True,
        lambda result, expected: "it is of another video than the bundle's own, which is the same for all devices",
    ),
    BudgetRule(
        "people",
        lambda result, expected: result["people"] >= LEAST_PEOPLE * result["frame"]["count"],
        lambda result, expected: (
            f"{result['people']} of {result['frame']['count']} frames show a person, expected {100 * LEAST_PEOPLE:g} %"
        ),
    ),
    BudgetRule(
        "memory_mb",
        lambda result, expected: result["memory_mb"] <= expected.target.memory_mb,
        lambda result, expected: (
            f"it took {result['memory_mb']:.0f} MB, expected at most {expected.target.memory_mb:g}"
        ),
    ),
)


def broken_rules(result: Result, expected: Expectation) -> list[BudgetRule]:
    """Rules that a measurement breaks; it counts if there are none."""
    return [rule for rule in RULES if not rule.holds(result, expected)]


def require_result(result: Result, expected: Expectation) -> None:
    """Refuse a measurement that does not count for a target and its networks.

    Raises:
        DataError: If it breaks a rule; names all that it breaks.
    """
    if broken := broken_rules(result, expected):
        reasons = "\n".join(f"  - {rule.reason(result, expected)}" for rule in broken)
        raise DataError(
            f"the measurement of {expected.target.name} does not count:\n{reasons}", code="measurement.does-not-count"
        )


def judge_measurement(result: Result, target: Target) -> BudgetVerdict:
    """Verdict by a measurement that `require_result` accepts."""
    step, frame, camera = result["parts"]["pan"], result["frame"], result["camera"]
    device = result["device"]["model"]
    keeps, what = _compare_with_budget(target, result["fps"], step["p90_ms"])
    reason = f"{result['kind']} ({device}, {result['measured_at']}, {frame['count']} frames): {what}"
    dropped = camera["dropped"] / camera["frames"]
    return BudgetVerdict(DEVICE, result["fps"], step["p90_ms"], frame["p90_ms"], frame["count"], dropped, keeps, reason)


def judge_prediction(fps: float, factor: float, target: Target, *, accepted: bool, why: str) -> BudgetVerdict:
    """Verdict by the roofline alone.

    Args:
        fps: Frames a second by the networks' time alone.
        factor: Error factor of such predictions, up or down, on published figures that they were not fitted to.
        target: The device.
        accepted: True if params.yaml lets predictions pass the gate.
        why: Reason why no measurement counts.
    """
    keeps, what = _compare_with_budget(target, fps, None)
    reason = f"{why}; {PREDICTED}: {what}, right within a factor of {factor:.1f}"
    if not accepted:
        reason += "; a prediction passes no gate: measure with `pan edge run`"
    return BudgetVerdict(PREDICTED, fps, None, None, 0, None, keeps and accepted, reason)


def judge_unknown(target: Target, why: str) -> BudgetVerdict:
    """Verdict without any figures: the budget is not kept."""
    return BudgetVerdict(
        "not known", None, None, None, 0, None, False, f"{why}; measure with `pan edge run --target {target.name}`"
    )


def spread(result: Result) -> float:
    """Largest minus smallest 90th percentile of the runs, as a share of the median."""
    values = sorted(run["p90_ms"] for run in result["runs"])
    return (values[-1] - values[0]) / values[len(values) // 2]


def _compare_with_budget(target: Target, fps: float, step_p90_ms: float | None) -> tuple[bool, str]:
    budget = target.budget
    if budget is None:
        return True, f"{fps:.1f} frames a second, no budget"
    text = f"{fps:.1f} frames a second, at least {budget.fps:g} asked"
    if step_p90_ms is None:
        return fps >= budget.fps, text
    return (
        fps >= budget.fps and step_p90_ms <= budget.step_ms,
        f"{text}; PAN step p90 {step_p90_ms:.2f} ms, at most {budget.step_ms:g} asked",
    )


def _is_long_enough(result: Result) -> bool:
    return (
        len(result["runs"]) >= LEAST_RUNS
        and _shortest_run(result) >= LEAST_FRAMES
        and result["profile"]["seconds"] >= LEAST_SECONDS
    )


def _shortest_run(result: Result) -> int:
    return min(run["count"] for run in result["runs"])


def _describe_changes(result: Result, expected: Expectation) -> str:
    """Settings of pose extraction that differ; a pair is a list once it was JSON."""
    there = result["preprocessing"]
    here = {name: list(value) if isinstance(value, tuple) else value for name, value in expected.settings.items()}
    return ", ".join(
        f"{name} {there.get(name)} instead of {value}" for name, value in here.items() if there.get(name) != value
    )


def _list_runs(result: Result) -> str:
    return ", ".join(f"{run['p90_ms']:.1f}" for run in result["runs"])
