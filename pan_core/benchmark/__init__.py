"""The official protocol of a dataset, run over seeds, splits and input modes, and what comes out of it."""
