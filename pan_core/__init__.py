"""PAN: skeleton-based, online action recognition from videos to small devices."""

import os

__version__ = "0.1.0"

PARENT = os.getppid()
"""Process that started this one; asked before the long imports, in which it may be killed."""

# Nothing calls home. Each library reads its variable at import, so this stands before any of them.
for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_variable, _value)
