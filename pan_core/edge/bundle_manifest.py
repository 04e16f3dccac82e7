"""Bundle manifest and integrity check."""

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan_core.edge.result import content_hash
from pan_core.errors import DataError
from pan_core.files import read_json, sha256_of

FORMAT = "pan-edge-1"
MANIFEST = "manifest.json"
DECLARATION = "models/declaration.json"
ENGINE = ".engine"
ENVIRONMENT = ".venv"
MODULES = (".py", ".pyc", ".so")
DEVICE_TREE = Path("/proc/device-tree/model")

KEYS = (
    "format", "target", "recogniser", "labels", "actions", "layout", "rate", "models", "preprocessing", "tolerances",
    "gates", "versions", "mlflow_run_id", "files", "sha256",
)  # fmt: skip


@dataclass(frozen=True)
class BundleManifest:
    """Manifest of a bundle whose files are those that were packed.

    Attributes:
        folder: Folder of the bundle.
        content: Content of manifest.json.
        sha256: Hash of manifest.json. It identifies the whole bundle, as the manifest has the hash of every other file.
    """

    folder: Path
    content: dict[str, Any]
    sha256: str

    @classmethod
    def read(cls, folder: Path) -> "BundleManifest":
        """Read a manifest and verify the bundle.

        Raises:
            DataError: If a file is missing, changed or not of the bundle, or the manifest is of another format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise DataError(
                f"{folder}: no bundle, {MANIFEST} is missing; make one with `pan edge bundle` and copy all of it",
                code="bundle.missing",
            )
        content = read_json(path)
        if content.get("format") != FORMAT:
            raise DataError(
                f"{path}: of format {content.get('format')!r}, expected {FORMAT!r}; make the bundle again with this version",
                code="bundle.format",
            )
        if missing := [key for key in KEYS if key not in content]:
            raise DataError(
                f"{path}: {', '.join(missing)} missing; make the bundle again with `pan edge bundle`",
                code="bundle.incomplete-manifest",
            )
        if content["sha256"] != content_hash(content):
            raise DataError(
                f"{path}: was changed after it was written, its hash does not fit; copy the bundle again",
                code="bundle.changed-manifest",
            )
        faults = [*_find_damaged(folder, content["files"]), *_find_foreign(folder, content["files"])]
        if faults:
            raise DataError(
                f"{folder}: not the bundle that was packed; copy it again:\n" + "\n".join(f"  - {f}" for f in faults),
                code="bundle.changed-files",
            )
        _require_labels(folder, content)
        return cls(folder, content, sha256_of(path))

    @property
    def target(self) -> dict[str, Any]:
        """Name, runtime, precision, device and budget of the target."""
        return self.content["target"]

    @property
    def pose_model(self) -> Path:
        """What opens the networks that find people: a declaration, or the file of the project's own network."""
        return self.folder / DECLARATION if DECLARATION in self.content["files"] else self.model("pose")

    def model(self, name: str) -> Path:
        """File of a network: "step", "pose", and those that search whole frames: "pose_search", "detector" or "finder".

        Raises:
            DataError: If it is still to be built on the device, or was built from another file.
        """
        path = self.folder / self.content["models"][name]
        if not path.is_file():
            raise DataError(
                f"{path}: not built yet; run ./build_engines.sh on the device, which makes it from {path.stem}.onnx",
                code="engine.not-built",
            )
        if path.suffix == ENGINE:
            self._require_source(path)
        return path

    def _require_source(self, engine: Path) -> None:
        """Refuse an engine of another file; build_engines.sh notes the hash of the one that it read."""
        note = engine.with_name(f"{engine.name}.source")
        source = engine.with_suffix(".onnx").relative_to(self.folder)
        built_from = note.read_text().strip() if note.is_file() else ""
        if built_from != self.content["files"][str(source)]:
            what = f"another {source.name} than this bundle's" if built_from else "an unknown file"
            raise DataError(
                f"{engine}: made from {what}; run ./build_engines.sh on the device again",
                code="engine.other-source" if built_from else "engine.unknown-source",
            )

    def require_device(self) -> None:
        """Refuse a machine that the bundle was not made for.

        Raises:
            DataError: If this is not the target's device; names the target.
        """
        wanted, tree = self.target["device"], device_model()
        machine = self.target["machine"]
        here = tree or platform.machine()
        if (machine and platform.machine() != machine) or (wanted and tree and not is_device(wanted, tree)):
            raise DataError(
                f"{self.folder}: made for {self.target['name']} ({wanted or machine}), but this is {here}; make one with "
                "`pan edge bundle --target NAME`, or add --any-device to try it here: figures are then not those of the device",
                code="bundle.other-device",
            )


def is_device(wanted: str, model: str) -> bool:
    """True if a board's name has the wanted words: "Raspberry Pi 5 Model B" has "Raspberry Pi 5", "Raspberry Pi 500" has not."""
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", model) is not None


def device_model() -> str:
    """Name of the board in its device tree, such as "Raspberry Pi 5 Model B Rev 1.0"; empty if it has none."""
    try:
        return DEVICE_TREE.read_text().strip("\0\n ")
    except OSError:
        return ""


def _find_damaged(folder: Path, files: dict[str, str]) -> Iterable[str]:
    """Files that are missing or changed."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name}: missing"
        elif (got := sha256_of(path)) != expected:
            yield f"{name}: changed, sha256 {got[:12]} instead of {expected[:12]}"


def _find_foreign(folder: Path, files: dict[str, str]) -> Iterable[str]:
    """Files that were not packed and could be taken for the bundle's own.

    Files that the device makes are allowed: engines, Python's caches, the environment, and results beside the bundle's folders.
    Modules beside them are not: Python would import them before those of the environment.
    """
    for top in sorted(folder.iterdir()):
        if top.name == ENVIRONMENT or top.name in files or top.name == MANIFEST:
            continue
        if any(name.startswith(f"{top.name}/") for name in files):
            for path in sorted(top.rglob("*")):
                name = str(path.relative_to(folder))
                made = path.suffix == ENGINE or path.name.endswith(f"{ENGINE}.source") or "__pycache__" in path.parts
                if path.is_file() and name not in files and not made:
                    yield f"{name}: is not of this bundle, remove it"
        elif top.suffix in MODULES or (top / "__init__.py").is_file():
            yield f"{top.name}: Python would import it, but it is not of this bundle; remove it"


def _require_labels(folder: Path, content: dict[str, Any]) -> None:
    """Refuse a recognizer whose own description differs from the manifest."""
    description = (folder / content["models"]["step"]).with_suffix(".json")
    own = read_json(description)
    for name in ("labels", "actions", "layout", "rate"):
        if own[name] != content[name]:
            raise DataError(
                f"{folder}: {MANIFEST} and {description.name} name different {name} ({_shorten(content[name])} and {_shorten(own[name])}); "
                "the recognizer is of another bundle, make it again with `pan edge bundle`",
                code="bundle.other-recognizer",
            )


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
