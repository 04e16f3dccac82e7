"""Points between the speed of pose extraction and its accuracy; docs/pose.md says how they were chosen.

DVC reads them from this file's text, so they are literals.
"""

from typing import Any

REFERENCE: dict[str, Any] = {
    "stages": 6, "search_stages": 6, "search_every": 30, "look_every": 1, "crop_size": 224, "narrowest_crop": 1.0,
    "glance_size": [432, 368], "keep_missed": False,
}  # fmt: skip
"""Six stages of the paper's network on a square crop of every frame: what the qualities are compared with."""
QUALITIES: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "best": {
            "stages": 6, "search_stages": 6, "search_every": 30, "look_every": 1, "crop_size": 224, "narrowest_crop": 0.5,
            "glance_size": [432, 368], "keep_missed": True,
        },
        "balanced": {
            "stages": 4, "search_stages": 4, "search_every": 30, "look_every": 2, "crop_size": 224, "narrowest_crop": 0.5,
            "glance_size": [256, 224], "keep_missed": True,
        },
        "fast": {
            "stages": 4, "search_stages": 4, "search_every": 30, "look_every": 4, "crop_size": 176, "narrowest_crop": 0.4,
            "glance_size": [256, 224], "keep_missed": True,
        },
    },
    "movenet": {
        "best": {"search_every": 30, "look_every": 1, "keep_missed": True},
        "balanced": {"search_every": 30, "look_every": 2, "keep_missed": True},
        "fast": {"search_every": 30, "look_every": 4, "keep_missed": True},
    },
}  # fmt: skip
"""Values of `pan_core.pose.extraction_settings.ExtractionSettings`, by network and quality."""
NETWORK_NAMES = (*QUALITIES, "paper-strict")
QUALITY_NAMES = tuple(QUALITIES["paper"])
PAPER_FILE = "models/pose/pose.onnx"
"""Where the stage pose_model exports the paper's network to."""


def quality_settings(network: str, quality: str) -> dict[str, Any]:
    """Values that a quality stands for; `paper-strict` and one's own networks have those of `paper`."""
    return QUALITIES.get(network, QUALITIES["paper"]).get(quality, {})
