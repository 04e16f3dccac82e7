"""Deliveries of new footage: dated folders that arrive, are checked, and become part of what the recogniser learns from."""
