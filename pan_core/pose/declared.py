"""Run any ONNX pose model in the extractor: a declaration beside its file describes its input and output.

docs/pose.md has worked examples. Whatever a model's own skeleton layout is, the extractor follows people and stores
them in openpose18; joints that the model does not have stay missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from pan_core.errors import ConfigError, DataError
from pan_core.files import read_json, sha256_of
from pan_core.pose.association import distinct
from pan_core.pose.crops import NetworkInput, Square, cut_region
from pan_core.pose.decoding import DECODERS
from pan_core.pose.estimation import Estimator, PoseEstimator
from pan_core.pose.person_detector import PersonDetector
from pan_core.pose.pretrained import require_whole
from pan_core.pose.tracks import person_scores
from pan_core.runtimes.session import Opener, may_have_shape, open_model
from pan_core.skeletons import LAYOUTS, OPENPOSE18, SkeletonLayout, convert
from pan_core.timing import part

DEVICE_ENDING = ".json"
ENDINGS = {".yaml", ".yml", DEVICE_ENDING}
"""Of declarations. A device has no reader of YAML, and gets a checked declaration as JSON."""
# A detector's box ends at the body; a crop for joints needs room around them.
BOX_MARGIN = 1.25
# Somebody whose box is lower than this share of its width may lie.
STANDING_SHARE = 0.8


@dataclass(frozen=True)
class ModelDeclaration:
    """Input and output of a pose model.

    Attributes:
        model: ONNX file, relative to the declaration.
        sha256: Hash of the file, None where any may lie there.
        kind: `top_down` answers for the one person in a crop, `bottom_up` for everybody in a picture.
        layout: Name of a known skeleton layout, or one spelt out (`SkeletonLayout.from_dict`).
        decoding: `simcc`, `heatmaps`, `keypoints` or `movenet`; see `pan_core.pose.decoding`.
        size: Width and height of the input in pixels.
        channels: `rgb` or `bgr`.
        order: `nchw` or `nhwc`.
        dtype: Of the input.
        mean: Subtracted from each channel, 0..255.
        std: Divides each channel then.
        outputs: Names of the outputs that the decoding reads, in its order; all of the model's where empty.
        split: simcc: places on an axis for one pixel.
        coordinates: keypoints: `xy` or `yx`.
        unit: keypoints: `pixels` of the input, or `share` of its sides.
        min_score: A joint below this is not there.
        min_joints: A person with fewer joints is not there.
        finder: top_down: exported network that finds people in whole frames, relative to the declaration's folder or one
            above it, such as the project's.
        detector: top_down: a detector of people in whole frames (`pan_core.pose.person_detector`) in place of the finder, relative
            to the declaration; None where there is none.
        detector_sha256: Hash of its file.
    """

    model: str
    sha256: str | None = None
    kind: str = "top_down"
    layout: Any = "coco17"
    decoding: str = "simcc"
    size: tuple[int, int] = (192, 256)
    channels: str = "rgb"
    order: str = "nchw"
    dtype: str = "float32"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    outputs: tuple[str, ...] = ()
    split: float = 2.0
    coordinates: str = "xy"
    unit: str = "pixels"
    min_score: float = 0.3
    min_joints: int = 4
    finder: str = "models/pose/pose.onnx"
    detector: str | None = None
    detector_sha256: str | None = None
    folder: Path = field(default=Path())

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.folder / self.model

    @property
    def finder_path(self) -> Path:
        """The finder's file."""
        # Workers of a cluster stand in other folders, so the declaration's own is what to go by.
        places = [folder / self.finder for folder in (self.folder, *self.folder.parents)]
        return next((place for place in places if place.is_file()), Path(self.finder).absolute())

    @property
    def detector_path(self) -> Path | None:
        """The detector's file."""
        return self.folder / self.detector if self.detector else None

    @property
    def skeleton(self) -> SkeletonLayout:
        """The model's own layout."""
        return LAYOUTS[self.layout] if isinstance(self.layout, str) else SkeletonLayout.from_dict(self.layout)


def read_declaration(path: Path) -> ModelDeclaration:
    """Read a declaration from its YAML file.

    Raises:
        ConfigError: If it is none; every fault is named.
    """
    # A bundle on a device has this module, but neither YAML nor pydantic nor, where ncnn runs its networks, ONNX Runtime.
    if path.suffix == DEVICE_ENDING:
        return _read_checked(path)
    require_whole(path)
    from pydantic import ValidationError  # late: optional
    from ruamel.yaml import YAML, YAMLError  # late: optional

    from pan_core.pose.declaration_file import DeclarationFile  # late: optional

    try:
        data = YAML(typ="safe").load(path)
    except (OSError, YAMLError) as error:
        raise ConfigError(
            str(path),
            [f"cannot be read ({error}); expected the declaration of a pose model"],
            code="pose-declaration.unreadable",
        ) from error
    if not isinstance(data, Mapping):
        raise ConfigError(
            str(path),
            [f"expected names and values such as `model: rtmpose.onnx`, but got {data!r}"],
            code="pose-declaration.no-mapping",
        )
    try:
        read = DeclarationFile.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(
            str(path), [_describe_fault(item) for item in error.errors()], code="pose-declaration.invalid"
        ) from error
    declaration = ModelDeclaration(**read.model_dump(), folder=path.parent.absolute())
    _require_hash(path, "sha256", declaration.path, declaration.sha256)
    _require_hash(path, "detector_sha256", declaration.detector_path, declaration.detector_sha256)
    return declaration


def _read_checked(path: Path) -> ModelDeclaration:
    """Read what `pan_core.export.pose_networks` wrote of a declaration that was checked."""
    data = read_json(path)
    known = {one.name for one in fields(ModelDeclaration)} - {"folder"}
    if set(data) != known:
        wrong = ", ".join(sorted(set(data) ^ known))
        raise ConfigError(
            str(path),
            [f"{wrong}: expected the names of this version's declarations; your own belongs in a .yaml file"],
            code="pose-declaration.invalid",
        )
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return ModelDeclaration(**values, folder=path.parent.absolute())


def _require_hash(declaration: Path, name: str, model: Path | None, expected: str | None) -> None:
    if expected is None or model is None:
        return
    found = sha256_of(model) if model.is_file() else None
    if found != expected:
        require_whole(model)
    if found not in (None, expected):
        raise ConfigError(
            str(declaration),
            [f"{name}: {model} is another file, its hash is {found}; correct either"],
            code="pose-declaration.other-model",
        )


def _describe_fault(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{name}: not known; known are {', '.join(one.name for one in fields(ModelDeclaration)[:-1])}"
    message = item["msg"].removeprefix("Value error, ")
    shown = "" if not name or item["type"] == "missing" else f", but got {item['input']!r}"
    return f"{name}: {message}{shown}" if name else message


class DeclaredEstimator:
    """Estimator that runs a declared model.

    Args:
        declaration: What the model expects and gives.
        finder: Finds people in whole frames, for a top-down model.
        detector: Finds boxes of people there; goes before the finder.
        threads: Processor cores.
        opener: Opens the network where it is to run.

    Raises:
        DataError: If the file is missing, cannot be run, or has not the declared input and outputs.
    """

    def __init__(
        self,
        declaration: ModelDeclaration,
        *,
        finder: Estimator | None = None,
        detector: PersonDetector | None = None,
        threads: int = 1,
        opener: Opener = open_model,
    ) -> None:
        if not declaration.path.is_file():
            raise DataError(
                f"{declaration.path}: no such file, but its declaration names it", code="pose-model.missing"
            )
        self._session = opener(declaration.path, threads=threads)
        self._declaration, self._finder, self._detector = declaration, finder, detector
        self._input, given = self._session.inputs[0], self._session.outputs
        self._outputs = list(declaration.outputs or given)
        if missing := sorted(set(self._outputs) - set(given)):
            raise DataError(
                f"{declaration.path}: has no output {', '.join(missing)}; it has {', '.join(given)}",
                code="pose-model.no-output",
            )
        self._require_input()
        self._require_lengths()

    @property
    def searches_crops(self) -> bool:
        """See `pan_core.pose.estimation.Estimator`."""
        return self._detector is not None

    def _require_input(self) -> None:
        """Refuse a model that takes more than a picture, or one of another size than the declared."""
        declared, inputs = self._declaration, self._session.inputs
        if len(inputs) != 1:
            raise DataError(
                f"{declared.path}: has the inputs {', '.join(inputs)}, expected the picture only; export it again without the others",
                code="pose-model.inputs",
            )
        width, height = declared.size
        expected = (1, 3, height, width) if declared.order == "nchw" else (1, height, width, 3)
        if not may_have_shape(self._session, inputs[0], expected):
            raise DataError(
                f"{declared.path}: its input {inputs[0]} has the shape {self._session.shapes[inputs[0]]}, but size "
                f"{list(declared.size)} and order {declared.order} make {expected}; correct the declaration",
                code="pose-model.other-size",
            )

    def _require_lengths(self) -> None:
        """Refuse a SimCC model whose places are not those of the declared size; names stand for lengths that vary."""
        declared = self._declaration
        if declared.decoding != "simcc":
            return
        expected = [round(side * declared.split) for side in declared.size]
        shapes = [self._session.shapes.get(name) for name in self._outputs]
        found = [shape[-1] if shape else None for shape in shapes]
        if len(found) == 2 and any(
            isinstance(length, int) and length != wanted for length, wanted in zip(found, expected, strict=True)
        ):
            raise DataError(
                f"{declared.path}: its outputs have {found[0]} and {found[1]} places, but size {list(declared.size)} and "
                f"split {declared.split:g} make {expected[0]} and {expected[1]}; correct the declaration",
                code="pose-model.other-size",
            )

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        """People anywhere in a frame, (N, 18, 3) in its pixels, the most completely seen first."""
        if self._detector is not None:
            with part("search"):
                boxes = self._detector(frame, turn=turn, closely=closely)
            found = [self._find_in_box(frame, box, turn) for box in boxes]
            people = np.concatenate(found) if found else np.empty((0, OPENPOSE18.size, 3))
            return distinct(people)
        if self._finder is not None:
            return self._finder.search(frame, turn=turn, closely=closely)
        height, width = frame.shape[:2]
        side = float(max(height, width))
        return self._find_people(
            frame, Square(np.array([width, height]) / 2, side, turn, (width / side, height / side))
        )

    def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
        """People in each square, (N, 18, 3) in the frame's pixels."""
        return [self._find_people(frame, square) for square in squares]

    def _find_in_box(self, frame: np.ndarray, box: np.ndarray, turn: int) -> np.ndarray:
        """The person in a box, (0 or 1, 18, 3); in one that is wide people may lie, so each way up is tried."""
        sides = box[2:4] - box[:2]
        turns = {turn} if sides[1] > STANDING_SHARE * sides[0] else {turn, 0, 1, 3}
        centre, side = (box[:2] + box[2:4]) / 2, float(sides.max()) * BOX_MARGIN
        found = np.concatenate([self._find_people(frame, Square(centre, side, turn))[:1] for turn in turns])
        return found[np.argsort(-person_scores(found), kind="stable")][:1]

    def _find_people(self, frame: np.ndarray, square: Square) -> np.ndarray:
        declared = self._declaration
        with part("pose"):
            source = cut_region(frame, square, target=declared.size)
            answers = self._session.run({self._input: self._prepare_input(source)}, self._outputs)
        people = DECODERS[declared.decoding](answers, declared)
        unsure = people[..., 2] < declared.min_score
        people[unsure] = np.nan, np.nan, 0.0
        people = in_openpose18(people, declared.skeleton)
        people = people[(people[..., 2] > 0).sum(axis=1) >= declared.min_joints]
        return source.to_frame(people)

    def _prepare_input(self, source: NetworkInput) -> np.ndarray:
        declared, image = self._declaration, source.image
        if declared.channels == "rgb":
            image = image[..., ::-1]
        values: np.ndarray = image.astype(np.float32)
        if any(declared.mean) or set(declared.std) != {1.0}:
            values = (values - np.array(declared.mean, np.float32)) / np.array(declared.std, np.float32)
        if declared.order == "nchw":
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[None], dtype=declared.dtype)


def in_openpose18(people: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """People (N, W, 3) of any layout in openpose18, (N, 18, 3); joints that it lacks are missing or derived."""
    return convert(people, layout, OPENPOSE18, may_lack=True)


def open_estimator(model: Path, *, threads: int = 1, opener: Opener = open_model, **settings: Any) -> Estimator:
    """Open the estimator of a model: an exported network, or a declared one if `model` is a YAML file.

    Args:
        model: File.
        threads: Processor cores.
        opener: Opens its networks where they are to run.
        settings: Arguments of `PoseEstimator`.

    Raises:
        ConfigError: If the declaration is none.
        DataError: If a model cannot be used.
    """
    if model.suffix not in ENDINGS:
        require_whole(model)
        return PoseEstimator(model, threads=threads, opener=opener, **settings)
    declaration = read_declaration(model)
    least = max(declaration.min_score, settings.get("min_joint_score", 0.0))
    declaration = replace(declaration, min_score=least)
    if declaration.detector_path:
        detector = PersonDetector(declaration.detector_path, threads=threads, opener=opener)
        return DeclaredEstimator(declaration, detector=detector, threads=threads, opener=opener)
    top_down = declaration.kind == "top_down"
    # A finder only searches.
    searching = settings | {"stages": settings["search_stages"]} if top_down else {}
    finder = PoseEstimator(declaration.finder_path, threads=threads, opener=opener, **searching) if top_down else None
    return DeclaredEstimator(declaration, finder=finder, threads=threads, opener=opener)


def model_files(model: Path) -> list[Path]:
    """A model's file, and those that a declaration names.

    Raises:
        ConfigError: If the declaration is none.
        DataError: If a file is missing.
    """
    require_whole(model)
    names = [model]
    if model.suffix in ENDINGS:
        declaration = read_declaration(model)
        finder = declaration.detector_path or declaration.finder_path
        names += [declaration.path, *([finder] if declaration.kind == "top_down" else [])]
    if missing := [name for name in names if not name.is_file()]:
        raise DataError(
            f"{missing[0]}: no such file, expected a pose model; run `dvc repro pose_model` or correct the name",
            code="pose-model.missing",
        )
    return names


def model_content(model: Path) -> bytes:
    """Bytes of all files that a model's answers depend on.

    Raises:
        ConfigError: As `model_files`.
        DataError: Likewise.
    """
    return b"".join(name.read_bytes() for name in model_files(model))
