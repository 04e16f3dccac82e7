"""Stage split: the clip table with its splits, and validation cut out of training."""

from dataclasses import replace

import pandas as pd

from pan_core.datasets.base import Catalogue
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.splits import check_counts, group_splits, leakage
from pan_core.errors import DataError
from pan_core.evaluation.class_parts import draw_validation, require_classes
from pan_core.params.load import Params
from pan_core.progress import progress_bar
from pan_core.tables import splits_of, write_table
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths
from pan_core.workspace.context import dataset_context

SHOWN = 5


def run(params: Params, tracked: Run) -> dict:
    """Catalogue the clips and cut validation groups out of the training part of each split in use.

    Raises:
        DataError: If a split in params.yaml does not exist, or one of its parts shows one class only.
    """
    dataset = dataset_by_name(params.dataset)
    with progress_bar("read clips", "clip") as update:
        catalogue = dataset.catalogue(paths.RAW, replace(dataset_context(params), progress=update))
    clips = catalogue.clips
    official = splits_of(clips)
    differences = check_counts(clips, dataset.facts)
    _print_differences(catalogue, differences)
    if not official:
        clips = group_splits(clips, folds=params.split.folds, seed=params.seed)
    clips = _select_splits(clips, params)
    leaks, counts = {}, {}
    for column in (f"split{number}" for number in params.split.splits):
        if not (clips[column] == "val").any():  # a holdout says itself what validates
            clips[column] = draw_validation(clips, column, share=params.split.validation_share, seed=params.seed)
        require_classes(clips, column)
        leaks[column] = leakage(clips, column)
        counts[column] = clips[column].value_counts().to_dict()
    write_table(clips, "clips", paths.CLIPS)
    write_table(catalogue.quarantine, "quarantine", paths.QUARANTINE / "split.parquet")
    return {
        "clips": len(clips),
        "classes": int(clips["label"].nunique()),
        "groups": int(clips.loc[clips["group"] != "", "group"].nunique()),
        "grouping": catalogue.grouping,
        "unreadable": len(catalogue.quarantine),
        "missing": len(catalogue.missing),
        "missing_clips": list(catalogue.missing),
        "differences_from_published": differences,
        "splits": "given" if official else f"made by group, {params.split.folds} folds",
        "test_clips_shared_with_training": leaks,
        "parts": counts,
    }


def _select_splits(clips: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The clip table with the split columns in use only."""
    known = splits_of(clips)
    if absent := sorted(set(params.split.splits) - set(known)):
        raise DataError(
            f"split.splits: {params.dataset} has splits {known}, but got {absent} in params.yaml", code="split.unknown"
        )
    return clips.drop(columns=[f"split{number}" for number in known if number not in params.split.splits])


def _print_differences(catalogue: Catalogue, differences: list[str]) -> None:
    """Print what is not as published, so that nobody takes a part for the whole."""
    for difference in differences:
        print(f"not as published: {difference}")
    if missing := catalogue.missing:
        print(
            f"{len(missing)} listed clips are not on disk, such as {', '.join(missing[:SHOWN])}; all: reports/split.json"
        )
    for row in catalogue.quarantine.head(SHOWN).itertuples(index=False):
        print(f"left out: {row.clip_id}: {row.reason}")
    if (more := len(catalogue.quarantine) - SHOWN) > 0:
        print(f"left out: {more} more, see {paths.QUARANTINE}/split.parquet")
