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
    place = file.resolve()
    return next((name for name, files in _FILES.items() if place in map(Path.resolve, files.values())), str(file))


def built_in_files() -> list[Path]:
    """Files of all built-in networks: those that come with the package, then the paper's if a run has made it."""
    paper = Path(PAPER_FILE)
    coming = sorted({file for files in _FILES.values() for file in files.values()} - {paper})
    return [*coming, paper] if paper.is_file() else coming
