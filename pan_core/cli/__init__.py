"""The command `pan`."""
