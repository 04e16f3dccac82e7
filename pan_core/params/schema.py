"""Sections of params.yaml: the names, types, bounds and defaults of every setting.

DVC reads the defaults from this file's text (dvc.yaml names the classes), so they are literals: a number, a string, a list.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

from pan_core.datasets.group_pattern import compile_pattern
from pan_core.datasets.registry import check_name
from pan_core.errors import DataError
from pan_core.params.space import Choice, Range, read_entry
from pan_core.pose.qualities import NETWORK_NAMES, PAPER_FILE, quality_settings

Mode = Literal["clip", "online"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


class ParamsSection(BaseModel):
    """A part of params.yaml: unknown keys are refused, values are never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class ActorsParams(ParamsSection):
    """The embedded dataset."""

    groups: Annotated[int, Field(ge=3)] = 21
    clips_per_group: Positive = 1


class SurveillanceParams(ParamsSection):
    """Footage of one's own; see `pan_core.datasets.surveillance`."""

    folder: str = "data/incoming"
    manifest: str = "auto"
    group: Literal["auto", "subject", "camera", "day", "video"] = "auto"


class FoldersParams(ParamsSection):
    """Videos in a folder for each class; see `pan_core.datasets.folders`."""

    folder: str = "data/videos"
    group_pattern: str = ""

    @field_validator("group_pattern")
    @classmethod
    def _pattern_has_one_group(cls, text: str) -> str:
        try:
            if text:
                compile_pattern(text)
        except DataError as error:
            raise ValueError(str(error)) from error
        return text


class PysklParams(ParamsSection):
    """A pickle in the PYSKL format; see `pan_core.datasets.pyskl`."""

    path: str = ""
    layout: str = "coco17"
    classes: str = ""
    fps: Annotated[float, Field(ge=1, le=1000)] = 30.0


class SplitParams(ParamsSection):
    """Which splits are used, how many are made where none is official, and how validation is cut out of training."""

    splits: Annotated[list[Positive], Field(min_length=1)] = [1]
    folds: Annotated[int, Field(ge=2)] = 3
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15

    @field_validator("splits")
    @classmethod
    def _each_split_once(cls, splits: list[int]) -> list[int]:
        if len(set(splits)) < len(splits):
            raise ValueError("a split is named twice, each is used once")
        return splits


OWN_NETWORKS = "networks"
"""Folder of the user's own pose networks; DVC sees what changes there."""


class PoseParams(ParamsSection):
    """Skeleton extraction; see `pan_core.pose.extraction_settings.ExtractionSettings`.

    `network` and `quality` give the values of `pan_core.pose.qualities` to those that are left out.
    """

    network: str = "movenet"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    quality: Literal["best", "balanced", "fast"] = "balanced"
    stages: Annotated[int, Field(ge=1, le=6)] = 4
    search_stages: Annotated[int, Field(ge=1, le=6)] = 4
    search_every: Positive = 30
    look_every: Positive = 2
    crop_size: Annotated[int, Field(ge=64, multiple_of=8)] = 224
    narrowest_crop: Annotated[float, Field(gt=0, le=1)] = 0.5
    glance_size: tuple[Annotated[int, Field(ge=64)], Annotated[int, Field(ge=64)]] = (256, 224)
    keep_missed: bool = True
    min_joint_score: Annotated[float, Field(gt=0, lt=1)] = 0.05
    min_person_score: Annotated[float, Field(gt=0, lt=1)] = 0.12
    max_people: Positive = 2
    max_fps: PositiveFloat = 15.0
    keep_video: bool = True

    @model_validator(mode="before")
    @classmethod
    def _quality_fills_in(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        network, quality = (data.get(name, cls.model_fields[name].default) for name in ("network", "quality"))
        return {**quality_settings(str(network), str(quality)), **data}

    @field_validator("network")
    @classmethod
    def _network_is_known(cls, value: str) -> str:
        if PurePosixPath(value) == PurePosixPath(PAPER_FILE):  # how projects named it before networks had names
            return "paper"
        folder, *rest = PurePosixPath(value).parts or ("",)
        if value in NETWORK_NAMES or (folder == OWN_NETWORKS and rest and ".." not in rest):
            return value
        raise ValueError(
            f"expected {', '.join(NETWORK_NAMES)}, or a file of your own in {OWN_NETWORKS}/ (docs/pose.md)"
        )

    def extraction(self) -> dict[str, Any]:
        """Arguments of `ExtractionSettings`."""
        return self.model_dump(exclude={"quality", "network", "device", "keep_video"})


class RelabelParams(ParamsSection):
    """Segments of composed actions."""

    enabled: bool = True
    min_segment_s: PositiveFloat = 0.6
    compare: bool = True


class ValidateParams(ParamsSection):
    """What a clip must have to be used."""

    min_frames: Positive = 8
    min_visible_joints: Share = 0.3
    max_quarantined: Share = 0.1
    on_failure: Literal["warn", "stop"] = "warn"


class ModelParams(ParamsSection):
    """Pose-Attention Network: its input, and widths as in `pan_core.model.pan.PanSettings`."""

    frames: Annotated[int, Field(ge=4)] = 32
    rate: PositiveFloat = 15.0
    joint_heads: Positive = 8
    pose_heads: Positive = 8
    joint_units: Positive = 48
    pose_units: Positive = 48
    hidden: Positive = 192
    dropout: Below1 = 0.3
    pooling: bool = False
    joints_attention: bool = True
    pose_attention: bool = True
    recurrent: bool = True
    half_life_s: NotNegative = 1.0

    @model_validator(mode="after")
    def _heads_share_the_units(self) -> Self:
        if self.hidden % self.pose_heads:
            raise ValueError(f"hidden must be a multiple of pose_heads={self.pose_heads}, but hidden is {self.hidden}")
        return self


class AugmentationParams(ParamsSection):
    """Variation of training clips; see `pan_core.training.augmentation.AugmentationSettings`."""

    flip: Share = 0.5
    rotation: NotNegative = 30.0
    stretch: Below1 = 0.3
    shear: Below1 = 0.2
    jitter: NotNegative = 0.02
    joint_dropout: Share = 0.15
    cut: Share = 0.3
    crop: Below1 = 0.3
    warp: Below1 = 0.3
    mixup: NotNegative = 0.2


class EventsParams(ParamsSection):
    """Rules of events, fitted at the end of training; see `pan_core.live.rule_fitting`.

    `miss_cost` is the cost of a missed action, that of a false alarm being 1; `minutes` the length of the stream of validation
    clips, 0 for no fitting.
    """

    miss_cost: PositiveFloat = 1.0
    minutes: Annotated[float, Field(ge=0, le=600)] = 10.0


class TrainParams(ParamsSection):
    """Optimisation; see `pan_core.training.settings.TrainSettings`."""

    modes: Annotated[list[Mode], Field(min_length=1)] = ["clip", "online"]
    epochs: Positive = 60
    least_steps: Count = 0
    batch: Annotated[int, Field(ge=2)] = 16
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NotNegative = 0.02
    label_smoothing: Below1 = 0.1
    lambda_pose: PositiveFloat = 1.0
    lambda_joints: NotNegative = 0.5
    background: Share = 0.25
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "full", "mixed"] = "auto"
    threads: Positive = 1
    augmentation: AugmentationParams = AugmentationParams()
    events: EventsParams = EventsParams()

    @field_validator("modes")
    @classmethod
    def _devices_run_online(cls, modes: list[str]) -> list[str]:
        if "online" not in modes:
            raise ValueError("'online' must be among the modes, it is the one that is exported to devices")
        return modes


Entry = Annotated[Range | Choice, PlainValidator(read_entry), PlainSerializer(lambda entry: entry.written())]


Searched = Literal["model", "train", "augmentation"]


SPACE: dict[Searched, dict[str, Any]] = {
    "model": {
        "hidden": [96, 128, 192],
        "joint_heads": [4, 8],
        "joint_units": [24, 48, 64],
        "pose_units": [24, 48, 64],
        "dropout": {"low": 0.1, "high": 0.5},
    },
    "train": {
        "lambda_pose": {"low": 0.3, "high": 3.0, "log": True},
        "lambda_joints": {"low": 0.05, "high": 2.0, "log": True},
        "learning_rate": {"low": 5e-4, "high": 8e-3, "log": True},
        "weight_decay": {"low": 1e-3, "high": 0.1, "log": True},
    },
}
"""Default of `tune.space`, in the form that it has in params.yaml."""


def _default_space() -> dict[Searched, dict[str, Range | Choice]]:
    return {part: {name: read_entry(entry) for name, entry in entries.items()} for part, entries in SPACE.items()}


class TuneParams(ParamsSection):
    """Search of hyperparameters; no trials means the values of `model` and `train`. See `pan_core.tuning.study.Plan`.

    The budget of a step is `latency.budget_step_ms`.
    """

    trials: Count = 0
    epochs: Positive = 7
    mode: Mode = "online"
    study: Annotated[str, Field(pattern=r"^[\w.-]*$")] = ""
    objectives: Annotated[list[Literal["accuracy", "step_ms"]], Field(min_length=1)] = ["accuracy", "step_ms"]
    sampler: Literal["tpe", "random", "nsga2"] = "tpe"
    pruner: Literal["median", "quarter", "halving", "none"] = "quarter"
    leaders: Positive = 3
    repeats: Positive = 3
    space: dict[Searched, dict[str, Entry]] = Field(default_factory=_default_space)

    @field_validator("objectives")
    @classmethod
    def _accuracy_counts(cls, objectives: list[str]) -> list[str]:
        if objectives not in (["accuracy"], ["accuracy", "step_ms"]):
            raise ValueError("expected [accuracy] or [accuracy, step_ms]")
        return objectives


class EvaluateParams(ParamsSection):
    """Benchmark evaluation."""

    min_test_accuracy: Share = 0.0


class ExportParams(ParamsSection):
    """Exported networks, for which targets of edge/targets.yaml, and how closely they must agree with torch."""

    opset: Annotated[int, Field(ge=11, le=18)] = 17
    tolerance: PositiveFloat = 1e-4
    targets: list[str] = ["host"]
    inputs: Positive = 200
    clips: Positive = 200
    scenes: Positive = 6


class LatencyParams(ParamsSection):
    """Time of one frame on this machine, and which devices must keep their budget by what kind of figure."""

    required: list[str] = []
    evidence: Literal["measured", "measured or predicted"] = "measured"

    frames: Annotated[int, Field(ge=10)] = 1024
    warmup: Count = 50
    pose_frames: Annotated[int, Field(ge=10)] = 60
    budget_step_ms: PositiveFloat = 5.0
    budget_frame_ms: PositiveFloat = 300.0


class RetrainParams(ParamsSection):
    """Retraining on deliveries of new footage; the flow sets all but `classes`.

    Attributes of note: `classes` may occur in new footage beside those that are known; `champion` is the version in the registry whose
    weights training starts from as well, and which drift is told against, 0 for none; `data_version` is DVC's hash of the
    footage; `begin` says whether training may start from the champion's weights.
    """

    classes: list[str] = []
    champion: Count = 0
    data_version: str = ""
    begin: bool = True


class PromoteParams(ParamsSection):
    """How much worse than the champion a challenger may be; see `pan_core.registry.promotion.Margins`."""

    accuracy_margin: Share = 0.02
    class_margin: Share = 0.2
    min_clips: Positive = 20
    min_class_clips: Positive = 5


class DriftParams(ParamsSection):
    """When new footage is unlike that which the champion was trained on; see `pan_core.quality.DriftSettings`."""

    min_clips: Annotated[int, Field(ge=2)] = 20
    divergence: NotNegative = 0.1
    class_divergence: NotNegative = 0.1
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = 0.01
    bins: Annotated[int, Field(ge=2, le=100)] = 8


class AllParams(ParamsSection):
    """Every value of params.yaml."""

    dataset: str
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    workers: Count = 0
    actors: ActorsParams = ActorsParams()
    surveillance: SurveillanceParams = SurveillanceParams()
    folders: FoldersParams = FoldersParams()
    pyskl: PysklParams = PysklParams()
    split: SplitParams = SplitParams()
    pose: PoseParams = PoseParams()
    relabel: RelabelParams = RelabelParams()
    validation: ValidateParams = Field(default=ValidateParams(), alias="validate")
    tune: TuneParams = TuneParams()
    model: ModelParams = ModelParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    export: ExportParams = ExportParams()
    latency: LatencyParams = LatencyParams()
    promote: PromoteParams = PromoteParams()
    retrain: RetrainParams = RetrainParams()
    drift: DriftParams = DriftParams()

    @field_validator("dataset")
    @classmethod
    def _dataset_is_known(cls, name: str) -> str:
        try:
            check_name(name)
        except DataError as error:
            raise ValueError(str(error)) from error
        return name

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_defaults(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data
