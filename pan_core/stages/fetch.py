"""Stage fetch: bring the dataset's files into data/raw."""

from dataclasses import replace

from pan_core.datasets.registry import dataset_by_name
from pan_core.params.load import Params
from pan_core.progress import progress_bar
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths
from pan_core.workspace.context import dataset_context


def run(params: Params, tracked: Run) -> dict:
    """Fetch the dataset named in params.yaml."""
    dataset = dataset_by_name(params.dataset)
    with progress_bar(f"fetch {dataset.name}", "step") as update:
        dataset.fetch(paths.RAW, replace(dataset_context(params), progress=update))
    files = [path for path in paths.RAW.rglob("*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
