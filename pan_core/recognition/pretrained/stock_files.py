"""Files of a recognizer that comes with the package: the network, its exported step, the model card, and their hashes.

The step is the same network as ONNX, so that a first `pan predict` need not wait for torch.
"""

from dataclasses import dataclass
from pathlib import Path

from pan_core.errors import DataError, PanError
from pan_core.files import read_json, restore_advice, sha256_of, write_json
from pan_core.recognition.pretrained import FOLDER, STOCK

WEIGHTS, STEP, CARD = "model.safetensors", "step.onnx", "README.md"
PINNED = ("model.json", WEIGHTS, "step.json", STEP)
PINS = "sha256.json"


@dataclass(frozen=True)
class StockRecognizer:
    """A recognizer that comes with the package, checked.

    Attributes:
        name: Its name, with the beginning of the hash of its weights.
        step: Its exported step.
        labels: What it knows.
        preprocessing: How it learnt people, as in `model.json`.
    """

    name: str
    step: Path
    labels: tuple[str, ...]
    preprocessing: dict[str, object]


def read_stock(name: str) -> StockRecognizer:
    """A recognizer that comes with the package.

    Args:
        name: A key of `STOCK`.

    Raises:
        DataError: If a file is missing or another one.
    """
    folder = STOCK[name]
    pins = require_pinned_files(folder)
    step = folder / STEP
    description = read_json(step.with_suffix(".json"))
    return StockRecognizer(
        f"{name} {pins[WEIGHTS][:8]}", step, tuple(description["labels"]), description["preprocessing"]
    )


def require_pinned_files(folder: Path) -> dict[str, str]:
    """Refuse files that are not those that were written together; returns their hashes.

    Raises:
        DataError: With the first file that is missing or another one.
    """
    advice = restore_advice(folder, root=FOLDER.parents[2])
    if not (folder / PINS).is_file():
        raise DataError(f"{folder / PINS}: missing; {advice}", code="stock.incomplete")
    try:
        pins = read_json(folder / PINS)
    except PanError as error:
        raise DataError(f"{folder / PINS}: not JSON; {advice}", code="stock.other-file") from error
    if not isinstance(pins, dict) or not set(PINNED) <= set(pins):
        raise DataError(
            f"{folder / PINS}: expected the SHA-256 of {', '.join(PINNED)}; {advice}", code="stock.other-file"
        )
    for name in PINNED:
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: missing; {advice}", code="stock.incomplete")
        if (found := sha256_of(path)) != pins[name]:
            raise DataError(
                f"{path}: Expected the file with the SHA-256 {pins[name]}, but got {found}; {advice}",
                code="stock.other-file",
            )
    return pins


def pin_files(folder: Path) -> dict[str, str]:
    """Write the hashes of a recognizer's files, which anybody may read; returns them."""
    for name in PINNED:
        (folder / name).chmod(0o644)
    pins = {name: sha256_of(folder / name) for name in PINNED}
    write_json(folder / PINS, pins)
    return pins


def require_replaceable(folder: Path) -> None:
    """Refuse a place for a recognizer that holds anything else, which would be lost.

    Raises:
        DataError: If it is a file, or a folder with other files than those of a recognizer.
    """
    known = {*PINNED, PINS, CARD}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []
    if others or folder.is_file() or not folder.name:
        held = f"it holds {others[0]}" if others else "expected the name of a folder"
        raise DataError(
            f"{folder}: {held}, and a recognizer takes the whole place; name a new folder", code="stock.other-folder"
        )
