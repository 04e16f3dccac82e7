"""Result file of a measurement: figures, device and bundle, with a hash over all of it.

The hash shows that a file was not changed after it was written. It does not show who wrote it.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pan_core.errors import DataError
from pan_core.files import read_json, write_json

FORMAT = "pan-latency-1"
DEVICE, HERE, EMULATED, PREDICTED = "measured on the device", "measured on this host", "emulated", "predicted"
OTHER = "measured on another machine"
"""Kinds of figures. Only the first is the speed of a device; the second is the speed of the target `host`."""

NUMBER = (int, float)
LATENCY = {"p50_ms": NUMBER, "p90_ms": NUMBER, "p99_ms": NUMBER, "count": int}
FORM = {
    "kind": str, "target": str, "structure": str, "labels": list, "preprocessing": dict, "profile": {"seconds": NUMBER},
    "measured_at": str, "threads": int, "frame": LATENCY, "parts": {"pan": LATENCY}, "fps": NUMBER, "runs": [LATENCY],
    "video": {"own": bool}, "people": int, "camera": {"fps": NUMBER, "frames": int, "dropped": int}, "memory_mb": NUMBER,
    "slowed": str, "device": {"model": str, "machine": str, "processor": str},
}  # fmt: skip
"""Required fields of a result and their types."""


def write_result(path: Path, content: dict[str, Any]) -> None:
    """Write a result and its hash."""
    write_json(path, content | {"sha256": content_hash(content)})


def read_result(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        DataError: If the file is no result, was changed after it was written, or is incomplete.
    """
    content: Any = read_json(path)
    form = content.get("format") if isinstance(content, dict) else None
    if form != FORMAT:
        raise DataError(
            f"{path}: no result of `pan-edge bench` (format {form!r}, expected {FORMAT!r})", code="result.format"
        )
    written = content.pop("sha256", None)
    if written != content_hash(content):
        raise DataError(
            f"{path}: was changed after it was written, its hash does not fit; measure again with `pan-edge bench`",
            code="result.changed",
        )
    if faults := list(find_faults(content)):
        raise DataError(
            f"{path}: incomplete result; {', '.join(f'{name} {fault}' for name, fault in faults)}; "
            "measure again with `pan-edge bench`",
            code="result.incomplete",
        )
    return content


def find_faults(value: Any, form: Any = FORM, place: str = "") -> Iterator[tuple[str, str]]:
    """Fields of a result that are missing or of another type.

    Args:
        value: The result, or a part of it.
        form: Expected form: a type, a list with the form of its items, or forms by name.
        place: Name of the part, such as "parts.pan".

    Yields:
        Name of the field, such as "parts.pan.p90_ms", and what is wrong with it.
    """
    if isinstance(form, dict):
        for name, inner in form.items():
            where = f"{place}.{name}" if place else name
            if not isinstance(value, dict) or name not in value:
                yield where, "is missing"
            else:
                yield from find_faults(value[name], inner, where)
    elif isinstance(form, list):
        if not isinstance(value, list) or not value:
            yield place, "is empty or no list"
        else:
            for number, each in enumerate(value):
                yield from find_faults(each, form[0], f"{place}.{number}")
    elif not isinstance(value, form) or (isinstance(value, bool) and form is not bool):
        yield place, f"is {value!r}"


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of a result, without its own `sha256`."""
    plain = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def describe(result: dict[str, Any]) -> str:
    """Describe a result in a few lines."""
    frame, parts, camera = result["frame"], result["parts"], result["camera"]
    device = result["device"]["model"] or result["device"]["processor"]
    repeated = ", ".join(f"{run['p90_ms']:.1f}" for run in result["runs"])
    lines = [
        f"{result['target']}, {result['kind']}: {device}, {result['device']['machine']}, {result['threads']} threads",
        f"frame  p50 {frame['p50_ms']:.1f} ms, p90 {frame['p90_ms']:.1f}, p99 {frame['p99_ms']:.1f} ({frame['count']} frames)",
        *(
            f"  {name:<9} p50 {part['p50_ms']:.2f} ms, p90 {part['p90_ms']:.2f}, p99 {part['p99_ms']:.2f} ({part['count']} times)"
            for name, part in parts.items()
        ),
        f"{result['fps']:.1f} frames a second; of a camera with {camera['fps']:g} it drops {camera['dropped']} of {camera['frames']}",
        f"p90 of {len(result['runs'])} runs: {repeated} ms; memory {result['memory_mb']:.0f} MB",
    ]
    if result["slowed"]:
        lines.append(f"not at its normal speed: {result['slowed']}; no gate takes these figures")
    return "\n".join(lines)
