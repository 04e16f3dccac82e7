"""From video to 2D skeletons: network, imported weights, grouping, tracking, extraction, storage."""
