"""What a user asks a benchmark for, checked; and the recipe that the project trains by."""

from collections.abc import Sequence

from pan_core.benchmark.coordinator import Request
from pan_core.benchmark.protocol import COMPARATORS, LEAKAGE, PARTS_OF_THE_PAPER, Recipe, Variant
from pan_core.errors import ConfigError
from pan_core.model.features import MODES
from pan_core.params.schema import ModelParams, TrainParams
from pan_core.workspace.training_data import network_settings, train_settings

LENGTH = {"epochs": 45, "least_steps": 2400}
"""Of a training: Penn Action's 1,258 clips take 3,510 steps, the 433 of a split of JHMDB-14 get 89 epochs."""


PRETRAINED_ON: dict[str, str] = {}
"""Where a dataset of few clips begins, by name. Penn Action helps JHMDB-14 on clips that no split tests, and five seeds of the
official splits showed no gain (docs/decisions.md)."""


def parse_request(
    *,
    seeds: int,
    modes: str,
    splits: str,
    comparators: bool,
    without: Sequence[str],
    control: Sequence[str],
    other_seeds: int | None,
    other_modes: str,
    workers: int,
    epochs: int | None = None,
) -> Request:
    """A request out of the words of the command line.

    Raises:
        ConfigError: With every word that is not known.
    """
    chosen_modes, others_modes = _words(modes), _words(other_modes) if other_modes else []
    numbers = [] if splits == "all" else _words(splits)
    left_out = list(PARTS_OF_THE_PAPER) if "all" in without else list(without)
    faults = [
        *_unknown("--modes", chosen_modes, MODES),
        *_unknown("--other-modes", others_modes, MODES),
        *[f"--splits: expected numbers or 'all', but got {number!r}" for number in numbers if not number.isdecimal()],
        *_unknown("--without", left_out, PARTS_OF_THE_PAPER),
        *_unknown("--control", control, (LEAKAGE,)),
    ]
    if faults:
        raise ConfigError("pan benchmark", faults)
    others = [
        *(Variant("ablation", part) for part in left_out),
        *(Variant("comparator", name) for name in (COMPARATORS if comparators else ())),
        *(Variant("control", name) for name in control),
    ]
    return Request(
        seeds=seeds,
        modes=tuple(mode for mode in MODES if mode in chosen_modes),
        splits=tuple(dict.fromkeys(int(number) for number in numbers)),
        others=tuple(dict.fromkeys(others)),
        other_seeds=other_seeds,
        other_modes=tuple(mode for mode in MODES if mode in others_modes),
        epochs=epochs,
        workers=workers,
    )


def project_recipe(dataset: str, epochs: int | None = None) -> Recipe:
    """The project's own recipe: the defaults of params.yaml, whatever the workspace at hand says, and `LENGTH`.

    Args:
        dataset: Name in the registry; some begin with what was learnt on another.
        epochs: Instead of the recipe's.
    """
    model, train = ModelParams(), TrainParams()
    length = LENGTH if epochs is None else {"epochs": epochs, "least_steps": 0}
    return Recipe(
        network_settings(model), train_settings(train.model_copy(update=length)), model.frames, model.rate,
        pretrained_on=PRETRAINED_ON.get(dataset, ""),
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _unknown(option: str, words: Sequence[str], known: Sequence[str]) -> list[str]:
    return [f"{option}: unknown {word!r}; known: {', '.join(known)}" for word in words if word not in known]
