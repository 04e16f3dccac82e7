"""What a user asks a benchmark for, checked."""

from collections.abc import Sequence

from pan_core.benchmark.coordinator import Request
from pan_core.benchmark.protocol import COMPARATORS, LEAKAGE, PARTS_OF_THE_PAPER, Variant
from pan_core.errors import ConfigError
from pan_core.model.features import MODES


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
    chosen_modes, others_modes = _split_words(modes), _split_words(other_modes) if other_modes else []
    numbers = [] if splits == "all" else _split_words(splits)
    left_out = list(PARTS_OF_THE_PAPER) if "all" in without else list(without)
    faults = [
        *_list_unknown("--modes", chosen_modes, MODES),
        *_list_unknown("--other-modes", others_modes, MODES),
        *[f"--splits: expected numbers or 'all', but got {number!r}" for number in numbers if not number.isdecimal()],
        *_list_unknown("--without", left_out, PARTS_OF_THE_PAPER),
        *_list_unknown("--control", control, (LEAKAGE,)),
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


def _split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _list_unknown(option: str, words: Sequence[str], known: Sequence[str]) -> list[str]:
    return [f"{option}: unknown {word!r}; known: {', '.join(known)}" for word in words if word not in known]
