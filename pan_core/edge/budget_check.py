"""Whether a target keeps its budget, and by what kind of figure: one that was measured there, or one that was predicted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pan_core.edge.result import DEVICE, PREDICTED
from pan_core.errors import DataError
from pan_core.export.targets import Target

LEAST_FRAMES, LEAST_SECONDS, LEAST_RUNS = 1024, 60.0, 5
"""Of a run, and of runs, below which figures pass no gate; MLPerf's bounds for a single stream."""
LEAST_PEOPLE = 0.9
"""Share of the frames in which somebody must have been seen: frames without people cost no step and no look."""
MOST_SPREAD = 0.15
"""By so much the 90th percentiles of the runs may differ, as a share of their median."""


@dataclass(frozen=True)
class BudgetVerdict:
    """Where a target stands.

    Attributes:
        kind: How the figures were found; "not known" where there are none.
        fps: Frames a second, one person; None where not known.
        step_p90_ms: 90th percentile of a PAN step; None where not known.
        frame_p90_ms: Of a whole frame; None where not known.
        count: Frames that were timed; 0 where they were predicted.
        dropped: Share of the pictures of a 25 fps camera that nobody looked at; None where not measured.
        keeps: Whether the budget is kept, by figures that count.
        reason: In one sentence.
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


def require_result(
    result: dict[str, Any], target: Target, *, structure: str, labels: Sequence[str], settings: dict[str, Any]
) -> None:
    """Refuse a measurement that says nothing of a target and the networks that were exported for it.

    Args:
        result: As `pan_core.edge.result.read_result` gives it.
        target: The device.
        structure: Of the networks that were exported for it.
        labels: Classes of the recognizer.
        settings: Of pose extraction.

    Raises:
        DataError: With everything that does not fit.
    """
    shortest = min(run["count"] for run in result["runs"])
    profile = result["profile"]
    rules = {
        f"it is of target {result['target']}": result["target"] == target.name,
        f"it is {result['kind']}, which says nothing of the speed of {target.name}": result["kind"] == DEVICE,
        f"its recognizer knows other classes ({', '.join(result['labels'][:4])}, ...)": list(result["labels"])
        == list(labels),
        "its networks are built otherwise than those exported now": result["structure"] == structure,
        f"people were found by other settings ({_changed(result['preprocessing'], settings)})": not _changed(
            result["preprocessing"], settings
        ),
        f"it ran on {result['threads']} threads, {target.threads} expected": result["threads"] == target.threads,
        f"the device was not at its normal speed: {result['slowed']}": not result["slowed"],
        f"it has {len(result['runs'])} runs of {shortest} frames and {profile['seconds']:g} s, expected {LEAST_RUNS} of "
        f"{LEAST_FRAMES} and {LEAST_SECONDS:g} s (pan-edge bench --profile full)": len(result["runs"]) >= LEAST_RUNS
        and shortest >= LEAST_FRAMES
        and profile["seconds"] >= LEAST_SECONDS,
        f"its runs differ: the 90th percentiles are {_listed(result)} ms, within {100 * MOST_SPREAD:g} % expected": spread(
            result
        )
        <= MOST_SPREAD,
        "it is of another video than the bundle's own, which is alike for all": result["video"]["own"] is True,
        f"somebody was seen in {result['people']} of {result['frame']['count']} frames, in {100 * LEAST_PEOPLE:g} % expected": result[
            "people"
        ]
        >= LEAST_PEOPLE * result["frame"]["count"],
        f"it took {result['memory_mb']:.0f} MB, at most {target.memory_mb:g} expected": result["memory_mb"]
        <= target.memory_mb,
    }
    faults = [fault for fault, kept in rules.items() if not kept]
    if faults:
        raise DataError(
            f"the measurement of {target.name} does not count:\n" + "\n".join(f"  - {fault}" for fault in faults)
        )


def measured(result: dict[str, Any], target: Target) -> BudgetVerdict:
    """Where a target stands by a measurement that was let in by `require_result`."""
    step, frame, camera = result["parts"]["pan"], result["frame"], result["camera"]
    device = result["device"]["model"]
    keeps, what = _kept(target, result["fps"], step["p90_ms"])
    reason = f"{result['kind']} ({device}, {result['measured_at']}, {frame['count']} frames): {what}"
    dropped = camera["dropped"] / camera["frames"]
    return BudgetVerdict(DEVICE, result["fps"], step["p90_ms"], frame["p90_ms"], frame["count"], dropped, keeps, reason)


def predicted(fps: float, factor: float, target: Target, *, accepted: bool, why: str) -> BudgetVerdict:
    """Where a target stands by the roofline alone.

    Args:
        fps: Frames a second by the networks' time alone.
        factor: By so much predictions were off, up or down, on published figures that they were not fitted to.
        target: The device.
        accepted: Whether params.yaml takes predictions for a gate.
        why: Why there is no measurement that counts.
    """
    keeps, what = _kept(target, fps, None)
    reason = f"{why}; {PREDICTED}: {what}, right within a factor of {factor:.1f}"
    if not accepted:
        reason += "; a prediction passes no gate: measure with `pan edge run`"
    return BudgetVerdict(PREDICTED, fps, None, None, 0, None, keeps and accepted, reason)


def unknown(target: Target, why: str) -> BudgetVerdict:
    """Where nothing can be said."""
    return BudgetVerdict(
        "not known", None, None, None, 0, None, False, f"{why}; measure with `pan edge run --target {target.name}`"
    )


def spread(result: dict[str, Any]) -> float:
    """Largest minus smallest 90th percentile of the runs, as a share of the median."""
    values = sorted(run["p90_ms"] for run in result["runs"])
    return (values[-1] - values[0]) / values[len(values) // 2]


def _kept(target: Target, fps: float, step_p90_ms: float | None) -> tuple[bool, str]:
    budget = target.budget
    if budget is None:
        return True, f"{fps:.1f} frames a second, no budget"
    told = f"{fps:.1f} frames a second, at least {budget.fps:g} asked"
    if step_p90_ms is None:
        return fps >= budget.fps, told
    return (
        fps >= budget.fps and step_p90_ms <= budget.step_ms,
        f"{told}; PAN step p90 {step_p90_ms:.2f} ms, at most {budget.step_ms:g} asked",
    )


def _changed(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Settings that differ; a pair is a list once it was JSON."""
    mine = {name: list(value) if isinstance(value, tuple) else value for name, value in here.items()}
    return ", ".join(
        f"{name} {there.get(name)} instead of {value}" for name, value in mine.items() if there.get(name) != value
    )


def _listed(result: dict[str, Any]) -> str:
    return ", ".join(f"{run['p90_ms']:.1f}" for run in result["runs"])
