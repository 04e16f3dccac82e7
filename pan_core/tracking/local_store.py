"""The project's own MLflow store: where it lies, its address, and its rows after the project was moved or copied.

MLflow keeps whole addresses of artifacts in its database. Those of a store below the project are made to follow it.
"""

import logging
import os
import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pan_core.files import atomic_path, project_folder

_log = logging.getLogger(__name__)

STORE = Path("mlruns")
DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
"""Columns of MLflow's database that hold addresses of artifacts."""

BUSY_S = 60.0

EMPTY_STORE = Path(__file__).with_name("empty_store.sql")
"""Tables of an empty store, as MLflow `EMPTY_STORE_VERSION` makes them; tests/empty_store.py writes it."""
EMPTY_STORE_VERSION = "3.17.2"


def store_folder() -> Path:
    """Folder of the project's store; also for a run in a copy of the project that DVC made for an experiment."""
    return project_folder() / STORE


def store_uri() -> str:
    """Address of the tracking store: MLFLOW_TRACKING_URI if set, else SQLite below the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri((store_folder() / DATABASE).resolve())


def has_store() -> bool:
    """Tell whether there is a store already: a server or database that the environment names, or the project's own."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (store_folder() / DATABASE).is_file()


def sqlite_uri(database: Path) -> str:
    """SQLAlchemy's address of an SQLite file, an absolute path.

    SQLAlchemy takes what follows a "?" for options and undoes no quoting. Such a path is handed on to SQLite itself as a
    quoted URI; every other one is left as it is.
    """
    if "?" not in str(database):
        return f"sqlite:///{database}"
    return f"sqlite:///file:{quote(str(database))}?uri=true"


def is_quoted(uri: str) -> bool:
    """Tell whether an address of `sqlite_uri` is one that SQLite itself unquotes."""
    return uri.startswith("sqlite:///file:")


def remove_strays(database: Path) -> None:
    """Remove the empty folders that MLflow makes in the working directory, because it takes a quoted URI for a path."""
    with suppress(OSError):
        os.removedirs(f"file:{quote(str(database.parent))}")


def create_database(database: Path) -> None:
    """Make the tables of an empty store if there is no database yet.

    MLflow itself would go through every version that its tables ever had, for over a second. For another version of MLflow
    than the one whose tables are known, that is left to it.
    """
    if database.exists() or version("mlflow") != EMPTY_STORE_VERSION:
        return
    with atomic_path(database) as partial, closing(sqlite3.connect(partial)) as connection:
        connection.executescript(EMPTY_STORE.read_text(encoding="utf-8"))


def follow_project(store: Path) -> None:
    """Let the rows of a store name the folder that it is in now, after its project was renamed, moved or copied.

    Only this store's own database changes, in one transaction. What was put elsewhere on purpose stays there.

    Args:
        store: Its folder, an absolute path without links.

    Raises:
        sqlite3.Error: If the database cannot be read or written.
    """
    database = store / DATABASE
    if not database.is_file():
        return
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in tables:
            return
        experiments = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
        before = {root for name, location in experiments if (root := _find_moved_store(store, name, location))}
        if not before:
            return
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for root in sorted(before):
                _replace_root(connection, root, store, tables)
                _log.warning("MLflow store %s: was in %s; its artifacts are looked for here now", store, root)


def _find_moved_store(store: Path, name: str, location: str | None) -> Path | None:
    """Folder in which the store was when this experiment was made; None if it is the present one or no store of a project."""
    parts = urlsplit(location or "")
    if parts.scheme != "file":
        return None
    folder = Path(unquote(parts.path))
    before = folder.parent.parent
    if (folder.parent.name, folder.name) != (ARTIFACTS, name) or before == store:
        return None
    if before.is_dir() and not (before / DATABASE).is_file():
        return None  # a folder that somebody chose for the artifacts alone
    return before if before.name == STORE.name or (store / ARTIFACTS / name).is_dir() else None


def _replace_root(connection: sqlite3.Connection, before: Path, now: Path, tables: set[str]) -> None:
    """Replace the beginning of all addresses below a folder; MLflow's own are paths, ours are URIs."""
    for table, column in ADDRESSES:
        if table not in tables or column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
            continue
        for old, new in ((f"{before.as_uri()}/", f"{now.as_uri()}/"), (f"{before}/", f"{now}/")):
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old), old),
            )
