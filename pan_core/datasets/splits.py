"""Parts of the clips: validation cut out of training, splits by group, published counts, and what leaks."""

import logging
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from pan_core.datasets.base import Facts
from pan_core.errors import DataError
from pan_core.tables import splits_of

_log = logging.getLogger(__name__)

# What clips may have in common that a model could learn instead of the action.
SHARED = ("group", "subject", "camera")


def with_validation(
    clips: pd.DataFrame, column: str, *, share: float, seed: int, accept: Callable[[pd.Series], bool] = lambda _: True
) -> pd.Series:
    """Parts of one split with a share of the training groups moved to `val`.

    Whole groups move, classes stay balanced as far as groups allow (scikit-learn's StratifiedGroupKFold). Of few
    groups one moves at least, which may be a larger share than asked for.

    Args:
        clips: Clip table; a clip with an empty group is a group of its own.
        column: Split column with train, test and unused.
        share: Share of the training clips to move.
        seed: Seed of the draw.
        accept: Whether parts will do; those of the first fold are taken if none do.

    Raises:
        DataError: Where all training clips are of one group.
    """
    parts = clips[column].copy()
    train = clips[parts == "train"]
    groups = groups_of(train)
    if groups.nunique() < 2:
        raise DataError(
            f"{column}: all {len(train)} training clips are of one group, so none can be kept for validation; add "
            "recordings of other people or places, or choose another group",
            code="splits.one-group",
        )
    folds = min(max(2, round(1 / share)), groups.nunique(), max(2, _largest_class(train)))
    drawn = []
    for _, val in _fold_rows(train, groups, folds, seed):
        drawn.append(parts.mask(parts.index.isin(train.index[val]), "val"))
        if accept(drawn[-1]):
            return drawn[-1]
    return drawn[0]


def group_splits(clips: pd.DataFrame, *, folds: int, seed: int) -> pd.DataFrame:
    """The clip table with columns split1..splitK for data without official splits.

    Each group stands in the test part of exactly one split; classes stay balanced as far as groups allow. A class
    whose clips are all of one group cannot be learned and tested at once: it is kept, and said in a warning.

    Args:
        clips: Clip table; a clip with an empty group is a group of its own.
        folds: Number of splits K.
        seed: Seed of the draw.

    Raises:
        DataError: Where `folds` is below 2 or there are fewer groups than folds.
    """
    groups = groups_of(clips)
    if folds < 2:
        raise DataError(
            f"Expected at least 2 folds to split by group, but got {folds}; raise split.folds", code="splits.few-folds"
        )
    if groups.nunique() < folds:
        raise DataError(
            f"{folds} folds need at least {folds} groups, but the {len(clips)} clips have {groups.nunique()}: "
            f"{', '.join(sorted(groups.unique()))}; lower split.folds or add recordings of other people or places",
            code="splits.few-groups",
        )
    if _largest_class(clips) < folds:
        raise DataError(
            f"{folds} folds need a class of {folds} clips or more, but the largest of the {len(clips)} clips has "
            f"{_largest_class(clips)}; lower split.folds or add recordings",
            code="splits.few-clips",
        )
    per_class = groups.groupby(clips["label"].to_numpy()).nunique()
    if lonely := sorted(per_class[per_class < 2].index):
        _log.warning(
            "%d of %d classes have clips of one group only and are never in training and test at once: %s; add "
            "recordings of other people or places",
            len(lonely),
            len(per_class),
            ", ".join(lonely),
        )
    split = clips.drop(columns=[f"split{number}" for number in splits_of(clips)])
    for number, (_, test) in enumerate(_fold_rows(clips, groups, folds, seed), start=1):
        split[f"split{number}"] = np.where(np.isin(np.arange(len(clips)), test), "test", "train")
    return split


def groups_of(clips: pd.DataFrame) -> pd.Series:
    """Group of each clip; a clip whose group is not known is one of its own.

    Args:
        clips: Clip table.
    """
    return clips["group"].where(clips["group"] != "", "clip " + clips["clip_id"])


def leakage(clips: pd.DataFrame, column: str) -> dict[str, int]:
    """How many test clips share a group, a subject or a camera with training or validation.

    Args:
        clips: Clip table; empty values of a column say nothing and are passed over.
        column: Split column.

    Returns:
        For each of `SHARED` that the table fills: `<name>`, the test clips with a value that training has too;
        `<name>_values`, how many values that is; and `<name>_same_class`, the test clips whose value training has in
        a clip of the same class. The last is what split lists are usually made to avoid: a film or a camera known
        from another class helps a model less.
    """
    learned = clips[clips[column].isin(["train", "val"])]
    test = clips[clips[column] == "test"]
    counts: dict[str, int] = {}
    for name in SHARED:
        if name not in clips or not (clips[name] != "").any():
            continue
        known = learned[learned[name] != ""]
        shared = test[test[name].isin(known[name])]
        pairs = pd.MultiIndex.from_frame(shared[[name, "label"]])
        same_class = pairs.isin(pd.MultiIndex.from_frame(known[[name, "label"]]))
        counts[name] = len(shared)
        counts[f"{name}_values"] = int(shared[name].nunique())
        counts[f"{name}_same_class"] = int(same_class.sum())
    return counts


def check_counts(clips: pd.DataFrame, facts: Facts) -> list[str]:
    """What differs from the published counts, a sentence each; empty where nothing does.

    Args:
        clips: Clip table; validation clips count as training.
        facts: What is published; counts that it does not state are not compared.
    """
    pairs = []
    if facts.classes is not None:
        pairs.append(("classes", facts.classes, int(clips["label"].nunique())))
    if facts.clips is not None:
        pairs.append(("clips", facts.clips, len(clips)))
    absent = []
    for number, published in facts.splits.items():
        column = f"split{number}"
        if column not in clips:
            absent.append(f"{column}: expected as published, but the clip table has no such column")
            continue
        found = clips[column].replace("val", "train").value_counts()
        pairs += [(f"{column} {part}", count, int(found.get(part, 0))) for part, count in published.items()]
    differences = [
        f"{what}: expected {count:,} as published, but got {got:,}" for what, count, got in pairs if count != got
    ]
    return differences + absent


def _largest_class(clips: pd.DataFrame) -> int:
    return int(clips["label"].value_counts().max())


def _fold_rows(clips: pd.DataFrame, groups: pd.Series, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers (rest, held out) of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold  # late: start-up

    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # it counts clips of a class, where groups are what matters
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(splitter.split(np.zeros(len(clips)), clips["label"], groups))
