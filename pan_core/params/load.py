"""params.yaml as one typed configuration.

Stages read it here and hand plain values to the library. Every fault is reported in one message.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pan_core.errors import ConfigError
from pan_core.files import atomic_path, read_user_text
from pan_core.params.schema import (
    AllParams,
    FoldersParams,
    ModelParams,
    PoseParams,
    RetrainParams,
    TrainParams,
)
from pan_core.params.search_space import build_space, space_faults
from pan_core.params.space import Space

PARAMS_FILE = Path("params.yaml")


class Params(AllParams):
    """The whole of params.yaml, with what follows from its values."""

    @property
    def removes_videos(self) -> bool:
        """Whether a run removes videos at its end; only of your own footage."""
        return self.dataset == "surveillance" and not self.pose.keep_video

    def search_space(self) -> Space:
        """What `tune.space` varies, by full name."""
        return build_space(self.tune.space)

    def varied(self, values: Mapping[str, Any]) -> tuple[ModelParams, TrainParams]:
        """Sections `model` and `train` with other values, by full name."""
        parts: dict[str, dict[str, Any]] = {"model": self.model.model_dump(), "train": self.train.model_dump()}
        for place, value in values.items():
            *path, name = place.split(".")
            target: dict[str, Any] = parts
            for step in path:
                target = target[step]
            target[name] = value
        return ModelParams.model_validate(parts["model"]), TrainParams.model_validate(parts["train"])

    def fingerprint(self) -> str:
        """Hash of every value; equal for two files that mean the same."""
        values = self.model_dump(mode="json", by_alias=True)
        if self.folders == FoldersParams():  # rows and versions of before there was this section are found again
            del values["folders"]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def recipe(self) -> str:
        """Hash of every value that can change a recognizer: not those that only say what may arrive, or who works."""
        surveillance = self.surveillance.model_copy(update={"group": "auto"})
        pose = self.pose.model_copy(update={"keep_video": True, "device": "auto"})
        # What `folders` does to the clips is in the hash of the data, as for every dataset.
        update = {
            "retrain": RetrainParams(),
            "surveillance": surveillance,
            "folders": FoldersParams(),
            "pose": pose,
            "workers": 0,
        }
        return self.model_copy(update=update).fingerprint()

    def flat(self) -> dict[str, object]:
        """Values as `section.name`, the form in which MLflow shows them."""
        return _flatten(self.model_dump(mode="json", by_alias=True))


def load_pose_params(path: Path = PARAMS_FILE) -> PoseParams:
    """The section `pose` of params.yaml; its defaults if there is no such file."""
    return load_params(path).pose if path.is_file() else PoseParams()


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Raises:
        ConfigError: With every fault found: unknown keys with the nearest valid name, values out of range.
    """
    try:
        data = YAML(typ="safe").load(read_user_text(path))
    except FileNotFoundError:
        raise ConfigError(
            str(path), ["no such file; run from the project's root, where params.yaml lies"], code="params.missing"
        ) from None
    except OSError as error:
        raise ConfigError(
            str(path), [f"cannot be read ({error.strerror}); expected a file of parameters"], code="params.unreadable"
        ) from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"not YAML: {' '.join(str(error).split())}"], code="params.not-yaml") from error
    if not isinstance(data, dict):
        raise ConfigError(
            str(path),
            ["expected sections with values, as in the file that came with the project"],
            code="params.not-sections",
        )
    return parse_params(data, str(path))


def parse_params(data: dict, source: str) -> Params:
    """Check values that were read from `source`.

    Raises:
        ConfigError: As for `load_params`.
    """
    try:
        params = Params.model_validate(data)
    except ValidationError as error:
        raise ConfigError(source, [_describe_fault(item) for item in error.errors()]) from error
    if faults := list(space_faults(params.tune, model=params.model, train=params.train, split=params.split)):
        raise ConfigError(source, faults)
    return params


def set_dataset(name: str, path: Path = PARAMS_FILE) -> bool:
    """Choose the dataset in params.yaml, comments kept.

    Returns:
        Whether the file had to change.
    """
    text = read_user_text(path)
    line = re.compile(r"^dataset:[ \t]*(?P<name>[^\s#]+)", re.MULTILINE)
    found = line.search(text)
    if found is None:
        raise ConfigError(
            str(path), ["dataset: missing, a line such as 'dataset: actors' is needed"], code="params.no-dataset"
        )
    if found["name"].strip("'\"") == name:
        return False
    with atomic_path(path) as partial:
        partial.write_text(text[: found.start("name")] + name + text[found.end("name") :])
    return True


def set_options(section: str, options: Mapping[str, str], path: Path = PARAMS_FILE) -> bool:
    """Set options of a section of params.yaml, comments kept.

    Returns:
        Whether the file had to change.

    Raises:
        ConfigError: If the values would not be valid; the file stays what it is.
    """
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    data = yaml.load(read_user_text(path))
    before = dict(data.get(section) or {})
    wanted = before | dict(options)
    if wanted == before:
        return False
    parse_params(data | {section: wanted}, str(path))
    if data.get(section) is None:
        data[section] = {}
    data[section].update(options)
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)
    return True


def _flatten(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _describe_fault(item: Any) -> str:
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
