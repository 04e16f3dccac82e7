"""Ledger of the footage: the deliveries that were taken, and those that were withdrawn.

It is the file `deliveries.json` in the folder of the footage. A folder of a delivery that is not in it was never finished.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pan_core.datasets.holdout import BRING_BACK
from pan_core.errors import DataError, PanError
from pan_core.files import read_json, write_json
from pan_core.workspace.paths import LEDGER

Entry = Mapping[str, Any]
"""A delivery: name, digest, labels, hashes of its videos, clips, taken_at and groups; of a withdrawn one also withdrawn_at."""


@dataclass(frozen=True)
class Ledger:
    """Entries of all deliveries, in the order in which they came.

    Attributes:
        taken: Deliveries that are in the footage.
        withdrawn: Deliveries that were in it.
    """

    taken: tuple[Entry, ...] = ()
    withdrawn: tuple[Entry, ...] = ()

    REQUIRED: ClassVar = {"name": str, "digest": str, "labels": list, "hashes": dict, "taken_at": str}

    @classmethod
    def read(cls, folder: Path) -> "Ledger":
        """Read the ledger of a folder of footage; it is empty if there is no file.

        Raises:
            DataError: If the file is damaged.
        """
        path = folder / LEDGER
        if not path.is_file():
            return cls()
        try:
            stored = read_json(path)
            taken, withdrawn = tuple(stored["deliveries"]), tuple(stored.get("withdrawn", []))
            if all(isinstance(entry[name], kind) for entry in taken + withdrawn for name, kind in cls.REQUIRED.items()):
                return cls(taken, withdrawn)
        except (PanError, KeyError, TypeError, AttributeError):
            pass
        raise DataError(f"{path}: damaged; {BRING_BACK}", code="ledger.damaged")

    def write(self, folder: Path) -> None:
        """Write the file, atomically."""
        write_json(folder / LEDGER, {"deliveries": list(self.taken), "withdrawn": list(self.withdrawn)})

    @property
    def names(self) -> set[str]:
        """Names of the deliveries in the footage."""
        return {entry["name"] for entry in self.taken}

    @property
    def hashes(self) -> frozenset[str]:
        """SHA-256 of all videos in the footage."""
        return frozenset(digest for entry in self.taken for digest in entry["hashes"].values())

    @property
    def labels(self) -> frozenset[str]:
        """Classes in the footage."""
        return frozenset(label for entry in self.taken for label in entry["labels"])

    def entry(self, name: str) -> Entry | None:
        """Entry of a delivery in the footage, None if it is not there."""
        return next((entry for entry in self.taken if entry["name"] == name), None)

    def others(self, name: str) -> tuple[Entry, ...]:
        """Entries of all deliveries in the footage but one."""
        return tuple(entry for entry in self.taken if entry["name"] != name)

    def with_entry(self, entry: Entry) -> "Ledger":
        """Ledger with a delivery, instead of the one of its name if there is one."""
        return Ledger((*self.others(entry["name"]), entry), self.withdrawn)

    def with_withdrawn(self, entry: Entry) -> "Ledger":
        """Ledger in which a delivery is withdrawn."""
        return Ledger(self.others(entry["name"]), (*self.withdrawn, entry))
