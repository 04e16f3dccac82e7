"""Points between the speed of pose extraction and its accuracy; docs/decisions.md says how they were chosen."""

QUALITIES: dict[str, dict[str, int]] = {
    "best": {"stages": 6, "search_stages": 6, "search_every": 30, "look_every": 1},
    "balanced": {"stages": 4, "search_stages": 4, "search_every": 30, "look_every": 1},
    "fast": {"stages": 3, "search_stages": 3, "search_every": 30, "look_every": 4},
}
"""Values of `pan_core.pose.extraction.ExtractionSettings`."""
