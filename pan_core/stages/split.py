"""Stage split: the clip table with the official splits, and validation cut out of training."""

from dataclasses import replace

from pan_core.config import Params
from pan_core.datasets import dataset_by_name
from pan_core.datasets.splits import leakage, with_validation
from pan_core.errors import DataError
from pan_core.progress import progress_bar
from pan_core.stages import paths
from pan_core.stages.runner import dataset_context
from pan_core.tables import splits_of, write_table
from pan_core.tracking import Run


def run(params: Params, tracked: Run) -> dict:
    """Catalogue the clips and cut validation groups out of the training part of each split in use."""
    dataset = dataset_by_name(params.dataset)
    with progress_bar("read clips", "clip") as update:
        catalogue = dataset.catalogue(paths.RAW, replace(dataset_context(params), progress=update))
    clips, known = catalogue.clips, splits_of(catalogue.clips)
    absent = sorted(set(params.split.splits) - set(known))
    if absent:
        raise DataError(f"split.splits: {params.dataset} has splits {known}, but got {params.split.splits}")
    clips = clips.drop(columns=[f"split{number}" for number in known if number not in params.split.splits])
    leaks, counts = {}, {}
    for column in (f"split{number}" for number in params.split.splits):
        clips[column] = with_validation(clips, column, share=params.split.validation_share, seed=params.seed)
        leaks[column] = leakage(clips, column)
        counts[column] = clips[column].value_counts().to_dict()
    write_table(clips, "clips", paths.CLIPS)
    write_table(catalogue.quarantine, "quarantine", paths.QUARANTINE / "split.parquet")
    return {
        "clips": len(clips),
        "classes": int(clips["label"].nunique()),
        "groups": int(clips["group"].nunique()),
        "unreadable": len(catalogue.quarantine),
        "test_clips_sharing_a_group_with_training": leaks,
        "parts": counts,
    }
