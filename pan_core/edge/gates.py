"""What the gates said of a target's networks, and of which files: nothing else may go to a device."""

from pathlib import Path
from typing import Any

from pan_core.errors import DataError
from pan_core.export.targets import Target
from pan_core.files import read_json, sha256_of, write_json

GATES = "gates.json"


def write_gates(folder: Path, target: Target, figures: dict[str, Any]) -> None:
    """Keep what was found of the networks in a folder, with the files that were judged and what they are for."""
    write_json(folder / GATES, figures | _judged(folder, target))


def read_gates(folder: Path, target: Target) -> dict[str, Any]:
    """What was found of a target's networks.

    Raises:
        DataError: Where nothing was exported, or what was judged is not what lies there or not what the target runs now.
    """
    if not (folder / GATES).is_file():
        raise DataError(
            f"{target.name}: nothing was exported for it; add it to export.targets in params.yaml and run `dvc repro export`"
        )
    found, now = read_json(folder / GATES), _judged(folder, target)
    faults = [
        f"{name} is {now[name]!r}, judged was {found.get(name)!r}"
        for name in now
        if name != "files" and found.get(name) != now[name]
    ]
    judged = found.get("files", {})
    faults += [
        f"{name} was changed, added or taken away since"
        for name in sorted(now["files"].keys() | judged.keys())
        if now["files"].get(name) != judged.get(name)
    ]
    if faults:
        raise DataError(
            f"{folder}: not the networks that passed the gates for {target.name}; run `dvc repro export`:\n"
            + "\n".join(f"  - {fault}" for fault in faults)
        )
    return found


def _judged(folder: Path, target: Target) -> dict[str, Any]:
    return {
        "runtime": target.runtime, "precision": target.precision, "opset": target.opset,
        "files": {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != GATES},
    }  # fmt: skip
