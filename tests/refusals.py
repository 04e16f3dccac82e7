"""Errors that tests expect, named by their code and not by their words."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pan_core.errors import PanError


@contextmanager
def refused(code: str, kind: type[PanError] = PanError) -> Iterator[pytest.ExceptionInfo]:
    """Expect a `PanError` of a kind with this code; yields what pytest caught, for a look at its words."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code, f"expected the code {code!r}, but got {caught.value.code!r}: {caught.value}"
