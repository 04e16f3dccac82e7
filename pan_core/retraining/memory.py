"""Memory of the runs, beside the footage: a file that saves work and remembers refusals.

It lies outside the footage, so that it makes no new version of it. Without it work is done again, and nothing else.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pan_core.errors import PanError
from pan_core.files import read_json, write_json

_log = logging.getLogger(__name__)


class DeliveryMemory:
    """The parts of the memory, each a mapping.

    - `stamps`: of folders in the inbox when they were taken, each with the digest of what was taken;
    - `failed`: stamp, reason and recipe of deliveries that did not pass validation;
    - `told`: reasons of refusals with which a run has failed;
    - `shut`: reasons of challengers that a gate refused, by data and recipe.

    Args:
        path: A JSON file. One that is damaged counts as empty.
    """

    PARTS: ClassVar = {"stamps": list, "failed": dict, "told": str, "shut": str}

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, part: str) -> dict[str, Any]:
        """Read one of `PARTS`."""
        return self._all()[part]

    def write(self, part: str, values: Mapping[str, Any]) -> None:
        """Replace one of `PARTS`."""
        write_json(self._path, self._all() | {part: dict(values)})

    def add(self, part: str, name: str, value: object) -> None:
        """Set one value of one of `PARTS`."""
        self.write(part, self.read(part) | {name: value})

    def _all(self) -> dict[str, dict[str, Any]]:
        try:
            stored: Any = read_json(self._path) if self._path.is_file() else {}
            return {
                part: {name: value for name, value in dict(stored.get(part, {})).items() if isinstance(value, kind)}
                for part, kind in self.PARTS.items()
            }
        except (PanError, AttributeError, TypeError, ValueError):
            _log.warning("%s: damaged, and taken for empty", self._path)
            return {part: {} for part in self.PARTS}
