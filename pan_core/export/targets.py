"""Devices that models are exported for, as edge/targets.yaml lists them."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pan_core.errors import ConfigError, DataError

TARGETS_FILE = Path("edge/targets.yaml")
HOST = "host"
TENSORRT_OPSET = 13
"""Newest operator set of TensorRT 8.2."""
POSE_TOLERANCE = {"fp32": 1e-4, "fp16": 0.1}
"""Largest difference of any cell of any map; values reach 1. With weights in half precision 0.05 was seen on 200 crops."""

Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Budget(_Part):
    """What a device must keep up with: one person, every frame looked at.

    Attributes:
        fps: Frames a second, at least.
        step_ms: 90th percentile of a PAN step, at most.
    """

    fps: Positive
    step_ms: Positive


class Peaks(_Part):
    """What a device could do at best, by its data sheet.

    Attributes:
        gflops: Billion operations a second in the target's precision; a multiply-add is two.
        gbytes_s: Billion bytes a second between processor and memory.
    """

    gflops: Positive
    gbytes_s: Positive


class Target(_Part):
    """One device.

    Attributes:
        name: As in edge/targets.yaml.
        device: Part of the model's name that the device tree gives; empty where any machine will do.
        machine: Processor architecture as `uname -m` gives it; empty where any will do.
        runtime: What runs the networks there.
        precision: Of the pose network.
        opset: ONNX operator set, for runtimes that read ONNX.
        threads: Processor cores to use.
        memory_mb: Most memory that may be taken.
        budget: What it must keep up with; None where nothing is asked.
        peaks: For predictions; None where nothing is predicted.
        emulate: QEMU's name of its processor, for `pan edge emulate`; empty where it cannot be imitated.
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
    peaks: Peaks | None = None
    emulate: str = ""

    @property
    def pose_tolerance(self) -> float:
        """Largest difference of the pose network's maps from torch's where it runs: on the device, in its precision."""
        return POSE_TOLERANCE[self.precision]

    @property
    def file_tolerance(self) -> float:
        """The same of the written file, run here: ONNX is in single precision, whatever the engine made of it calculates in."""
        return POSE_TOLERANCE[self.precision if self.runtime == "ncnn" else "fp32"]

    @model_validator(mode="after")
    def _runtime_can_do_it(self) -> "Target":
        if self.runtime == "tensorrt" and self.opset > TENSORRT_OPSET:
            raise ValueError(f"TensorRT 8.2 reads opset {TENSORRT_OPSET} at most, but opset is {self.opset}")
        if self.runtime == "onnxruntime" and self.precision != "fp32":
            raise ValueError(f"ONNX Runtime calculates in fp32 on processors, but precision is {self.precision}")
        return self


def read_targets(path: Path = TARGETS_FILE) -> dict[str, Target]:
    """All targets, by name.

    Raises:
        ConfigError: With every fault of the file.
    """
    try:
        found = YAML(typ="safe").load(path.read_text())
    except (OSError, YAMLError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise ConfigError(str(path), ["expected a mapping from names of targets to their settings"])
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
        raise ConfigError(str(path), faults)
    return targets


def target_by_name(name: str, path: Path = TARGETS_FILE) -> Target:
    """One target.

    Raises:
        DataError: Where there is none of that name.
    """
    targets = read_targets(path)
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=1)
        raise DataError(f"target {name!r} is unknown; {f'did you mean {near[0]!r}? ' if near else ''}"
                        f"{path} has {', '.join(targets)}")  # fmt: skip
    return targets[name]
