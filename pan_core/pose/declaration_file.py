"""Schema of a declaration file: names, types and bounds of all values of a pose model."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pan_core.errors import DataError
from pan_core.skeletons import LAYOUTS, SkeletonLayout

Side = Annotated[int, Field(ge=16, le=4096)]
Level = Annotated[float, Field(ge=-1000, le=1000)]
Spread = Annotated[float, Field(gt=0, le=1000)]
Name = Annotated[str, Field(min_length=1)]
TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""Without these nobody has a place, a size or a way up: every video would be one without people."""


class DeclarationFile(BaseModel):
    """See `pan_core.pose.declared.ModelDeclaration`; numbers in quotes and unknown names are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Name
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    kind: Literal["top_down", "bottom_up"] = "top_down"
    layout: Any = "coco17"
    decoding: Literal["simcc", "heatmaps", "keypoints", "movenet"] = "simcc"
    size: tuple[Side, Side] = (192, 256)
    channels: Literal["rgb", "bgr"] = "rgb"
    order: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "uint8", "int32"] = "float32"
    mean: tuple[Level, Level, Level] = (0.0, 0.0, 0.0)
    std: tuple[Spread, Spread, Spread] = (1.0, 1.0, 1.0)
    outputs: tuple[Name, ...] = ()
    split: Annotated[float, Field(gt=0, le=16)] = 2.0
    coordinates: Literal["xy", "yx"] = "xy"
    unit: Literal["pixels", "share"] = "pixels"
    min_score: Annotated[float, Field(ge=0, lt=1)] = 0.3
    min_joints: Annotated[int, Field(ge=1)] = 4
    finder: Name = "models/pose/pose.onnx"
    detector: Name | None = None
    detector_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @field_validator("size", "split", "min_score", "min_joints", "mean", "std", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any) -> Any:
        parts = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(part, bool) or not isinstance(part, int | float) for part in parts):
            raise ValueError("expected numbers, without quotes")
        return value

    @field_validator("layout")
    @classmethod
    def _layout_is_one(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in LAYOUTS:
                raise ValueError(f"expected one of {', '.join(LAYOUTS)} or a layout spelt out")
            return value
        try:
            layout = SkeletonLayout.from_dict(value)
        except (DataError, TypeError, ValueError) as error:
            raise ValueError(
                f"expected the name of a layout, or one with name, joints, bones, pairs, root, torso ({error})"
            ) from error
        if lacking := [name for name in TORSO if name not in layout.joints]:
            raise ValueError(f"expected joints named {', '.join(TORSO)}; {', '.join(lacking)} is missing")
        return value

    @model_validator(mode="after")
    def _detector_is_pinned(self) -> "DeclarationFile":
        if (self.detector is None) != (self.detector_sha256 is None):
            raise ValueError("detector: expected it and detector_sha256, or neither")
        if self.detector and self.kind != "top_down":
            raise ValueError("detector: expected kind: top_down, whose crops it finds")
        return self

    @model_validator(mode="after")
    def _joints_suffice(self) -> "DeclarationFile":
        layout = LAYOUTS[self.layout] if isinstance(self.layout, str) else SkeletonLayout.from_dict(self.layout)
        if self.min_joints > layout.size:
            raise ValueError(f"min_joints: expected at most the layout's {layout.size}")
        if self.decoding == "simcc" and any(side * self.split != round(side * self.split) for side in self.size):
            raise ValueError("split: expected a value that makes whole places of both sides of size")
        return self
