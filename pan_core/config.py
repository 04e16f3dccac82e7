"""params.yaml as one typed configuration.

Stages read it here and hand plain values to the library. Every fault is reported in one message.
"""

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pan_core.datasets import check_name
from pan_core.errors import ConfigError, DataError
from pan_core.files import atomic_path
from pan_core.tuning.space import Choice, Range, Space, read_entry

PARAMS_FILE = Path("params.yaml")

Mode = Literal["clip", "online"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are refused, values are never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class ActorsParams(Section):
    """The embedded dataset."""

    groups: Annotated[int, Field(ge=3)] = 21
    clips_per_group: Positive = 1


class SurveillanceParams(Section):
    """Footage of one's own; see `pan_core.datasets.surveillance`."""

    folder: str = "data/incoming"
    manifest: str = "auto"
    group: Literal["auto", "subject", "camera", "day", "video"] = "auto"


class PysklParams(Section):
    """A pickle in the PYSKL format; see `pan_core.datasets.pyskl`."""

    path: str = ""
    layout: str = "coco17"
    classes: str = ""
    fps: Annotated[float, Field(ge=1, le=1000)] = 30.0


class SplitParams(Section):
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


class PoseParams(Section):
    """Skeleton extraction; see `pan_core.pose.extraction.ExtractionSettings`."""

    stages: Annotated[int, Field(ge=1, le=6)] = 4
    search_stages: Annotated[int, Field(ge=1, le=6)] = 4
    search_every: Positive = 30
    min_joint_score: Annotated[float, Field(gt=0, lt=1)] = 0.05
    min_person_score: Annotated[float, Field(gt=0, lt=1)] = 0.12
    max_people: Positive = 2
    max_fps: PositiveFloat = 15.0


class RelabelParams(Section):
    """Segments of composed actions."""

    enabled: bool = True
    min_segment_s: PositiveFloat = 0.6
    compare: bool = True


class ValidateParams(Section):
    """What a clip must have to be used."""

    min_frames: Positive = 8
    min_visible_joints: Share = 0.3
    max_quarantined: Share = 0.1
    on_failure: Literal["warn", "stop"] = "warn"


class ModelParams(Section):
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

    @model_validator(mode="after")
    def _heads_share_the_units(self) -> Self:
        if self.hidden % self.pose_heads:
            raise ValueError(f"hidden must be a multiple of pose_heads={self.pose_heads}, but hidden is {self.hidden}")
        return self


class AugmentationParams(Section):
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


class TrainParams(Section):
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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "full", "mixed"] = "auto"
    threads: Positive = 1
    augmentation: AugmentationParams = AugmentationParams()

    @field_validator("modes")
    @classmethod
    def _devices_run_online(cls, modes: list[str]) -> list[str]:
        if "online" not in modes:
            raise ValueError("'online' must be among the modes, it is the one that is exported to devices")
        return modes


Entry = Annotated[Range | Choice, PlainValidator(read_entry), PlainSerializer(lambda entry: entry.written())]


Searched = Literal["model", "train", "augmentation"]


def _space() -> dict[Searched, dict[str, Range | Choice]]:
    return {
        "model": {
            "hidden": Choice((96, 128, 192)),
            "joint_heads": Choice((4, 8)),
            "joint_units": Choice((24, 48, 64)),
            "pose_units": Choice((24, 48, 64)),
            "dropout": Range(0.1, 0.5),
        },
        "train": {
            "lambda_pose": Range(0.3, 3.0, log=True),
            "lambda_joints": Range(0.05, 2.0, log=True),
            "learning_rate": Range(5e-4, 8e-3, log=True),
            "weight_decay": Range(1e-3, 0.1, log=True),
        },
    }


class TuneParams(Section):
    """Search of hyperparameters; no trials means the values of `model` and `train`. See `pan_core.tuning.study.Plan`.

    The budget of a step is `latency.budget_step_ms`.
    """

    trials: Count = 0
    epochs: Positive = 7
    mode: Mode = "online"
    study: Annotated[str, Field(pattern=r"^[\w.-]*$")] = ""
    objectives: Annotated[list[Literal["accuracy", "step_ms"]], Field(min_length=1)] = ["accuracy", "step_ms"]
    sampler: Literal["tpe", "random", "nsga2"] = "tpe"
    pruner: Literal["median", "quarter", "halving", "none"] = "median"
    leaders: Positive = 3
    repeats: Positive = 3
    space: dict[Searched, dict[str, Entry]] = Field(default_factory=_space)

    @field_validator("objectives")
    @classmethod
    def _accuracy_counts(cls, objectives: list[str]) -> list[str]:
        if objectives not in (["accuracy"], ["accuracy", "step_ms"]):
            raise ValueError("expected [accuracy] or [accuracy, step_ms]")
        return objectives


class EvaluateParams(Section):
    """Benchmark evaluation."""

    min_test_accuracy: Share = 0.0


class ExportParams(Section):
    """ONNX files and how closely they must agree with torch."""

    opset: Annotated[int, Field(ge=11, le=18)] = 17
    tolerance: PositiveFloat = 1e-4


class LatencyParams(Section):
    """Time of one frame on this machine."""

    frames: Annotated[int, Field(ge=10)] = 1024
    warmup: Count = 50
    pose_frames: Annotated[int, Field(ge=10)] = 60
    budget_step_ms: PositiveFloat = 5.0
    budget_frame_ms: PositiveFloat = 300.0


class PromoteParams(Section):
    """How much worse than the champion a challenger may be; see `pan_core.registry.decision.Margins`."""

    accuracy_margin: Share = 0.02
    class_margin: Share = 0.2


class Params(Section):
    """The whole of params.yaml."""

    dataset: str
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    workers: Count = 0
    actors: ActorsParams = ActorsParams()
    surveillance: SurveillanceParams = SurveillanceParams()
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

    def search_space(self) -> Space:
        """What `tune.space` varies, by full name such as "train.learning_rate" or "train.augmentation.cut"."""
        return Space(
            {
                _full_name(part, name): _entry(part, name, entry)
                for part, entries in self.tune.space.items()
                for name, entry in entries.items()
            }
        )

    def varied(self, values: Mapping[str, Any]) -> tuple[ModelParams, TrainParams]:
        """Sections `model` and `train` with other values, by full name."""
        parts: dict[str, dict[str, Any]] = {"model": self.model.model_dump(), "train": self.train.model_dump()}
        for full_name, value in values.items():
            *path, name = full_name.split(".")
            target: dict[str, Any] = parts
            for step in path:
                target = target[step]
            target[name] = value
        return ModelParams.model_validate(parts["model"]), TrainParams.model_validate(parts["train"])

    def fingerprint(self) -> str:
        """Hash of every value; equal for two files that mean the same."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def flat(self) -> dict[str, object]:
        """Values as `section.name`, the form in which MLflow shows them."""
        return _flat(self.model_dump(mode="json", by_alias=True))


_SEARCHED: dict[str, type[Section]] = {"model": ModelParams, "train": TrainParams, "augmentation": AugmentationParams}
# They change what is compared, or where, and not how good it is.
_FIXED = {"frames", "rate", "modes", "epochs", "least_steps", "device", "precision", "threads", "augmentation"}


def _full_name(part: str, name: str) -> str:
    return f"train.augmentation.{name}" if part == "augmentation" else f"{part}.{name}"


def _entry(part: str, name: str, entry: Range | Choice) -> Range | Choice:
    """An entry that knows whether its parameter takes whole numbers only."""
    if isinstance(entry, Range):
        return replace(entry, whole=isinstance(_SEARCHED[part].model_fields[name].default, int))
    return entry


def _space_faults(params: Params) -> Iterator[str]:
    """What is wrong with the space: unknown names, and values that params.yaml itself would refuse."""
    for part, entries in params.tune.space.items():
        known = sorted(set(_SEARCHED[part].model_fields) - _FIXED)
        for name in entries.keys() - set(known):
            near = difflib.get_close_matches(name, known, n=1)
            yield f"tune.space.{part}: unknown name {name!r}; " + (
                f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            )
        for name in entries.keys() & set(known):
            if isinstance(entries[name], Range) and isinstance(_SEARCHED[part].model_fields[name].default, bool):
                yield f"tune.space.{part}.{name}: expected a list of true and false"
                continue
            yield from _refused(params, part, name)
    yield from _heads_that_do_not_fit(params)
    if params.tune.trials and params.tune.mode not in params.train.modes:
        yield f"tune.mode: {params.tune.mode} is not among train.modes {params.train.modes}"
    if params.tune.trials and len(params.split.splits) > 1:
        yield (
            f"tune.trials: with split.splits {params.split.splits} the values would be tuned on clips that another split tests; "
            "tune on one split, write what it found into params.yaml, or set tune.trials to 0"
        )
    if params.tune.trials and not any(params.tune.space.values()):
        yield "tune.space: empty, nothing to search; name a parameter, or set tune.trials to 0"


def _refused(params: Params, part: str, name: str) -> Iterator[str]:
    entry = _entry(part, name, params.tune.space[part][name])  # type: ignore[index]
    if isinstance(entry, Range) and entry.whole and math.ceil(entry.low) >= math.floor(entry.high):
        yield f"tune.space.{part}.{name}: holds less than two whole numbers"
        return
    base = {"model": params.model, "train": params.train, "augmentation": params.train.augmentation}[part]
    for value in entry.ends:
        # Whether the heads share the units is asked of all pairs, below.
        own = base.model_dump() | ({"pose_heads": 1} if part == "model" else {}) | {name: value}
        own |= {"hidden": value} if name == "pose_heads" else {}
        try:
            _SEARCHED[part].model_validate(own)
        except ValidationError as error:
            yield f"tune.space.{part}.{name}: {value!r} cannot be used: {error.errors()[0]['msg']}"


def _heads_that_do_not_fit(params: Params) -> Iterator[str]:
    entries = params.tune.space.get("model", {})
    hidden, heads = (
        _numbers(entries[name]) if name in entries else [getattr(params.model, name)]
        for name in ("hidden", "pose_heads")
    )
    for units, number in product(hidden, heads):
        if number >= 1 and units % number:
            yield f"tune.space.model: hidden {units} is no multiple of pose_heads {number}; leave one of them out"
            return


def _numbers(entry: Range | Choice) -> list[int]:
    if isinstance(entry, Choice):
        return [int(value) for value in entry.values if isinstance(value, int)]
    return list(range(math.ceil(entry.low), math.floor(entry.high) + 1))


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Raises:
        ConfigError: With every fault found: unknown keys with the nearest valid name, values out of range.
    """
    try:
        data = YAML(typ="safe").load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(str(path), ["no such file; run from the project's root, where params.yaml lies"]) from None
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read ({error.strerror}); expected a file of parameters"]) from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"not YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(data, dict):
        raise ConfigError(str(path), ["expected sections with values, as in the file that came with the project"])
    return parse_params(data, str(path))


def parse_params(data: dict, source: str) -> Params:
    """Check values that were read from `source`.

    Raises:
        ConfigError: As for `load_params`.
    """
    try:
        params = Params.model_validate(data)
    except ValidationError as error:
        raise ConfigError(source, [_fault(item) for item in error.errors()]) from error
    if faults := list(_space_faults(params)):
        raise ConfigError(source, faults)
    return params


def set_dataset(name: str, path: Path = PARAMS_FILE) -> bool:
    """Choose the dataset in params.yaml, comments kept.

    Returns:
        Whether the file had to change.
    """
    text = path.read_text()
    line = re.compile(r"^dataset:[ \t]*(?P<name>[^\s#]+)", re.MULTILINE)
    found = line.search(text)
    if found is None:
        raise ConfigError(str(path), ["dataset: missing, a line such as 'dataset: actors' is needed"])
    if found["name"].strip("'\"") == name:
        return False
    with atomic_path(path) as partial:
        partial.write_text(text[: found.start("name")] + name + text[found.end("name") :])
    return True


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _fault(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location)
    if item["type"] == "extra_forbidden":
        known = _known_names(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{name}: unknown name; {hint}"
    if item["type"] == "missing":
        return f"{name}: missing, a value is needed"
    message = item["msg"].removeprefix("Value error, ")
    return f"{name}: {message[0].lower()}{message[1:]}, but got {item['input']!r}"


def _known_names(location: list[str]) -> list[str]:
    fields: Any = Params.model_fields
    for part in location:
        section = next(field for key, field in fields.items() if part in (key, field.alias))
        fields = section.annotation.model_fields
    return [field.alias or key for key, field in fields.items()]
