"""Fixtures that several roots share."""

import os
from pathlib import Path

import pytest

DATA_VARIABLE = "PAN_TEST_DATA"

# One thread each, as in production: two libraries' pools on two cores are five times slower than none.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it are skipped where PAN_TEST_DATA does not name it."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} is not set: it names the folder with real recordings that this test needs")
    path = Path(folder)
    assert path.is_dir(), f"{DATA_VARIABLE}={folder} is not a folder"
    return path
