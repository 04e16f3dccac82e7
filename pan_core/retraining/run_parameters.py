"""Parameters of a retraining: those of a person, with the ones that retraining sets itself."""

from collections.abc import Mapping
from typing import Any

from pan_core.datasets.holdout import BRING_BACK, HOLDOUT, Holdout
from pan_core.errors import ConfigError, DataError
from pan_core.params.load import PARAMS_FILE, Params
from pan_core.retraining.decision import RetrainingPlan
from pan_core.workspace.paths import FOOTAGE

DATASET = "surveillance"
FIXED = (
    "dataset",
    "surveillance.folder",
    "surveillance.manifest",
    "retrain.champion",
    "retrain.data_version",
    "retrain.begin",
)
"""Parameters that a retraining sets itself."""


def choose_parameters(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides of a person, with the footage as the dataset.

    Args:
        overrides: Values nested like params.yaml.

    Raises:
        ConfigError: With each one of `FIXED` that is among them.
    """
    if given := [name for name in FIXED if _value(overrides, name) is not None]:
        raise ConfigError("overrides", [f"{name}: a retraining sets it itself; leave it out" for name in given])
    return merged(overrides, {"dataset": DATASET, "surveillance": {"folder": str(FOOTAGE), "manifest": "auto"}})


def training_parameters(
    chosen: Mapping[str, Any], holdout: Holdout | None, plan: RetrainingPlan, version: str
) -> dict[str, Any]:
    """Chosen parameters with what a training needs to know.

    Args:
        chosen: Result of `choose_parameters`.
        holdout: Videos that decide; their grouping is that of the split.
        plan: Which version of the recognizer to begin with.
        version: Version of the footage; empty on trial.

    Raises:
        DataError: If there is no holdout.
    """
    if holdout is None:
        raise DataError(f"{FOOTAGE / HOLDOUT}: is gone; {BRING_BACK}", code="holdout.gone")
    own = {"champion": plan.start, "data_version": version, "begin": plan.begin}
    return merged(chosen, {"surveillance": {"group": holdout.group}, "retrain": own})


def require_kept_videos(params: Params) -> None:
    """Refuse parameters that remove videos.

    Raises:
        ConfigError: If they do.
    """
    if params.removes_videos:
        reason = "retraining judges every version on the videos of one holdout, so it keeps them; set it to true"
        raise ConfigError(PARAMS_FILE.name, [f"pose.keep_video: {reason}"])


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values of both; of a value that both have, the second's."""
    result = dict(first)
    for key, value in second.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return result


def _value(values: Mapping[str, Any], name: str) -> object:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None  # type: ignore[assignment]
    return values
