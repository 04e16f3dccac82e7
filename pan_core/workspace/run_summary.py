"""The closing table of a run, from reports/summary.json."""

from typing import Any

from pan_core.files import read_json
from pan_core.registry.models import is_registered
from pan_core.workspace import paths
from pan_core.workspace.result_keys import COUNTS_LISTED


def summary_table() -> str:
    """Figures of the last finished run as aligned lines."""
    figures = read_json(paths.SUMMARY)
    rows = [
        ("dataset", f"{figures['dataset']}: {figures['clips']} clips, {figures['classes']} classes"),
        ("test clips", f"{figures['test_clips_listed']}, of which {_absent(figures)}"),
        ("joint accuracy (PCK@0.1)", _percent(figures["pose_pck"], "not known: no true joints to compare with")),
        ("test accuracy, clip mode", _percent(figures.get("test_accuracy_clip"), "not trained")),
        ("test accuracy, online mode", _percent(figures.get("test_accuracy_online"), "not trained")),
        ("latency p90, one PAN step", f"{figures['latency_step_p90_ms']:.3f} ms"),
        (
            "latency p90, frame to action",
            f"{figures['latency_p90_ms']:.1f} ms (p50 {figures['latency_p50_ms']:.1f} ms)",
        ),
        ("model size", f"{figures['params']:,} parameters, {figures['model_bytes'] / 1e6:.1f} MB ONNX"),
        ("registry", describe_version(figures)),
        ("report", str(paths.REPORT)),
        ("data docs", str(paths.DATA_DOCS / "index.html")),
        ("figures", str(paths.SUMMARY)),
        ("MLflow UI", "make ui, then the address that it shows"),
    ]
    width = max(len(name) for name, _ in rows)
    line = "-" * (width + 44)
    return "\n".join([line, *(f"{name:<{width}}  {value}" for name, value in rows), line])


def describe_version(figures: dict) -> str:
    """The version that a run registered and what was decided of it, in words; also that this store lacks it."""
    name, number = figures["registered_model"], figures["registered_version"]
    lacking = {
        True: "",
        False: " (not in this store; `dvc repro --force --single-item promote` registers it here)",
        None: " (the store cannot be asked for it)",
    }[is_registered(name, number, figures["mlflow_run_id"])]
    return f"{name} version {number}{lacking}: {figures['decision']}"


def _absent(figures: dict[str, Any]) -> str:
    """Test clips without people, and what they count for."""
    absent = figures["test_clips_listed"] - figures["test_clips"]
    counts = "mistakes" if figures.get("test_accuracy_counts") == COUNTS_LISTED else "left out of the accuracy"
    return (
        f"{absent} without people ({absent / figures['test_clips_listed']:.1%}): {counts}"
        if absent
        else "all have people"
    )


def _percent(value: float | None, missing: str) -> str:
    return missing if value is None else f"{100 * value:.1f} %"
