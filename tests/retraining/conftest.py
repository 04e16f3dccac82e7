import pytest

from pan_core.datasets.base import Context
from pan_core.retraining.footage import Footage


@pytest.fixture
def incoming(tmp_path):
    """The inbox, which the first delivery makes."""
    return tmp_path / "incoming"


@pytest.fixture
def footage(tmp_path):
    """Footage that has no delivery yet."""
    return Footage(tmp_path / "footage", tmp_path / "deliveries.json")


@pytest.fixture
def context(tmp_path):
    return Context(tmp_path / "cache")
