"""Great Expectations without anything around it: no state on disk, no network, no noise."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def ephemeral_context() -> Any:
    """A context that keeps everything in memory and has no site of its own."""
    import great_expectations as gx  # late: start-up
    from great_expectations.data_context.types.base import ProgressBarsConfig  # late: start-up

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The site that a context comes with would be written to a temporary folder and stay there.
    for name in context.get_site_names():
        context.delete_data_docs_site(name)
    return context


@contextmanager
def quiet() -> Iterator[None]:
    """Great Expectations without its notices and the warnings about its own dependencies."""
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
