"""Prefect: when and where the pipeline runs. What the pipeline is, DVC says."""

import os
import sys
from pathlib import Path
from types import TracebackType

# The first import switches analytics off, before Prefect reads its settings.
from pan_core.errors import explain_fault
from pan_core.tracking.local_store import sqlite_uri


def _print_fault(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print what the machine is to blame for as one message: flows import more than a slim image may have."""
    if known := explain_fault(error):
        print(f"error: {known}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _print_fault

# Prefect reads its settings at import. Its state stays in the project, where prefect.toml also points the
# `prefect` command; its server's warnings about a busy SQLite file are harmless and would frighten; the twenty
# seconds that it gives its temporary server are too few for the first start on a small or busy machine.
for _variable, _value in {
    "PREFECT_HOME": str(Path.cwd() / ".cache" / "prefect"),
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}.items():
    os.environ.setdefault(_variable, _value)

# Prefect puts the path of its database into an address as it is, where a "?" would begin options.
_database = Path(os.environ["PREFECT_HOME"]).absolute() / "prefect.db"
if "?" in str(_database) and "PREFECT_API_DATABASE_CONNECTION_URL" not in os.environ:
    _address = sqlite_uri(_database).replace("sqlite:", "sqlite+aiosqlite:", 1)
    os.environ.setdefault("PREFECT_SERVER_DATABASE_CONNECTION_URL", _address)

# Prefect makes this folder, but not the one that it is in.
Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
