"""Files of the pose networks that `pose.network` of params.yaml names: built-in ones, or the user's own."""

from pathlib import Path

from pan_core.pose.pretrained import DECLARATIONS, PAPER_STRICT
from pan_core.pose.qualities import PAPER_FILE, QUALITY_NAMES

_FILES: dict[str, dict[str, Path]] = {
    "paper": dict.fromkeys(QUALITY_NAMES, Path(PAPER_FILE)),
    "paper-strict": dict.fromkeys(QUALITY_NAMES, PAPER_STRICT),
    "movenet": {
        "best": DECLARATIONS["movenet_thunder"],
        "balanced": DECLARATIONS["movenet"],
        "fast": DECLARATIONS["movenet"],
    },
}


def network_file(network: str, *, quality: str) -> Path:
    """File of a network that `pan_core.pose.declared.open_estimator` takes.

    Args:
        network: A name, or the path of a file.
        quality: A built-in network may have another file for each.
    """
    return _FILES[network][quality] if network in _FILES else Path(network)


def network_name(file: Path) -> str:
    """Name of a built-in network, or the path itself."""
    return next((name for name, files in _FILES.items() if file in files.values()), str(file))


def built_in_files() -> list[Path]:
    """Files of all built-in networks that are there without a run."""
    return sorted({file for files in _FILES.values() for file in files.values()} - {Path(PAPER_FILE)})
