"""A trained recognizer as a folder: weights in `model.safetensors`, everything needed to feed it in `model.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pan_core.errors import ConfigError, DataError
from pan_core.files import atomic_path, read_json, write_json
from pan_core.model.features import BOUND, EXTENT_SHARE, FORGETTING, LAGS, MODES, feature_count
from pan_core.model.pan import PAN, PanSettings
from pan_core.skeletons import SkeletonLayout

FORMAT = "pan-recogniser-3"
"""Changes when older code could no longer feed the network correctly."""


@dataclass(frozen=True)
class LoadedModel:
    """A recognizer and how to feed it.

    Attributes:
        model: On the CPU, in evaluation mode.
        labels: Clip classes, in the order of the logits.
        actions: Atomic actions, in the order of the action logits.
        layout: Skeleton layout that the network reads.
        mode: "clip" or "online".
        frames: Frames of a clip in clip mode.
        rate: Frames a second in online mode.
        preprocessing: What came before the network, as `save_model` was told: extractor, its settings.
        temperatures: Of the heads `class` and `action`, by which they are divided already; empty if not calibrated.
    """

    model: PAN
    labels: tuple[str, ...]
    actions: tuple[str, ...]
    layout: SkeletonLayout
    mode: str
    frames: int
    rate: float
    preprocessing: dict[str, object]
    temperatures: Mapping[str, float] = field(default_factory=dict)


def save_model(
    folder: Path,
    model: PAN,
    *,
    labels: Sequence[str],
    actions: Sequence[str],
    layout: SkeletonLayout,
    mode: str,
    frames: int,
    rate: float,
    preprocessing: Mapping[str, object],
    temperatures: Mapping[str, float] | None = None,
) -> None:
    """Write a recognizer; the folder appears whole or not at all.

    Args:
        folder: Replaced where it exists.
        model: The network.
        labels: Clip classes, in the order of the logits.
        actions: Atomic actions, in the order of the action logits.
        layout: Skeleton layout of its input.
        mode: "clip" or "online".
        frames: Frames of a clip in clip mode.
        rate: Frames a second in online mode.
        preprocessing: Plain data on what came before the network.
        temperatures: Of the heads `class` and `action`, which are divided by them already.

    Raises:
        DataError: Where names, layout or mode do not fit the network.
    """
    _check(model, labels, actions, layout, mode)
    description = {
        "format": FORMAT,
        "mode": mode,
        "frames": frames,
        "rate": rate,
        "labels": list(labels),
        "actions": list(actions),
        "layout": layout.as_dict(),
        "settings": asdict(model.settings),
        "features": _feature_constants(),
        "preprocessing": dict(preprocessing),
        "temperatures": dict(temperatures or {}),
    }
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(folder) as partial:
        partial.mkdir()
        save_file(weights, partial / "model.safetensors")
        write_json(partial / "model.json", description)


def load_model(folder: Path) -> LoadedModel:
    """Read a recognizer.

    Raises:
        DataError: Where the folder is not a whole recognizer, or this code would feed it differently.
    """
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder}: not a recognizer, {name} is missing; run `dvc repro` to train one",
                code="recognizer.incomplete",
            )
    description = read_json(folder / "model.json")
    found = description.get("format")
    if found != FORMAT or description.get("features") != _feature_constants():
        raise DataError(
            f"{folder}: made by another version of the recognizer's features (format {found!r}); expected {FORMAT!r} "
            f"with {_feature_constants()}; train it again",
            code="recognizer.format",
        )
    try:
        return _read(folder, description)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, ConfigError) as error:
        raise DataError(
            f"{folder}: model.json and model.safetensors do not fit each other: {error}", code="recognizer.inconsistent"
        ) from error


def _read(folder: Path, description: dict) -> LoadedModel:
    """A recognizer out of its checked description."""
    layout = SkeletonLayout.from_dict(description["layout"])
    labels, actions = tuple(description["labels"]), tuple(description["actions"])
    settings = dict(description["settings"])
    settings["graph_channels"] = tuple(settings["graph_channels"])
    model = PAN(
        adjacency=layout.adjacency(),
        features=feature_count(layout),
        classes=len(labels),
        actions=len(actions),
        settings=PanSettings(**settings),
    )
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return LoadedModel(
        model=model.eval(),
        labels=labels,
        actions=actions,
        layout=layout,
        mode=description["mode"],
        frames=int(description["frames"]),
        rate=float(description["rate"]),
        preprocessing=description["preprocessing"],
        temperatures=description.get("temperatures", {}),
    )


def _feature_constants() -> dict[str, object]:
    """What the meaning of the features rests on besides the layout."""
    return {
        "lags": {mode: list(lags) for mode, lags in LAGS.items()},
        "forgetting": FORGETTING,
        "bound": BOUND,
        "extent_share": EXTENT_SHARE,
    }


def _check(model: PAN, labels: Sequence[str], actions: Sequence[str], layout: SkeletonLayout, mode: str) -> None:
    """Names, layout and mode must fit the network; every fault is named."""
    faults = []
    if len(labels) != model.classes:
        faults.append(f"labels: expected {model.classes} names, but got {len(labels)}")
    if len(actions) != model.actions:
        faults.append(f"actions: expected {model.actions} names, but got {len(actions)}")
    if layout.size != model.joints or feature_count(layout) != model.features:
        faults.append(f"layout: expected {model.joints} joints, but {layout.name!r} has {layout.size}")
    if mode not in MODES:
        faults.append(f"mode: expected one of {', '.join(MODES)}, but got {mode!r}")
    if faults:
        raise DataError(
            "cannot store the recognizer:\n" + "\n".join(f"  - {fault}" for fault in faults),
            code="recognizer.not-storable",
        )
