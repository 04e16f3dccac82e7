"""Validation part of the training clips, and what leaks between the parts."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from pan_core.errors import DataError


def with_validation(clips: pd.DataFrame, column: str, *, share: float, seed: int) -> pd.Series:
    """Parts of one split with a share of the training groups moved to `val`.

    Whole groups move, classes stay balanced as far as groups allow (scikit-learn's StratifiedGroupKFold).

    Args:
        clips: Clip table.
        column: Split column with train, test and unused.
        share: Share of the training clips to move.
        seed: Seed of the draw.

    Raises:
        DataError: Where training has fewer than two groups.
    """
    parts = clips[column].copy()
    train = clips[parts == "train"]
    folds = max(2, round(1 / share))
    if train["group"].nunique() < folds:
        raise DataError(
            f"{column}: training has {train['group'].nunique()} groups, but a validation share of {share} needs at "
            f"least {folds}; raise split.validation_share or add groups"
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    _, val = next(splitter.split(np.zeros(len(train)), train["label"], train["group"]))
    parts.loc[train.index[val]] = "val"
    return parts


def leakage(clips: pd.DataFrame, column: str) -> int:
    """Number of test clips whose group also has clips in training or validation."""
    learned = set(clips.loc[clips[column].isin(["train", "val"]), "group"])
    test = clips[clips[column] == "test"]
    return int(test["group"].isin(learned).sum())
