import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

# Before Prefect is imported: neither the user's server nor the project's state is touched.
for _name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[_name]
_home = tempfile.TemporaryDirectory(prefix="pan-prefect-")
os.environ["PREFECT_HOME"] = _home.name


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a DVC project out of the text of a dvc.yaml and changes into it."""
    from dvc.repo import Repo

    def make(pipeline: str) -> Path:
        Repo.init(str(tmp_path), no_scm=True).close()
        (tmp_path / "dvc.yaml").write_text(pipeline)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


@pytest.fixture(scope="session")
def server():
    """A Prefect server, embedded in this process; the current settings point to it."""
    from flows.prefect_server import embedded_server

    with embedded_server() as api_url:
        yield api_url
