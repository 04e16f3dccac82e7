"""What `tune.space` in params.yaml may vary, and what is wrong with a space."""

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from pydantic import ValidationError

from pan_core.params.schema import (
    AugmentationParams,
    ModelParams,
    ParamsSection,
    Searched,
    SplitParams,
    TrainParams,
    TuneParams,
)
from pan_core.params.space import Choice, Range, Space

_SEARCHED: dict[str, type[ParamsSection]] = {
    "model": ModelParams,
    "train": TrainParams,
    "augmentation": AugmentationParams,
}
# They change what is compared, or where, and not how good it is.
_FIXED = {
    "frames",
    "rate",
    "modes",
    "epochs",
    "least_steps",
    "device",
    "precision",
    "threads",
    "augmentation",
    "events",
}


def build_space(written: Mapping[Searched, Mapping[str, Range | Choice]]) -> Space:
    """A space by full name, such as "train.learning_rate" or "train.augmentation.cut", out of `tune.space`."""
    return Space(
        {
            _full_name(part, name): _entry(part, name, entry)
            for part, entries in written.items()
            for name, entry in entries.items()
        }
    )


def _full_name(part: str, name: str) -> str:
    return f"train.augmentation.{name}" if part == "augmentation" else f"{part}.{name}"


def _entry(part: str, name: str, entry: Range | Choice) -> Range | Choice:
    """An entry that knows whether its parameter takes whole numbers only."""
    if isinstance(entry, Range):
        return replace(entry, whole=isinstance(_SEARCHED[part].model_fields[name].default, int))
    return entry


def space_faults(tune: TuneParams, *, model: ModelParams, train: TrainParams, split: SplitParams) -> Iterator[str]:
    """What is wrong with the space: unknown names, and values that params.yaml itself would refuse."""
    sections: dict[str, ParamsSection] = {"model": model, "train": train, "augmentation": train.augmentation}
    for part, entries in tune.space.items():
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
            yield from _find_refused(sections[part], part, name, entries[name])
    yield from _find_unfit_heads(tune.space.get("model", {}), model)
    if tune.trials and tune.mode not in train.modes:
        yield f"tune.mode: {tune.mode} is not among train.modes {train.modes}"
    if tune.trials and len(split.splits) > 1:
        yield (
            f"tune.trials: with split.splits {split.splits} the values would be tuned on clips that another split tests; "
            "tune on one split, write what it found into params.yaml, or set tune.trials to 0"
        )
    if tune.trials and not any(tune.space.values()):
        yield "tune.space: empty, nothing to search; name a parameter, or set tune.trials to 0"


def _find_refused(base: ParamsSection, part: str, name: str, written: Range | Choice) -> Iterator[str]:
    entry = _entry(part, name, written)
    if isinstance(entry, Range) and entry.whole and math.ceil(entry.low) >= math.floor(entry.high):
        yield f"tune.space.{part}.{name}: holds less than two whole numbers"
        return
    whole = isinstance(_SEARCHED[part].model_fields[name].default, int)
    for value in entry.ends:
        if isinstance(value, str) or (whole and not isinstance(value, int)):
            yield f"tune.space.{part}.{name}: expected {'whole numbers' if whole else 'numbers'}, but got {value!r}"
            continue
        # Whether the heads share the units is asked of all pairs, below.
        own = base.model_dump() | ({"pose_heads": 1} if part == "model" else {}) | {name: value}
        own |= {"hidden": value} if name == "pose_heads" else {}
        try:
            _SEARCHED[part].model_validate(own)
        except ValidationError as error:
            yield f"tune.space.{part}.{name}: {value!r} cannot be used: {error.errors()[0]['msg']}"


def _find_unfit_heads(entries: Mapping[str, Range | Choice], model: ModelParams) -> Iterator[str]:
    hidden, heads = (
        _numbers(entries[name]) if name in entries else [getattr(model, name)] for name in ("hidden", "pose_heads")
    )
    for units, number in product(hidden, heads):
        if number >= 1 and units % number:
            yield f"tune.space.model: hidden {units} is no multiple of pose_heads {number}; leave one of them out"
            return


def _numbers(entry: Range | Choice) -> list[int]:
    if isinstance(entry, Choice):
        return [int(value) for value in entry.values if isinstance(value, int)]
    return list(range(math.ceil(entry.low), math.floor(entry.high) + 1))
