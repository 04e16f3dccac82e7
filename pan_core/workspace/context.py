"""What params.yaml says of processes and of where a dataset's files come from."""

import os

from pan_core.datasets.base import Context
from pan_core.files import cache_folder
from pan_core.params.load import Params
from pan_core.workspace import paths


def workers(params: Params) -> int:
    """Processes to use: `workers` from params.yaml, or every core that this process may run on."""
    return params.workers or len(os.sched_getaffinity(0))


def dataset_context(params: Params, name: str | None = None) -> Context:
    """Where a dataset's files come from, and the section of params.yaml that has its name."""
    section = getattr(params, name or params.dataset, None)
    options = section.model_dump() if section is not None else {}
    return Context(
        cache=cache_folder(), mirror=paths.mirror(), workers=workers(params), options={**options, "seed": params.seed}
    )
