import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _own_storage(monkeypatch):
    monkeypatch.delenv("PAN_OPTUNA_STORAGE", raising=False)


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal.log"
