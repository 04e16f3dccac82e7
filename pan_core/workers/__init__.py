"""Worker processes: a pool that exits with its parent, and one that supervises its items."""
