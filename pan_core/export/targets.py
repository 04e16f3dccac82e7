"""Targets: the devices in edge/targets.yaml that models are exported for."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pan_core.errors import ConfigError, DataError
from pan_core.files import read_user_text

TARGETS_FILE = Path("edge/targets.yaml")
HOST = "host"
TENSORRT_OPSET = 13
"""Newest operator set of TensorRT 8.2."""
POSE_TOLERANCE = {"fp32": 1e-4, "fp16": 0.1}
"""Largest difference of any cell of any map, whose values reach 1. With weights in half precision, 0.05 was measured on 200 crops."""

Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Budget(_Part):
    """Budget of a device, for one person with the pose network run on every frame.

    Attributes:
        fps: Least number of frames a second.
        step_ms: Largest 90th percentile of a PAN step, in milliseconds.
    """

    fps: Positive
    step_ms: Positive


class PeakRates(_Part):
    """Peak rates of a device, by its data sheet.

    Attributes:
        gflops: Billion operations a second in the target's precision; a multiply-add is two.
        gbytes_s: Billion bytes a second between processor and memory.
    """

    gflops: Positive
    gbytes_s: Positive


class Target(_Part):
    """A device that models are exported for.

    Attributes:
        name: Name in edge/targets.yaml.
        device: Part of the board's name in its device tree; empty for any machine.
        machine: Processor architecture as `uname -m` prints it; empty for any.
        runtime: Runtime of the networks on the device.
        precision: Precision of the pose network.
        opset: ONNX operator set, for runtimes that read ONNX.
        threads: Number of processor cores to use.
        memory_mb: Largest amount of memory to use.
        budget: Budget of the device; None if it has none.
        peaks: Peak rates for predictions; None if nothing is predicted.
        emulate: QEMU's name of its processor, for `pan edge emulate`; empty if it cannot be emulated.
    """

    name: str
    device: str = ""
    machine: Literal["", "aarch64", "armv7l", "x86_64"] = ""
    runtime: Literal["onnxruntime", "ncnn", "tensorrt"]
    precision: Literal["fp32", "fp16"]
    opset: Annotated[int, Field(ge=11, le=18)] = 13
    threads: Annotated[int, Field(ge=1)] = 1
    memory_mb: Positive
    budget: Budget | None = None
    peaks: PeakRates | None = None
    emulate: str = ""

    @property
    def pose_tolerance(self) -> float:
        """Largest difference of the pose network's maps from torch's on the device, in the device's precision."""
        return POSE_TOLERANCE[self.precision]

    @property
    def file_tolerance(self) -> float:
        """Largest difference for the written file, run here: an ONNX file is in single precision, the engine built from it may not be."""
        return POSE_TOLERANCE[self.precision if self.runtime == "ncnn" else "fp32"]

    @model_validator(mode="after")
    def _require_runtime_support(self) -> "Target":
        if self.runtime == "tensorrt" and self.opset > TENSORRT_OPSET:
            raise ValueError(f"TensorRT 8.2 reads opset {TENSORRT_OPSET} at most, but got {self.opset}")
        if self.runtime == "onnxruntime" and self.precision != "fp32":
            raise ValueError(f"ONNX Runtime calculates in fp32 on processors, but got {self.precision}")
        return self


def read_targets(path: Path = TARGETS_FILE) -> dict[str, Target]:
    """Read all targets, by name.

    Raises:
        ConfigError: If the file has faults; names all of them.
    """
    try:
        found = YAML(typ="safe").load(read_user_text(path))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"], code="targets.unreadable") from error
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise ConfigError(
            str(path), ["expected a mapping from names of targets to their settings"], code="targets.no-mapping"
        )
    targets, faults = {}, []
    for name, entry in found.items():
        try:
            targets[str(name)] = Target.model_validate({"name": str(name), **entry})
        except ValidationError as error:
            faults += [
                f"{'.'.join([str(name), *map(str, fault['loc'])])}: {fault['msg']}, but got {fault['input']!r}"
                for fault in error.errors()
            ]
    if faults:
        raise ConfigError(str(path), faults, code="targets.faults")
    return targets


def target_by_name(name: str, path: Path = TARGETS_FILE) -> Target:
    """Read one target.

    Raises:
        DataError: If there is none of that name.
    """
    targets = read_targets(path)
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"target {name!r} is unknown; {hint}{path} has {', '.join(targets)}", code="target.unknown")
    return targets[name]
