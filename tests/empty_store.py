"""The tables of an empty store as MLflow itself makes them.

    python tests/empty_store.py

writes them for the installed MLflow into the package; `EMPTY_STORE_VERSION` of pan_core/tracking/local_store.py names its version.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine


def tables_by_mlflow() -> str:
    """SQL that makes the tables, through all of MLflow's migrations."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        _initialize_tables(create_sqlalchemy_engine(f"sqlite:///{database}"))
        with closing(sqlite3.connect(database)) as connection:
            return "\n".join(connection.iterdump()) + "\n"


if __name__ == "__main__":
    from pan_core.tracking.local_store import EMPTY_STORE

    EMPTY_STORE.write_text(tables_by_mlflow(), encoding="utf-8")
