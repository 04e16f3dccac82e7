"""Prefect's own database lies in the project, whatever the name of its folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio
import flows
from prefect.server.database import provide_database_interface

asyncio.run(provide_database_interface().create_db())
"""


@pytest.mark.parametrize("name", ["a?b#c d%20é"])
def test_prefects_database_is_below_the_project(tmp_path, name):
    project = tmp_path / name
    project.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=project, env=environment | {"PYTHONPATH": str(ROOT)}, check=True
    )
    assert [path.relative_to(project) for path in tmp_path.rglob("*.db")] == [Path(".cache/prefect/prefect.db")]
    assert [path.name for path in tmp_path.iterdir()] == [name]
