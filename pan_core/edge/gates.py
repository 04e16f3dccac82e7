"""Gate figures of a target's networks, with the hashes of the files that passed: only these files may go to a device."""

from pathlib import Path
from typing import Any

from pan_core.errors import DataError
from pan_core.export.targets import Target
from pan_core.files import read_json, sha256_of, write_json

GATES = "gates.json"


def write_gates(folder: Path, target: Target, figures: dict[str, Any]) -> None:
    """Write the figures of the networks in a folder, with their files and the runtime that they are for."""
    write_json(folder / GATES, figures | _describe_networks(folder, target))


def read_gates(folder: Path, target: Target) -> dict[str, Any]:
    """Read the figures of a target's networks.

    Raises:
        DataError: If nothing was exported, or the gates passed other files or other settings than those of the target now.
    """
    if not (folder / GATES).is_file():
        raise DataError(
            f"{target.name}: nothing was exported for it; add it to export.targets in params.yaml and run `dvc repro export`",
            code="gates.not-exported",
        )
    passed, now = read_json(folder / GATES), _describe_networks(folder, target)
    settings = {
        name: f"{name}: expected {passed.get(name)!r} as it passed the gates, but the target has {now[name]!r}"
        for name in now
        if name != "files" and passed.get(name) != now[name]
    }
    files = passed.get("files", {})
    changed = [
        f"{name}: changed, added or removed since"
        for name in sorted(now["files"].keys() | files.keys())
        if now["files"].get(name) != files.get(name)
    ]
    if faults := [*settings.values(), *changed]:
        raise DataError(
            f"{folder}: not the networks that passed the gates for {target.name}; run `dvc repro export`:\n"
            + "\n".join(f"  - {fault}" for fault in faults),
            code="gates.other-settings" if settings else "gates.changed-files",
        )
    return passed


def _describe_networks(folder: Path, target: Target) -> dict[str, Any]:
    return {
        "runtime": target.runtime, "precision": target.precision, "opset": target.opset,
        "files": {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != GATES},
    }  # fmt: skip
