"""Bundles of the workspace's exported networks; the command `pan edge bundle`, not a stage."""

from pathlib import Path
from typing import Any

from pan_core.config import load_params
from pan_core.edge.bundle import write_bundle
from pan_core.edge.targets import read_targets, target_by_name
from pan_core.errors import DataError
from pan_core.files import read_json
from pan_core.pose.extraction import ExtractionSettings
from pan_core.stages import paths
from pan_core.stages.runner import result_of


def exported_targets() -> list[str]:
    """Targets for which the last run exported.

    Raises:
        DataError: Where it did for none.
    """
    found = [name for name in read_targets() if (paths.exported_for(name) / "gates.json").is_file()]
    if not found:
        raise DataError(f"{paths.EXPORTED}: nothing was exported for any target; run `dvc repro export`")
    return found


def bundle_target(name: str, folder: Path) -> dict:
    """Write the bundle of a target; returns its manifest.

    Raises:
        DataError: Where the target is unknown or was not exported.
    """
    from dataclasses import asdict

    from pan_core.stages.export import pose_tolerance

    target, params = target_by_name(name), load_params()
    exported = paths.exported_for(name)
    step = next((path for path in (paths.EXPORTED / "step.json",) if path.is_file()), None)
    description: dict[str, Any] = read_json(step) if step else {}
    settings = ExtractionSettings(**description.get("preprocessing", {}).get("pose", params.pose.extraction()))
    result = result_of("export")
    return write_bundle(
        folder, target, exported=exported, reference=paths.REFERENCE, settings=asdict(settings),
        tolerances={"step": params.export.tolerance, "pose": pose_tolerance(target)},
        recogniser=f"pan-{params.dataset}, online, {result['online_sha256'][:12]}", mlflow_run_id=result["mlflow_run_id"],
    )  # fmt: skip
