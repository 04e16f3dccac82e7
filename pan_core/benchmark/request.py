"""What a user asks a benchmark for, checked."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pan_core.benchmark.protocol import COMPARATORS, LEAKAGE, PARTS_OF_THE_PAPER, PICTURES, Variant
from pan_core.errors import ConfigError
from pan_core.model.features import MODES

SEEDS = 5
"""Of the whole protocol; with fewer the spread of the seeds is hardly known."""
BACKBONES = {"c3d": "c3d", "googlenet": "two_stream", "vgg16": "transformation"}
"""What learnt the weights of `--picture-weights` -> network that begins with them."""
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        seeds: Seeds 0 to seeds - 1 of the recognizer are run.
        modes: Input modes.
        splits: Official splits; empty for all.
        others: What to run beside the recognizer itself.
        other_seeds: Seeds of the others; those of the recognizer where None.
        other_modes: Their input modes; those of the recognizer where empty.
        epochs: Instead of the recipe's, to try things out; for the record.
        workers: Processes.
        classes: Classes of the dataset; empty for all.
        pose_network: Name of the pose network for videos; empty for the project's default.
        quality: Quality of its extraction; likewise.
        pictures: Networks that see pictures, to run beside the recognizer.
        picture_weights: Where they begin: a file or "imagenet", by the name of the architecture that learnt the weights.
        device: Where they run.
    """

    seeds: int
    modes: tuple[str, ...]
    splits: tuple[int, ...] = ()
    others: tuple[Variant, ...] = ()
    other_seeds: int | None = None
    other_modes: tuple[str, ...] = ()
    epochs: int | None = None
    workers: int = 1
    classes: tuple[str, ...] = ()
    pose_network: str = ""
    quality: str = ""
    pictures: tuple[str, ...] = ()
    picture_weights: tuple[tuple[str, str], ...] = ()
    device: str = "auto"

    @property
    def whole(self) -> bool:
        """Whether it is the whole protocol, whose figures may stand beside published ones."""
        changed = self.splits or self.classes or self.epochs is not None or self.pose_network or self.quality
        return self.seeds >= SEEDS and self.modes == MODES and not changed

    def of_others(self, others: tuple[Variant, ...] = ()) -> "Request":
        """The request for what runs beside the recognizer: its seeds and modes."""
        return replace(self, seeds=self.other_seeds or self.seeds, modes=self.other_modes or self.modes, others=others)


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
    classes: str = "",
    pose_network: str = "",
    quality: str = "",
    pictures: Sequence[str] = (),
    picture_weights: Sequence[str] = (),
    device: str = "auto",
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
        *_list_unknown("--pictures", pictures, (*PICTURES, "all")),
        *_list_wrong_weights(picture_weights, pictures),
        *_list_unknown("--device", [device], DEVICES),
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
        classes=tuple(dict.fromkeys(_split_words(classes))) if classes else (),
        pose_network=pose_network,
        quality=quality,
        pictures=PICTURES if "all" in pictures else tuple(name for name in PICTURES if name in pictures),
        picture_weights=tuple((name, source) for name, _, source in (word.partition("=") for word in picture_weights)),
        device=device,
    )


def parse_modes(words: str) -> tuple[str, ...]:
    """Input modes out of a word of the command line.

    Raises:
        ConfigError: If one is unknown.
    """
    chosen = tuple(dict.fromkeys(_split_words(words)))
    if faults := _list_unknown("--modes", chosen, MODES):
        raise ConfigError("pan benchmark", faults, code="benchmark.words")
    return chosen


def choose_classes(name: str, wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Classes by their own names, sorted; none if all are wanted. Capitals do not count.

    Args:
        name: Dataset.
        wanted: Names as they were asked for.
        known: Classes of the dataset.

    Raises:
        ConfigError: With every name that is not a class; or if one class is left.
    """
    by_name = {label.casefold(): label for label in known}
    faults = []
    for word in wanted:
        if word.casefold() not in by_name:
            near = difflib.get_close_matches(word.casefold(), by_name, n=1)
            hint = f"did you mean {by_name[near[0]]}? " if near else ""
            faults.append(f"--classes: {name} has no class {word!r}; {hint}it has {', '.join(known)}")
    if faults:
        raise ConfigError("pan benchmark", faults, code="benchmark.unknown-class")
    chosen = sorted({by_name[word.casefold()] for word in wanted})
    if len(chosen) == 1:
        raise ConfigError(
            "pan benchmark", [f"--classes: {chosen[0]} alone is no choice for a recognizer; name two classes or more"],
            code="benchmark.one-class",
        )  # fmt: skip
    return () if len(chosen) == len(known) else tuple(chosen)


def _list_wrong_weights(words: Sequence[str], pictures: Sequence[str]) -> list[str]:
    faults = []
    for name, _, source in (word.partition("=") for word in words):
        if name not in BACKBONES or not source:
            faults.append(
                f"--picture-weights: expected NAME=FILE or NAME=imagenet, but got {name!r}={source!r}; names: {', '.join(BACKBONES)}"
            )
        elif (name, source) == ("c3d", "imagenet"):
            faults.append("--picture-weights: c3d has not learnt ImageNet; give a file")
        elif not {"all", BACKBONES[name]} & set(pictures):
            faults.append(f"--picture-weights: {name} is for {BACKBONES[name]}, which --pictures does not name")
    return faults


def _split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _list_unknown(option: str, words: Sequence[str], known: Sequence[str]) -> list[str]:
    return [f"{option}: unknown {word!r}; known: {', '.join(known)}" for word in words if word not in known]
