"""The table of pose extraction: every network and quality on drawn and real people, docs/results/pose.json."""
