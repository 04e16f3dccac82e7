"""Devices of a workspace: their bundles, measurements and budget verdicts, for `pan edge` and the stage latency."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from pan_core.edge.budget_check import (
    BudgetVerdict,
    Expectation,
    judge_measurement,
    judge_prediction,
    judge_unknown,
    require_result,
)
from pan_core.edge.bundle import write_bundle
from pan_core.edge.gates import GATES, read_gates
from pan_core.edge.result import read_result, write_result
from pan_core.edge.roofline import Fit, count_layers, fit, predict_ms
from pan_core.errors import ConfigError, DataError
from pan_core.export.onnx_rewriting import fold_casts
from pan_core.export.pose_networks import ONNX, POSE, SEARCHING, input_name, input_shape
from pan_core.export.targets import HOST, Target, read_targets, target_by_name
from pan_core.files import read_json
from pan_core.params.load import PARAMS_FILE, Params, load_params
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.maps import STRIDE
from pan_core.workspace import paths
from pan_core.workspace.paths import result_of
from pan_core.workspace.result_keys import exported_key

HALF, SINGLE = 2, 4
"""Bytes of a number."""


def exported_targets() -> list[str]:
    """Targets that the last run exported.

    Raises:
        DataError: If there are none.
    """
    found = [name for name in read_targets() if (paths.exported_for(name) / GATES).is_file()]
    if not found:
        raise DataError(
            f"{paths.EXPORTED}: nothing was exported for any target; run `dvc repro export`", code="export.missing"
        )
    return found


def bundle_target(name: str, folder: Path) -> dict:
    """Write the bundle of a target; returns its manifest.

    Raises:
        DataError: If the target is unknown or was not exported.
    """
    target, params = target_by_name(name), load_params()
    result = result_of("export") if paths.result("export").is_file() else {}
    if exported_key(name, "structure") not in result:
        raise DataError(
            f"{name}: nothing was exported for it; add it to export.targets in params.yaml and run `dvc repro export`",
            code="export.missing",
        )
    return write_bundle(
        folder, target, exported=paths.exported_for(name), reference=paths.REFERENCE, settings=asdict(_settings(params)),
        step_tolerance=params.export.tolerance,
        recognizer=f"pan-{params.dataset}, online, {result[exported_key('online', 'sha256')][:12]}",
        mlflow_run_id=result["mlflow_run_id"],
    )  # fmt: skip


def take_result(result: dict[str, Any]) -> tuple[BudgetVerdict, Path]:
    """Keep a measurement that a device wrote, if it counts for the networks of this workspace.

    Args:
        result: As `pan_core.edge.result.read_result` gives it.

    Returns:
        Verdict on its target, and the file in which it is kept.

    Raises:
        DataError: If it was measured with other networks or settings.
    """
    target = target_by_name(result["target"])
    _require_valid(result, target)
    kept = paths.measured_on(target.name)
    write_result(kept, result)
    return judge_measurement(result, target), kept


def judge_devices(params: Params) -> dict[str, BudgetVerdict]:
    """Verdict on each exported target except the host, by a measurement or else by a prediction.

    Raises:
        ConfigError: If a target in latency.required is not exported.
    """
    if missing := [name for name in params.latency.required if name not in params.export.targets or name == HOST]:
        raise ConfigError(
            str(PARAMS_FILE),
            [f"latency.required: expected devices that are in export.targets too, but got {', '.join(missing)}"],
            code="latency.required",
        )
    return {name: _judge(params, target_by_name(name)) for name in params.export.targets if name != HOST}


def predictions(params: Params) -> dict[str, dict[str, float]]:
    """Predicted milliseconds of each target with known peaks: "crop", "search", "step", and "frame" and "fps" of one person."""
    return {name: _predict(params, target, fit()) for name, target in read_targets().items() if target.peaks}


def _judge(params: Params, target: Target) -> BudgetVerdict:
    path, why = paths.measured_on(target.name), "not measured"
    if path.is_file():
        try:
            result = read_result(path)
            _require_valid(result, target)
            return judge_measurement(result, target)
        except DataError as error:
            why = str(error)
    if target.peaks is None:
        return judge_unknown(target, why)
    fitted = fit()
    fps = _predict(params, target, fitted)["fps"]
    return judge_prediction(
        fps, fitted.factor, target, accepted=params.latency.evidence == "measured or predicted", why=why
    )


def _require_valid(result: dict[str, Any], target: Target) -> None:
    expected = Expectation(
        target=target,
        structure=_gates(target)["structure"],
        labels=_description()["labels"],
        settings=asdict(_settings(load_params())),
    )
    require_result(result, expected)


def _predict(params: Params, target: Target, fitted: Fit) -> dict[str, float]:
    peaks = target.peaks
    assert peaks is not None
    settings, half = _settings(params), HALF if target.precision == "fp16" else SINGLE
    network = {path.stem: path for path in paths.EXPORTED_POSE.glob(f"*{ONNX}")}
    if POSE not in network:
        raise DataError(
            f"{paths.EXPORTED_POSE}: the networks that find people are missing; run `dvc repro export`",
            code="export.missing",
        )

    def time(model: Path, shapes: dict[str, tuple[int, ...]], size: int) -> float:
        layers = count_layers(fold_casts(onnx.load(model)).SerializeToString(), shapes)
        return predict_ms(layers, peaks, number_bytes=size, share=fitted.share)

    def time_pictures(model: Path, height: int, width: int) -> float:
        fixed = input_shape(model)
        return time(model, {input_name(model): fixed if all(fixed) else (1, 3, height, width)}, half)

    # A person who stands upright fills a crop half as wide as high.
    width = math.ceil(settings.crop_size * max(settings.narrowest_crop, 0.5) / STRIDE) * STRIDE
    crop = time_pictures(network[POSE], settings.crop_size, width)
    searching = next((network[name] for name in SEARCHING if name in network), network[POSE])
    parts = {
        "crop": crop,
        # A detector finds a box, and a look at it the joints.
        "search": time_pictures(searching, *settings.glance_size[::-1]) + (crop if "detector" in network else 0.0),
        "step": time(paths.EXPORTED / "step.onnx", {n: (1, *s) for n, s in _description()["shapes"].items()}, SINGLE),
    }
    # At best: nobody is lost, and optical flow, which is not counted, always holds between two looks.
    frame = parts["crop"] / settings.look_every + parts["search"] / settings.search_every + parts["step"]
    return parts | {"frame": frame, "fps": 1000 / frame}


def _settings(params: Params) -> ExtractionSettings:
    """How people are found, as the recognizer learnt them."""
    return ExtractionSettings(**_description().get("preprocessing", {}).get("pose", params.pose.extraction()))


def _description() -> dict[str, Any]:
    return read_json(paths.EXPORTED / "step.json")


def _gates(target: Target) -> dict[str, Any]:
    return read_gates(paths.exported_for(target.name), target)
