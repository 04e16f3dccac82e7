"""Sessions that run exported networks."""
