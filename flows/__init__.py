"""Prefect: when and where the pipeline runs. What the pipeline is, DVC says."""

import os
from pathlib import Path

import pan_core  # noqa: F401  # switches analytics off, before Prefect reads its settings

# Prefect reads its settings at import. Its state stays in the project, where prefect.toml also points the
# `prefect` command; its server's warnings about a busy SQLite file are harmless and would frighten; the twenty
# seconds that it gives its temporary server are too few for the first start on a small or busy machine.
for _variable, _value in {
    "PREFECT_HOME": str(Path.cwd() / ".cache" / "prefect"),
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}.items():
    os.environ.setdefault(_variable, _value)

# Prefect makes this folder, but not the one that it is in.
Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
