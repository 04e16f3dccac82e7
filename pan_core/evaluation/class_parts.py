"""Whether the parts of a split show two classes or more: of one class alone every answer is right, and nothing is learnt."""

from collections.abc import Sequence

import pandas as pd

from pan_core.datasets.splits import with_validation
from pan_core.errors import DataError

TRAIN, VAL, TEST = "train", "val", "test"
_HOW = {
    TRAIN: "record them with other people, or at other places, than those that test",
    VAL: "record other actions of more people or places, or set split.validation_share otherwise",
    TEST: "record other actions of the people or places that test, or choose others by seed, split.folds or the grouping",
}


def require_classes(clips: pd.DataFrame, column: str, *, parts: Sequence[str] = (TRAIN, VAL, TEST)) -> None:
    """Refuse clips that show one class, in all or in a part of a split.

    Names that differ in case and spaces at their ends are one class here.

    Args:
        clips: Clip table.
        column: Split column.
        parts: Parts that must show two classes.

    Raises:
        DataError: With what to do.
    """
    used = clips[clips[column].isin(parts)]
    if len(found := _classes(used)) < 2:
        raise DataError(
            f"{column}: all {len(used)} clips are of one class ({_listed(found)}), expected 2 or more: a recognizer of one class "
            "names it whatever anybody does; record other actions, too, or label what else people do, such as Other",
            code="classes.one",
        )
    for part in parts:
        own = used[used[column] == part]
        if len(shown := _classes(own)) < 2:
            lacking = sorted(set(found) - set(shown))
            raise DataError(
                f"{column}: the {len(own)} clips of the part {part} are of one class ({_listed(shown)}), expected 2 or more: who always "
                f"names it is always right there; {part} lacks {_listed(lacking)}: {_HOW[part]}; in a split that the "
                f"dataset itself gives, list such clips under {part}",
                code="classes.one-in-part",
            )


def draw_validation(clips: pd.DataFrame, column: str, *, share: float, seed: int) -> pd.Series:
    """Parts of a split with validation cut out of training, as `with_validation`; if it shows one class, another fold that shows more.

    Args:
        clips: Clip table.
        column: Split column with train, test and unused.
        share: Share of the training clips to move.
        seed: Seed of the draw.

    Raises:
        DataError: If all training clips are of one group.
    """
    return with_validation(clips, column, share=share, seed=seed, accept=lambda parts: _mixed(clips, parts))


def _mixed(clips: pd.DataFrame, parts: pd.Series) -> bool:
    """Whether both training and validation show two classes."""
    return all(len(_classes(clips[parts == part])) > 1 for part in (TRAIN, VAL))


def _classes(clips: pd.DataFrame) -> list[str]:
    """Classes of clips, one name of each."""
    names = {label.strip().casefold(): label for label in sorted(clips["label"].unique(), reverse=True)}
    return sorted(names.values())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "none"
